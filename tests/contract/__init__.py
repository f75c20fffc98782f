"""What every technique promises on every baseline."""
