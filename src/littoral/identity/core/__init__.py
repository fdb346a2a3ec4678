"""Pure decisions about proofs."""
