"""What is done to an ``nn.Module``: copied, changed, frozen, watched, written to a file."""
