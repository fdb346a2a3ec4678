"""Decisions of the registry: names, secrets, and what a caller may hand in."""
