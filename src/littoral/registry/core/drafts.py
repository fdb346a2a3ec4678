"""Credentials as a caller hands them in: Hono's JSON, or a manifest's, made into drafts.

Both spellings are read: ``auth-id`` and ``authId``, ``pwd-plain`` and ``password``. A credential
may carry the members of its only secret itself. Unknown members are refused.
"""

from collections.abc import Mapping
from typing import Annotated

import msgspec

from littoral.kernel import time
from littoral.kernel.ids import parse_hono_id
from littoral.registry.core.secrets import check_hash
from littoral.registry.errors import InvalidRegistration
from littoral.registry.model import (
    CREDENTIALS_MAX,
    EXT_BYTES_MAX,
    HASHED_PASSWORD,
    PASSWORD_BYTES_MAX,
    SECRETS_MAX,
    SHA_256,
    SHA_512,
)

_Short = Annotated[str, msgspec.Meta(max_length=256)]
_Text = Annotated[str, msgspec.Meta(max_length=PASSWORD_BYTES_MAX)]

_SPELLINGS = {
    "authId": "auth-id",
    "password": "pwd-plain",
    "pwdPlain": "pwd-plain",
    "pwdHash": "pwd-hash",
    "passwordHash": "pwd-hash",
    "hashFunction": "hash-function",
    "notBefore": "not-before",
    "notAfter": "not-after",
}
_OF_SECRET = (
    "id",
    "pwd-plain",
    "pwd-hash",
    "hash-function",
    "salt",
    "not-before",
    "not-after",
    "comment",
)


class SecretDraft(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """One secret as handed in: plain, hashed, or only the id of one that is stored."""

    id: _Short | None = None
    enabled: bool = True
    not_before: _Short | None = None
    not_after: _Short | None = None
    comment: _Short = ""
    pwd_plain: _Text | None = None
    pwd_hash: _Text | None = None
    hash_function: _Short | None = None
    salt: _Short = ""

    def __repr__(self) -> str:
        return f"SecretDraft(id={self.id!r})"

    def __post_init__(self) -> None:
        if self.pwd_plain is not None and self.pwd_hash is not None:
            raise InvalidRegistration("a secret has either a password or a hash, not both.")
        if self.pwd_plain is None and self.pwd_hash is None and self.id is None:
            raise InvalidRegistration(
                "a secret has neither a password nor a hash.", hint="Give pwd-plain or pwd-hash."
            )
        if self.pwd_hash is not None:
            check_hash(self.hash_function or SHA_256, self.pwd_hash, self.salt)
        elif self.hash_function not in {None, SHA_256, SHA_512, "argon2id", "argon2"}:
            raise InvalidRegistration(
                f"hash-function {self.hash_function!r} is not supported.",
                hint="Use argon2id, or sha-256 or sha-512 for generated passwords.",
            )
        if (
            self.pwd_plain is not None
            and not 0 < len(self.pwd_plain.encode()) <= PASSWORD_BYTES_MAX
        ):
            raise InvalidRegistration(f"a password has 1 to {PASSWORD_BYTES_MAX} bytes.")

    @property
    def wants_argon2(self) -> bool:
        """True if its password must go through the `PasswordHasher` first."""
        return self.pwd_plain is not None and self.hash_function not in {SHA_256, SHA_512}

    def window_ms(self) -> tuple[int | None, int | None]:
        """When it begins and ends to hold."""
        begin, end = (
            None if text is None else time.parse(text) for text in (self.not_before, self.not_after)
        )
        return begin, end


class CredentialDraft(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """One credential as handed in."""

    type: _Short
    auth_id: _Short
    secrets: Annotated[tuple[SecretDraft, ...], msgspec.Meta(min_length=1, max_length=SECRETS_MAX)]
    enabled: bool = True
    ext: dict[str, object] = {}  # msgspec copies it

    def __post_init__(self) -> None:
        if self.type != HASHED_PASSWORD:
            raise InvalidRegistration(
                f"credentials of type {self.type!r} are not supported.", hint="Use hashed-password."
            )
        parse_hono_id(self.auth_id)
        check_ext(self.ext)


def parse_credentials(documents: object) -> tuple[CredentialDraft, ...]:
    """Read the credentials of one device from parsed JSON: an array, as Hono takes it.

    Raises:
        InvalidRegistration, InvalidId, InvalidInstant: the sentence says which credential.
    """
    if not isinstance(documents, list | tuple):
        raise InvalidRegistration("credentials are an array of objects.")
    if len(documents) > CREDENTIALS_MAX:
        raise InvalidRegistration(f"a device has at most {CREDENTIALS_MAX} credentials.")
    try:
        drafts = tuple(_draft(document) for document in documents)
    except msgspec.ValidationError as e:
        raise InvalidRegistration(f"these credentials are invalid: {e}.") from e
    names = {(draft.type, draft.auth_id) for draft in drafts}
    if len(names) < len(drafts):
        raise InvalidRegistration("two credentials have the same type and auth-id.")
    return drafts


def check_ext(ext: Mapping[str, object]) -> None:
    """Raise `InvalidRegistration` if custom members are too large to keep."""
    if ext and len(msgspec.json.encode(ext)) > EXT_BYTES_MAX:
        raise InvalidRegistration(f"'ext' has at most {EXT_BYTES_MAX} bytes.")


def _draft(document: object) -> CredentialDraft:
    if isinstance(document, dict):
        document = _respelled(document)
        own = {name: document.pop(name) for name in _OF_SECRET if name in document}
        if own:
            if "secrets" in document:
                raise InvalidRegistration(
                    f"a credential has 'secrets' and also {min(own)!r} of its own."
                )
            document["secrets"] = [own]
        elif isinstance(secrets := document.get("secrets"), list):
            document["secrets"] = [_respelled(s) if isinstance(s, dict) else s for s in secrets]
    return msgspec.convert(document, CredentialDraft)


def _respelled(document: dict[str, object]) -> dict[str, object]:
    respelled = {_SPELLINGS.get(name, name): value for name, value in document.items()}
    if len(respelled) < len(document):
        raise InvalidRegistration("a member is given twice, in two spellings.")
    return respelled
