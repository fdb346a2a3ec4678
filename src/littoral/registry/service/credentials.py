"""From drafts of credentials to what is stored, with argon2 where a person chose the password."""

from collections.abc import Mapping, Sequence

from littoral.kernel.time import Entropy
from littoral.registry.core.drafts import CredentialDraft, SecretDraft
from littoral.registry.core.secrets import check_hash, check_sha, sha_secret
from littoral.registry.errors import InvalidRegistration, RegistrationConflict
from littoral.registry.model import (
    ARGON2,
    SHA_256,
    Credential,
    CredentialSet,
    Device,
    Secret,
)
from littoral.registry.ports import PasswordHasher
from littoral.registry.service.shelf import Shelf

_SALT_BYTES = 16
Hashed = Mapping[tuple[str, str], str]
"""By auth-id and plain password: the argon2 string that holds for it."""


class Credentials:
    """Makes the set of a device's credentials out of what was handed in."""

    def __init__(self, shelf: Shelf, hasher: PasswordHasher, entropy: Entropy) -> None:
        self._shelf = shelf
        self._hasher = hasher
        self._entropy = entropy

    async def hash(
        self, before: CredentialSet, drafts: Sequence[CredentialDraft]
    ) -> dict[tuple[str, str], str]:
        """Hash every plain password that people chose, or find the stored hash that holds for it."""
        hashed: dict[tuple[str, str], str] = {}
        for draft in drafts:
            stored = [s.hash for s in _secrets_of(before, draft) if s.function == ARGON2]
            for secret in draft.secrets:
                plain = secret.pwd_plain
                if plain is None or not secret.wants_argon2 or (draft.auth_id, plain) in hashed:
                    continue
                for phc in stored:
                    if await self._hasher.verify(plain, phc):
                        hashed[draft.auth_id, plain] = phc
                        break
                else:
                    hashed[draft.auth_id, plain] = await self._hasher.hash(plain)
        return hashed

    def make(
        self,
        device: Device,
        before: CredentialSet,
        drafts: Sequence[CredentialDraft],
        hashed: Hashed,
    ) -> CredentialSet:
        """The whole set; secrets that are the same as before keep their ids."""
        made = []
        for draft in drafts:
            owner = self._shelf.device_of_auth(device.tenant, draft.type, draft.auth_id)
            if owner not in {None, device.id}:
                raise RegistrationConflict(
                    f"auth-id {draft.auth_id} belongs to device {owner}.",
                    hint="An auth-id belongs to one device of a tenant; choose another one.",
                )
            stored = _secrets_of(before, draft)
            secrets = tuple(self._secret(draft, secret, stored, hashed) for secret in draft.secrets)
            ids = {secret.id for secret in secrets}
            if len(ids) < len(secrets):
                raise InvalidRegistration(f"auth-id {draft.auth_id} has a secret twice.")
            made.append(
                Credential(
                    device.tenant,
                    draft.type,
                    draft.auth_id,
                    device.id,
                    secrets,
                    draft.enabled,
                    draft.ext,
                )
            )
        return CredentialSet(device.tenant, device.id, tuple(made), before.version)

    def _secret(
        self,
        draft: CredentialDraft,
        secret: SecretDraft,
        stored: Sequence[Secret],
        hashed: Hashed,
    ) -> Secret:
        named = next((s for s in stored if s.id == secret.id), None)
        if secret.id is not None and named is None:
            raise InvalidRegistration(
                f"auth-id {draft.auth_id} has no secret with id {secret.id}.",
                hint="Leave the id of a new secret out.",
            )
        begin_ms, end_ms = secret.window_ms()
        # Hono: a known id without anything confidential keeps the stored hash.
        base = self._hashed(draft, secret, stored, hashed) or named
        assert base is not None
        return Secret(
            base.id if named is None else named.id,
            base.function,
            base.hash,
            base.salt,
            secret.enabled,
            begin_ms,
            end_ms,
            secret.comment,
        )

    def _hashed(
        self,
        draft: CredentialDraft,
        secret: SecretDraft,
        stored: Sequence[Secret],
        hashed: Hashed,
    ) -> Secret | None:
        """The secret with its hash; the stored one if that holds for it, None if it gives none."""
        if secret.pwd_hash is not None:
            form = check_hash(secret.hash_function or SHA_256, secret.pwd_hash, secret.salt)
        elif secret.pwd_plain is None:
            return None
        elif secret.wants_argon2:
            phc = hashed.get((draft.auth_id, secret.pwd_plain))
            if phc is None:
                raise InvalidRegistration(
                    f"the password of auth-id {draft.auth_id} is not hashed.",
                    hint="Hash it first, or give hash-function sha-256 if it was generated.",
                )
            form = (ARGON2, phc, "")
        else:
            function = secret.hash_function or SHA_256
            raw = secret.pwd_plain.encode()
            for old in stored:
                if old.function == function and check_sha(old, raw):
                    return old
            return sha_secret(
                self._new_id(),
                secret.pwd_plain,
                salt=self._entropy.token(_SALT_BYTES),
                function=function,
            )
        for old in stored:
            if (old.function, old.hash, old.salt) == form:
                return old
        return Secret(self._new_id(), *form)

    def _new_id(self) -> str:
        return self._entropy.token(6).hex()


def _secrets_of(stored: CredentialSet, draft: CredentialDraft) -> tuple[Secret, ...]:
    for credential in stored.credentials:
        if (credential.type, credential.auth_id) == (draft.type, draft.auth_id):
            return credential.secrets
    return ()
