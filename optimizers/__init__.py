"""Techniques, one file each, whose module docstring is its method card; none imports another."""
