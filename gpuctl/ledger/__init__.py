"""Where facts are kept: append-only, hash-chained, on disk before anything that costs."""
