"""API keys: how programs prove who they are. Their records never leave the node.

A key's text is ``lk_<id>_<secret>``: the id is no secret and names it in listings and logs; the
secret is 256 random bits, so a plain digest of it is enough.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from littoral.kernel.errors import Unauthenticated
from littoral.kernel.time import Entropy
from littoral.registry.errors import InvalidRegistration, NotRegistered
from littoral.registry.model import (
    API_KEY_SUBJECTS_MAX,
    API_KEYS_MAX,
    ApiKey,
    ApiKeyEntry,
    IssuedApiKey,
    Role,
)
from littoral.registry.service.shelf import Shelf, encode, load, load_all

_ENTRY = msgspec.json.Decoder(ApiKeyEntry)
_PREFIX = "lk_"
_TEXT_CHARS_MAX = 128
_COMMENT_CHARS_MAX = 256
_SUBJECT_CHARS_MAX = 256


class ApiKeys:
    """Who may use the API by a key."""

    def __init__(self, shelf: Shelf, entropy: Entropy) -> None:
        self._shelf = shelf
        self._entropy = entropy
        self._count: int | None = None
        shelf.on_reset(self._forget_count)

    def _forget_count(self) -> None:
        self._count = None

    def find(self, key_id: str) -> ApiKey | None:
        """The key of that id, without its secret."""
        entry = self._entry(key_id)
        return None if entry is None else entry.key

    def page(self, after: str, limit: int) -> list[ApiKey]:
        """Keys in the order of their ids, expired ones too."""
        return [entry.key for entry in load_all(self._shelf.page("apikey/", after, limit), _ENTRY)]

    def issue(
        self,
        subjects: Sequence[str],
        roles: Sequence[Role],
        *,
        comment: str,
        expires_ms: int | None,
    ) -> IssuedApiKey:
        """Make a key; its text is returned once and kept by nobody."""
        named = tuple(dict.fromkeys(subjects))
        if not named or len(named) > API_KEY_SUBJECTS_MAX:
            raise InvalidRegistration(f"an API key has 1 to {API_KEY_SUBJECTS_MAX} subjects.")
        for subject in named:
            issuer, colon, name = subject.partition(":")
            printable = subject.isprintable() and len(subject) <= _SUBJECT_CHARS_MAX
            if not issuer or not colon or not name or not printable:
                raise InvalidRegistration(
                    f"{subject[:80]!r} is not a subject.", hint="Write issuer:name."
                )
            if issuer == "device":
                raise InvalidRegistration("an API key cannot stand for a device.")
        now_ms = self._shelf.now_ms()
        if expires_ms is not None and expires_ms <= now_ms:
            raise InvalidRegistration("the key would have expired already.")
        if len(comment) > _COMMENT_CHARS_MAX:
            raise InvalidRegistration(f"a comment has at most {_COMMENT_CHARS_MAX} characters.")
        self._check_room()
        key_id = self._entropy.token(8).hex()
        secret = urlsafe_b64encode(self._entropy.token(32)).decode().rstrip("=")
        key = ApiKey(key_id, named, tuple(sorted({Role(r) for r in roles})), comment, now_ms)
        key = replace(key, expires_ms=expires_ms, version=self._shelf.next_version(0))
        self._shelf.put(f"apikey/{key_id}", encode(ApiKeyEntry(key, _digest(secret))))
        self._shelf.record("apikey.issued", f"apikey:{key_id}", encode(key))
        self._shelf.announce("apikey.issued", "", key_id, ends_access=False)
        return IssuedApiKey(key, f"{_PREFIX}{key_id}_{secret}")

    def revoke(self, key_id: str) -> None:
        """Make a key worthless from now on."""
        if self._entry(key_id) is None:
            raise NotRegistered(f"there is no API key {key_id[:64]!r}.")
        self._shelf.put(f"apikey/{key_id}", None)
        self._shelf.record("apikey.revoked", f"apikey:{key_id}", encode({"id": key_id}))
        self._shelf.announce("apikey.revoked", "", key_id, ends_access=True)
        self._count = None

    def redeem(self, text: str) -> ApiKey:
        """The key whose text this is; raise `Unauthenticated` if it is none that is valid now."""
        key_id, _, secret = text.removeprefix(_PREFIX).partition("_")
        entry = None
        if text.startswith(_PREFIX) and len(text) <= _TEXT_CHARS_MAX:
            entry = self._entry(key_id)
        # Compared also when there is no such key, so that timing does not tell which ids exist.
        right = hmac.compare_digest(_digest(secret), "" if entry is None else entry.digest)
        if entry is None or not right:
            raise Unauthenticated(
                "the API key is not known.", hint="It may have been revoked; ask for a new one."
            )
        expires_ms = entry.key.expires_ms
        if expires_ms is not None and expires_ms <= self._shelf.now_ms():
            raise Unauthenticated("the API key has expired.", hint="Ask for a new one.")
        return entry.key

    def _check_room(self) -> None:
        if self._count is None:
            self._count, after = 0, ""
            while page := self.page(after, 1000):
                self._count += len(page)
                after = page[-1].id
        if self._count >= API_KEYS_MAX:
            raise InvalidRegistration(
                f"there are {API_KEYS_MAX} API keys.", hint="Revoke those that nobody uses."
            )
        self._count += 1

    def _entry(self, key_id: str) -> ApiKeyEntry | None:
        if not key_id.isascii() or not key_id.isalnum():
            return None
        return load(self._shelf.get(f"apikey/{key_id}"), _ENTRY)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
