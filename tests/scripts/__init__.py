"""Training scripts as people write them, and what `bench script` sees of each."""
