"""What devices of virtual worlds say, and what their things are governed by."""

from littoral.simulate.plan import Publish


def policy_of(policy_id: str) -> dict[str, object]:
    """A policy that lets one person do everything."""
    everything = {"grant": ["READ", "WRITE"], "revoke": []}
    return {
        "policyId": policy_id,
        "entries": {
            "owner": {
                "subjects": {"nginx:ditto": {"type": "person"}},
                "resources": {
                    "thing:/": everything,
                    "policy:/": everything,
                    "message:/": everything,
                },
            }
        },
    }


def payload_of(publish: Publish, number: int) -> tuple[bytes, str | None]:
    """What message ``number`` of a device is, and of what type."""
    match publish.kind:
        case "object":
            return b'{"n":%d,"k%d":%d}' % (number, number % 3, number), None
        case "nested":
            return b'{"n":%d,"deep":{"k%d":{"v":%d}}}' % (number, number % 2, number), None
        case "null":
            return b'{"n":%d,"k%d":null}' % (number, number % 3), None
        case "text":
            return b"%d is no object" % number, "text/plain"
        case _:
            return b"\x00\x01%d" % number, "application/octet-stream"
