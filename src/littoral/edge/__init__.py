"""The link between a site and its cloud: store and forward, live messages, enrolment.

Invariant: a side sends only records of its own node's origins, and a cursor moves only after the
peer's commit; what the link carries it neither alters nor interprets, except to choose who applies it.
"""
