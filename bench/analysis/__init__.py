"""Measurements in, verdicts out: pure functions that never import torch."""
