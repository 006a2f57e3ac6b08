"""What `make bench` runs: each module here with a `TITLE` and a `measure() -> Sequence[Row]`."""
