"""From names to a recipe to a job."""
