"""What identities need from the world: documents of issuers, and somebody to check signatures."""

from typing import Protocol

from littoral.identity.model import Claims


class KeyFetcher(Protocol):
    """Gets small JSON documents from issuers."""

    async def fetch(self, url: str) -> bytes:
        """The document at ``url``; raise `KeysUnavailable` if it does not come."""
        ...


class TokenVerifier(Protocol):
    """Checks signatures of tokens. Synchronous: it costs microseconds, not a network."""

    def verify(self, token: str, keys: bytes) -> Claims | None:
        """The claims of ``token``, if one of the keys (a JWK set's JSON) signed it.

        Returns:
            None if no key of the set has the id that the token names: keys may have been rotated.

        Raises:
            TokenInvalid: the signature is wrong, or its algorithm is not believed.
        """
        ...
