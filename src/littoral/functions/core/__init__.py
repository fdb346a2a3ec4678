"""Pure decisions: which record is for which handler, and what a condition says about a thing."""
