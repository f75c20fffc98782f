"""A training script that nobody rewrote: run as it is, its steps seen and changed from outside."""
