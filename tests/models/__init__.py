"""Models of one's own, each as people of its field write them, small enough to train at once."""
