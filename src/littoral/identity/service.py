"""The front door: proofs in, identities out, and a memory of what was right."""

import hashlib
from collections import OrderedDict

from littoral.identity.core.basic import API_KEY_PREFIX, parse_basic, parse_pre_authenticated
from littoral.identity.core.claims import (
    audiences_of,
    check_template,
    check_times,
    plain_issuer,
    subjects_of,
    unverified,
)
from littoral.identity.errors import (
    ConditionFailed,
    InvalidIssuer,
    IssuerNotSupported,
    SubjectChanged,
    TokenInvalid,
)
from littoral.identity.keys import Keyring
from littoral.identity.model import (
    CLOCK_SKEW_MS,
    IDENTITIES_CACHED_MAX,
    Claims,
    Identity,
    IdentitySettings,
    IdentityStatistics,
    Issuer,
    Proofs,
)
from littoral.identity.ports import KeyFetcher, TokenVerifier
from littoral.kernel.errors import LittoralError, Unauthenticated
from littoral.kernel.time import Clock, Entropy
from littoral.registry import Registry, RegistryChange
from littoral.rql import InvalidExpression, Query, lookup_in, matches, parse


class Identities:
    """Everybody who may ask this node for something."""

    def __init__(
        self,
        registry: Registry,
        clock: Clock,
        entropy: Entropy,
        settings: IdentitySettings = IdentitySettings(),  # noqa: B008  # frozen
        *,
        verifier: TokenVerifier | None = None,
        fetcher: KeyFetcher | None = None,
    ) -> None:
        self._registry = registry
        self._clock = clock
        self._settings = settings
        self._verifier = verifier
        self._keyring = Keyring(fetcher, clock, settings.keys_ms)
        self._issuers = _by_address(settings.issuers)
        self._conditions = {one.name: _condition(one) for one in settings.issuers}
        self._digest_key = entropy.token(32)
        self._known: OrderedDict[bytes, Identity] = OrderedDict()
        self._generation = 0
        self._recalled = self._checked = self._refused = 0
        registry.on_change(self._changed)

    def recall(self, proofs: Proofs) -> Identity | None:
        """The identity, if these very proofs were found right before and still are."""
        digest = self._digest(proofs)
        known = self._known.get(digest)
        if known is None:
            return None
        if known.expires_ms is not None and known.expires_ms <= self._clock.now_ms():
            del self._known[digest]
            return None
        self._known.move_to_end(digest)
        self._recalled += 1
        return known

    async def identify(self, proofs: Proofs) -> Identity:
        """Whom the proofs stand for; several proofs of one request are taken together.

        Raises:
            Unauthenticated: there is none, or one is wrong; one wrong proof spoils all.
            KeysUnavailable: nobody can say.
        """
        known = self.recall(proofs)
        if known is not None:
            return known
        generation = self._generation
        try:
            found = await self._check(proofs)
        except LittoralError:
            self._refused += 1
            raise
        self._checked += 1
        # What was revoked while it was being checked must not be remembered.
        if generation == self._generation:
            self._known[self._digest(proofs)] = found
            if len(self._known) > IDENTITIES_CACHED_MAX:
                self._known.popitem(last=False)
        return found

    async def renew(self, before: Identity, token: str) -> Identity:
        """The identity of a session that goes on with a new token of the same subject.

        Raises:
            SubjectChanged: it is somebody else's; and what `identify` raises.
        """
        found = await self.identify(Proofs(authorization=f"Bearer {token}"))
        old = None if before.claims is None else before.claims.get("sub")
        new = None if found.claims is None else found.claims.get("sub")
        if old is None or old != new or found.subjects[0] != before.subjects[0]:
            raise SubjectChanged(
                "the new token is of another subject than the session.",
                hint="Open another session for another user.",
            )
        return found

    def statistics(self) -> IdentityStatistics:
        """Counters since the start."""
        return IdentityStatistics(
            cached=len(self._known),
            recalled_total=self._recalled,
            checked_total=self._checked,
            refused_total=self._refused,
            key_fetches_total=self._keyring.fetches,
            key_failures_total=self._keyring.failures,
        )

    # -- checking -----------------------------------------------------------------------------

    async def _check(self, proofs: Proofs) -> Identity:
        found: list[Identity] = []
        if proofs.pre_authenticated and self._settings.pre_authenticated:
            subjects = parse_pre_authenticated(proofs.pre_authenticated)
            found.append(Identity(subjects[0], subjects, frozenset({"user"})))
        scheme, _, text = proofs.authorization.partition(" ")
        match scheme.lower():
            case "":
                pass
            case "basic":
                found.append(await self._basic(text))
            case "bearer" if text.strip().startswith(API_KEY_PREFIX):
                found.append(self._api_key(text.strip()))
            case "bearer":
                found.append(await self._token(text.strip()))
            case _:
                raise Unauthenticated(
                    f"the authentication scheme {scheme[:20]!r} is not known.",
                    hint="Use Basic or Bearer.",
                )
        if proofs.api_key:
            found.append(self._api_key(proofs.api_key))
        if proofs.access_token:
            found.append(await self._token(proofs.access_token))
        if not found:
            raise Unauthenticated(
                "this needs a user name and a password, an API key, or a token.",
                hint="Send HTTP Basic or Bearer authentication; the command line takes --user and "
                "--password, or LITTORAL_USER and LITTORAL_PASSWORD.",
            )
        return self._with_roles(found)

    async def _basic(self, text: str) -> Identity:
        name, password = parse_basic(text)
        user = await self._registry.authenticate_user(name, password)
        roles = frozenset(role.value for role in user.roles)
        return Identity(user.name, tuple(sorted(user.subjects)), roles, owners=(f"user:{name}",))

    def _api_key(self, text: str) -> Identity:
        key = self._registry.api_keys.redeem(text)
        roles = frozenset(role.value for role in key.roles)
        return Identity(
            f"apikey:{key.id}",
            key.subjects,
            roles,
            expires_ms=key.expires_ms,
            owners=(f"apikey:{key.id}",),
        )

    async def _token(self, token: str) -> Identity:
        claimed = unverified(token)
        address = str(claimed.get("iss", ""))
        issuer = self._issuers.get(plain_issuer(address))
        if issuer is None or self._verifier is None:
            raise IssuerNotSupported(
                f"tokens of the issuer {address[:200]!r} are not taken here.",
                hint="The node's operator names issuers under auth.issuers.",
            )
        claims = await self._verified(token, issuer, address)
        expires_ms = check_times(claims, self._clock.now_ms())
        if issuer.audiences and not set(issuer.audiences) & set(audiences_of(claims)):
            raise TokenInvalid("the token was made for somebody else ('aud').")
        condition = self._conditions[issuer.name]
        if condition is not None and not matches(condition, lookup_in(claims)):
            raise ConditionFailed(f"the token does not meet the condition {issuer.condition!r}.")
        subjects = subjects_of(issuer.name, issuer.subjects, claims)
        if not subjects:
            raise TokenInvalid(
                "the token has none of the claims that its issuer's subjects are made of.",
                hint="The node's operator sets them under auth.issuers.",
            )
        # The skew that is granted to the issuer is granted to the end of a session too.
        return Identity(
            subjects[0], subjects, frozenset({"user"}), claims, expires_ms + CLOCK_SKEW_MS
        )

    async def _verified(self, token: str, issuer: Issuer, address: str) -> Claims:
        assert self._verifier is not None
        base = _base_of(issuer, address)
        asked_ms = self._clock.now_ms()
        keys: bytes | None = await self._keyring.keys(issuer, base)
        assert keys is not None
        claims = self._verifier.verify(token, keys)
        if claims is None:
            keys = await self._keyring.keys(issuer, base, after_ms=asked_ms - 1)
            claims = None if keys is None else self._verifier.verify(token, keys)
        if claims is None:
            raise TokenInvalid("the token is signed with a key that its issuer does not publish.")
        return claims

    def _with_roles(self, found: list[Identity]) -> Identity:
        """All that was proved, as one, with the roles that settings give to subjects."""
        subjects = tuple(dict.fromkeys(s for one in found for s in one.subjects))
        settings = self._settings
        roles = {role for one in found for role in one.roles}
        for role, named in (
            ("admin", settings.admin_subjects),
            ("devops", settings.devops_subjects),
            ("status", settings.status_subjects),
        ):
            if not named.isdisjoint(subjects):
                roles.add(role)
        if "admin" in roles:
            roles.add("devops")
        if "devops" in roles:
            roles.add("status")
        ends = [one.expires_ms for one in found if one.expires_ms is not None]
        return Identity(
            found[0].name,
            subjects,
            frozenset(roles),
            next((one.claims for one in found if one.claims is not None), None),
            min(ends, default=None),
            tuple(owner for one in found for owner in one.owners),
        )

    # -- memory -------------------------------------------------------------------------------

    def _digest(self, proofs: Proofs) -> bytes:
        """Proofs are remembered as digests under a key of this process: no password in memory."""
        # Lengths keep ("ab", "c") and ("a", "bc") apart.
        basic, key, pre = proofs.authorization, proofs.api_key, proofs.pre_authenticated
        text = f"{len(basic)} {len(key)} {len(pre)} {basic}{key}{pre}{proofs.access_token}"
        raw = text.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(raw, digest_size=16, key=self._digest_key).digest()

    def _changed(self, change: RegistryChange) -> None:
        if not change.ends_access or not change.kind.startswith(("user.", "apikey.")):
            return
        self._generation += 1
        owner = f"{change.kind.partition('.')[0]}:{change.name}"
        for digest in [d for d, one in self._known.items() if owner in one.owners]:
            del self._known[digest]


