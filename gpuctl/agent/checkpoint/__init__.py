"""What saves a job's checkpoints from its machine. Standard library only, Python 3.8 or later."""
