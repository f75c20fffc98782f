"""One run: what was asked, which trials are made, what is exported."""
