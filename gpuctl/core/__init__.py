"""The pure centre: values, billing rules, decisions. Standard library only, no clock, no I/O."""
