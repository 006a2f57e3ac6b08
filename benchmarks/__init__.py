"""What `make bench` runs. A module here with a `measure() -> Sequence[Row]` is a benchmark."""
