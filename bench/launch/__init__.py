"""Start a trial in a process of its own."""
