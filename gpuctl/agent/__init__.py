"""What runs on the machine: the dead-man's switch, and one stdlib-only agent file."""
