"""The registry at work: the shelf over the log, authentication, sites, and the front."""
