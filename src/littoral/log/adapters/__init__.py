"""Stores and committers; chosen only by `app`, `simulate` and tests."""
