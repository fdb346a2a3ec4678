"""Limits that more than one package holds to; each has its row in ARCHITECTURE.md."""

ID_CHARS_MAX = 256
"""Length of a thing or policy id. Source: Ditto."""

THING_BYTES_MAX = 100 * 1024
"""Size of a thing's JSON. Source: Ditto's default."""

POLICY_BYTES_MAX = 100 * 1024
"""Size of a policy's JSON. Source: Ditto's default."""

MESSAGE_BYTES_MAX = 250 * 1024
"""Payload of a message to or from a thing. Source: Ditto's default."""

PATH_CHARS_MAX = 8 * 1024
"""Length of a JSON pointer."""

JSON_DEPTH_MAX = 64
"""Nesting of a document; deeper is refused before it is walked."""

SKEW_MS_MAX = 5 * 60 * 1000
"""How far a stamp or a device's time may be ahead of our clock."""

HOPS_MAX = 8
"""How many functions may write in answer to one another before the chain is cut."""
