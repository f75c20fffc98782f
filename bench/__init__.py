"""The engine: measures a baseline, applies techniques, decides, and exports what was measured."""

__version__ = "0.1.0"
