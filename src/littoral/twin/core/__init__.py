"""Pure decisions about things: what may be written where, and what a record does to a document."""
