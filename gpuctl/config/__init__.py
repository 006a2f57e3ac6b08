"""What the user has set: TOML files and environment -> frozen values, or every mistake at once."""
