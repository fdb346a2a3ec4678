"""Public keys of issuers: fetched when first needed, kept, renewed, and fetched again on rotation."""

import asyncio
import logging
from dataclasses import dataclass, field

from littoral.identity.errors import KeysUnavailable
from littoral.identity.model import KEYS_AGAIN_MS, KEYS_BYTES_MAX, KEYS_STALE_MS_MAX, Issuer
from littoral.identity.ports import KeyFetcher
from littoral.kernel import json
from littoral.kernel.errors import InvalidJson
from littoral.kernel.time import Clock

_logger = logging.getLogger("littoral.identity")


@dataclass(slots=True)
class _Keys:
    issuer: Issuer
    base: str
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    document: bytes | None = None
    fetched_ms: int = 0
    tried_ms: int | None = None


class Keyring:
    """The key sets of a node's issuers.

    Invariant: an issuer is asked at most once in `KEYS_AGAIN_MS`, whatever tokens come in: forged
    key ids are not a way to make the node knock at somebody's door.
    """

    def __init__(self, fetcher: KeyFetcher | None, clock: Clock, keys_ms: int) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._keys_ms = keys_ms
        self._sets: dict[tuple[str, str], _Keys] = {}
        self.fetches = 0
        self.failures = 0

    async def keys(self, issuer: Issuer, base: str, *, after_ms: int | None = None) -> bytes | None:
        """The issuer's key set, as JSON.

        Args:
            issuer: as configured.
            base: its address, as its setting says or as the token's ``iss``.
            after_ms: keys fetched before this are not good enough: one was missing in them.

        Returns:
            None if newer keys were wanted but may not be asked for yet.

        Raises:
            KeysUnavailable: there are none.
        """
        keys = self._sets.setdefault((issuer.name, base), _Keys(issuer, base))
        async with keys.lock:
            now_ms = self._clock.now_ms()
            age = now_ms - keys.fetched_ms
            if after_ms is not None:
                if keys.document is not None and keys.fetched_ms > after_ms:
                    return keys.document
                if keys.tried_ms is not None and now_ms - keys.tried_ms < KEYS_AGAIN_MS:
                    return None
            elif keys.document is not None and 0 <= age < self._keys_ms:
                return keys.document
            try:
                await self._renew(keys, now_ms)
            except KeysUnavailable:
                if keys.document is None or not 0 <= age < KEYS_STALE_MS_MAX:
                    raise
                _logger.warning("keys of %s are %d s old and cannot be renewed", base, age // 1000)
            return keys.document

    async def _renew(self, keys: _Keys, now_ms: int) -> None:
        if keys.tried_ms is not None and 0 <= now_ms - keys.tried_ms < KEYS_AGAIN_MS:
            raise KeysUnavailable(
                f"the keys of {keys.issuer.name} could not be fetched a moment ago.",
                hint="See that the node can reach the issuer; it tries again by itself.",
            )
        keys.tried_ms = now_ms
        try:
            keys.document = await self._fetch(keys.issuer, keys.base)
        except KeysUnavailable:
            self.failures += 1
            raise
        keys.fetched_ms = now_ms

    async def _fetch(self, issuer: Issuer, base: str) -> bytes:
        if self._fetcher is None:
            raise KeysUnavailable(
                "this node has nothing to fetch keys with.",
                hint="Install littoral[cloud] where tokens of OpenID providers are to be taken.",
            )
        self.fetches += 1
        url = issuer.jwks_url
        if not url:
            found = await self._document(f"{base}/.well-known/openid-configuration")
            address = found.get("jwks_uri")
            if not isinstance(address, str) or not address.startswith(("https://", "http://")):
                raise KeysUnavailable(f"the discovery document of {base} names no jwks_uri.")
            if base.startswith("https://") and not address.startswith("https://"):
                raise KeysUnavailable(f"{base} names keys at an address without TLS.")
            url = address
        document = await self._document(url)
        if not isinstance(document.get("keys"), list):
            raise KeysUnavailable(f"what is at {url} is no key set.")
        return json.encode(document)

    async def _document(self, url: str) -> dict[str, object]:
        assert self._fetcher is not None
        data = await self._fetcher.fetch(url)
        if len(data) > KEYS_BYTES_MAX:
            raise KeysUnavailable(f"what is at {url} is larger than {KEYS_BYTES_MAX} bytes.")
        try:
            return json.decode_object(data)
        except InvalidJson as e:
            raise KeysUnavailable(f"what is at {url} is no JSON object.") from e