def _by_address(issuers: tuple[Issuer, ...]) -> dict[str, Issuer]:
    found: dict[str, Issuer] = {}
    for issuer in issuers:
        if not issuer.name or ":" in issuer.name or not issuer.issuers:
            raise InvalidIssuer(
                f"the issuer {issuer.name!r} needs a name without a colon, and its addresses.",
                hint="auth.issuers.<name>.issuers = ['accounts.example.com']",
            )
        for template in issuer.subjects:
            check_template(template)
        for address in issuer.issuers:
            if found.setdefault(plain_issuer(address), issuer) is not issuer:
                raise InvalidIssuer(f"two issuers are called {address!r}.")
    return found


def _base_of(issuer: Issuer, address: str) -> str:
    """Where the issuer is: as the settings write it, so that a token cannot take TLS away."""
    for one in issuer.issuers:
        if plain_issuer(one) == plain_issuer(address):
            return one.rstrip("/") if "://" in one else "https://" + one.rstrip("/")
    raise AssertionError(address)


def _condition(issuer: Issuer) -> Query | None:
    if not issuer.condition:
        return None
    try:
        return parse(issuer.condition)
    except InvalidExpression as e:
        raise InvalidIssuer(f"the condition of issuer {issuer.name} is wrong: {e.message}") from e
