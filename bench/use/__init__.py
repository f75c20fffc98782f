"""A trained model in use: loaded, exported, asked."""
