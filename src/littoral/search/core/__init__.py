"""Decisions of the search index: leaves, places, properties, cursors, what a policy shows."""
