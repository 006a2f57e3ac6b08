"""Which image runs on which machine: facts, a table with its sources, and pure rules."""
