"""How items reach the training loop: sampled, prefetched, cached."""
