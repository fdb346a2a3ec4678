"""The public Python SDK: a node's twins, policies, messages, registry and status over HTTP.

    with Client("http://127.0.0.1:8080", user="ditto", password="ditto") as client:
        print(client.get_thing("org.littoral:4711"))

Invariant: nothing but `ClientError`s comes out of a call; each says what to do next.
"""

from littoral.client.client import Client
from littoral.client.errors import ApiError, ClientError, NotANode, StreamEnded, Unreachable
from littoral.client.model import (
    ApplyResult,
    DeviceInfo,
    MessageReply,
    SiteInfo,
    TenantInfo,
    TokenInfo,
)

__all__ = [
    "ApiError",
    "ApplyResult",
    "Client",
    "ClientError",
    "DeviceInfo",
    "MessageReply",
    "NotANode",
    "SiteInfo",
    "StreamEnded",
    "TenantInfo",
    "TokenInfo",
    "Unreachable",
]
