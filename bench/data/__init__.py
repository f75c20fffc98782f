"""How items reach the training loop: found, sampled, prefetched, cached."""
