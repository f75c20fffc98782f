"""The inside of a trial's process."""
