"""What a run is rendered to: one module a format."""
