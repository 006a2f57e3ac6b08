"""Programs that a bare machine has: run there as files, never imported by the sandbox."""
