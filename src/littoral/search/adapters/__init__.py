"""Back ends of the search index."""
