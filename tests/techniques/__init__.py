"""What single techniques do, each by itself: a file for a few that are alike."""
