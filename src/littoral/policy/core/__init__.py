"""Decisions about policies: reading a document, and compiling it into an enforcer."""
