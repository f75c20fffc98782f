"""What stands on disk: recipes, measurements, a run's folder."""
