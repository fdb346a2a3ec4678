"""Sites, their keys, and the one-time tokens by which they enrol.

Keys and certificates themselves are the link's business; here is who they belong to.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec

from littoral.kernel.errors import Forbidden
from littoral.kernel.ids import parse_node_id
from littoral.kernel.time import Entropy
from littoral.registry.core.naming import parse_tenant_id
from littoral.registry.errors import (
    InvalidRegistration,
    InvalidToken,
    NotRegistered,
    RegistrationConflict,
)
from littoral.registry.model import (
    PAGE_MAX,
    REDEEM_AGAIN_MS,
    SITE_KEYS_MAX,
    SITE_TENANTS_MAX,
    TOKEN_TTL_MS_MAX,
    TOKENS_MAX,
    IssuedToken,
    Site,
    Token,
)
from littoral.registry.service.shelf import Shelf, encode, load, load_all

_SITE = msgspec.json.Decoder(Site)
_TOKEN = msgspec.json.Decoder(Token)
_NAME_CHARS_MAX = 128
_CHECK_EVERY = 256


class Sites:
    """Who may link to this node."""

    def __init__(self, shelf: Shelf, entropy: Entropy) -> None:
        self._shelf = shelf
        self._entropy = entropy
        self._issues_unchecked = 0

    def find(self, name: str) -> Site | None:
        """The site of that name."""
        return load(self._shelf.get(f"site/{name}"), _SITE)

    def page(self, after: str, limit: int) -> list[Site]:
        """Sites in the order of their names."""
        return load_all(self._shelf.page("site/", after, limit), _SITE)

    def of_key(self, fingerprint: str) -> Site | None:
        """The site that a public key belongs to."""
        name = self._shelf.get_text(f"key/{fingerprint}")
        return None if name is None else self.find(name)

    def of_certificate(self, serial: str) -> Site | None:
        """The site that a certificate was issued for."""
        name = self._shelf.get_text(f"certificate/{serial}")
        return None if name is None else self.find(name)

    def put(self, name: str, tenants: Sequence[str] | None, *, revoked: bool | None) -> Site:
        """Make or change a site; what is None stays as it is."""
        parse_node_id(name)
        before = self.find(name) or Site(name, ())
        given = before.tenants if tenants is None else tuple(dict.fromkeys(tenants))
        if len(given) > SITE_TENANTS_MAX:
            raise InvalidRegistration(f"a site has at most {SITE_TENANTS_MAX} tenants.")
        after = replace(
            before,
            tenants=tuple(parse_tenant_id(tenant) for tenant in given),
            revoked=before.revoked if revoked is None else revoked,
        )
        if after == before and before.version:
            return before
        return self._write(before, after, ends_access=after.revoked and not before.revoked)

    def delete(self, name: str) -> None:
        """Remove a site; its keys and certificates belong to nobody then."""
        site = self._get(name)
        self._point(site, replace(site, keys=(), certificates=()))
        self._shelf.put(f"site/{name}", None)
        self._shelf.record("site.deleted", f"site:{name}", encode({"name": name}))
        self._shelf.announce("site.deleted", "", name, ends_access=True)

    def add_certificate(self, name: str, serial: str, key_fingerprint: str | None) -> Site:
        """Note a certificate (and its key, if that is new) as the newest of a site."""
        before = self._get(name)
        keys = before.keys
        if key_fingerprint is not None:
            self._check_free(name, key_fingerprint)
            keys = _newest(keys, key_fingerprint)
        after = replace(before, keys=keys, certificates=_newest(before.certificates, serial))
        return before if after == before else self._write(before, after, ends_access=False)

    def issue(self, name: str, tenants: Sequence[str] | None, *, ttl_ms: int) -> IssuedToken:
        """Make a token by which ``name`` may enrol once; the site is made if there is none."""
        if not 0 < ttl_ms <= TOKEN_TTL_MS_MAX:
            raise InvalidRegistration(f"a token lives at most {TOKEN_TTL_MS_MAX // 3_600_000} h.")
        self._check_room()
        site = self.put(name, tenants, revoked=None)
        if site.revoked:
            raise Forbidden(f"site {name} is revoked.", hint="Reinstate it first.")
        issued = IssuedToken(
            self._entropy.token(6).hex(),
            urlsafe_b64encode(self._entropy.token(32)).decode().rstrip("="),
        )
        token = Token(issued.id, name, _digest(issued.secret), self._shelf.now_ms() + ttl_ms)
        self._shelf.put(f"token/{issued.id}", encode(token))
        told = {"id": token.id, "site": name, "expires_ms": token.expires_ms}
        self._shelf.record("token.issued", f"site:{name}", encode(told))
        self._shelf.announce("token.issued", "", issued.id, ends_access=False)
        return issued

    def of_token(self, text: str) -> Site:
        """The site that a token is for, whether or not it can still be used."""
        site = self.find(self._good(text).site)
        if site is None:
            raise InvalidToken("the site of this token was removed.", hint="Ask for a new one.")
        return site

    def redeem(self, text: str, *, key_fingerprint: str, issue: Callable[[], bytes]) -> bytes:
        """Use a token up for one key; return the certificate that ``issue`` makes.

        The use, the key and the certificate are one record: all of it is durable or none. The same
        key gets the same certificate again for ten minutes, because its answer may have been lost.
        ``issue`` is called only for a token that is good; what it raises leaves the token unused.
        """
        token = self._good(text)
        site = self.of_token(text)
        if site.revoked:
            raise Forbidden(
                f"site {site.name} is revoked.", hint="An administrator can reinstate it."
            )
        now_ms = self._shelf.now_ms()
        if token.redeemed_ms is not None:
            again = hmac.compare_digest(token.key_fingerprint, key_fingerprint)
            if again and now_ms - token.redeemed_ms <= REDEEM_AGAIN_MS:
                return token.certificate
            raise InvalidToken("this token was used before.", hint="Ask for a new one.")
        if now_ms >= token.expires_ms:
            raise InvalidToken("this token is expired.", hint="Ask for a new one.")
        if not 0 < len(key_fingerprint) <= _NAME_CHARS_MAX:
            raise InvalidRegistration("a key's fingerprint is missing or too long.")
        self._check_free(site.name, key_fingerprint)
        certificate = issue()
        used = replace(
            token, redeemed_ms=now_ms, key_fingerprint=key_fingerprint, certificate=certificate
        )
        with_key = replace(
            site,
            keys=_newest(site.keys, key_fingerprint),
            version=self._shelf.next_version(site.version),
        )
        self._point(site, with_key)
        self._shelf.put(f"site/{site.name}", encode(with_key))
        self._shelf.put(f"token/{token.id}", encode(used))
        told = {"id": token.id, "site": site.name, "key": key_fingerprint, "redeemed_ms": now_ms}
        self._shelf.record("token.redeemed", f"site:{site.name}", encode(told))
        self._shelf.announce("token.redeemed", "", token.id, ends_access=False)
        return certificate

    def _good(self, text: str) -> Token:
        token_id, _, secret = text.partition(".")
        known = token_id.isascii() and len(token_id) <= _NAME_CHARS_MAX
        token = load(self._shelf.get(f"token/{token_id}"), _TOKEN) if known else None
        digest = _digest(secret)
        if token is None or not hmac.compare_digest(token.digest, digest):
            raise InvalidToken("this enrolment token is not known.", hint="Ask for a new one.")
        return token

    def _get(self, name: str) -> Site:
        site = self.find(name)
        if site is None:
            raise NotRegistered(f"there is no site {name!r}.")
        return site

    def apply(self, name: str, value: bytes | None) -> None:
        """Take over what the registry that this one follows says of a site."""
        before = self.find(name) or Site(name, ())
        if value is None:
            self._point(before, replace(before, keys=(), certificates=()))
            self._shelf.put(f"site/{name}", None)
            return
        after = _SITE.decode(value)
        if after.version > before.version:
            self._point(before, after)
            self._shelf.put(f"site/{name}", value)

    def _write(self, before: Site, after: Site, *, ends_access: bool) -> Site:
        after = replace(after, version=self._shelf.next_version(before.version))
        self._point(before, after)
        value = encode(after)
        self._shelf.put(f"site/{after.name}", value)
        self._shelf.record("site.modified", f"site:{after.name}", value)
        self._shelf.announce("site.modified", "", after.name, ends_access=ends_access)
        return after

    def _point(self, before: Site, after: Site) -> None:
        """Let the keys and certificates of ``after``, and no others, lead to the site."""
        name = before.name
        for kind, old, new in (
            ("key", before.keys, after.keys),
            ("certificate", before.certificates, after.certificates),
        ):
            for gone in old:
                if gone not in new and self._shelf.get_text(f"{kind}/{gone}") == name:
                    self._shelf.put(f"{kind}/{gone}", None)
            for come in new:
                if come not in old:
                    self._shelf.put(f"{kind}/{come}", name.encode())

    def _check_free(self, name: str, key_fingerprint: str) -> None:
        owner = self.of_key(key_fingerprint)
        if owner is not None and owner.name != name:
            raise RegistrationConflict(
                f"this key belongs to site {owner.name}.", hint="Make a new key for every site."
            )

    def _check_room(self) -> None:
        """Drop tokens that are of no use any more; refuse to have too many. Looks now and then."""
        self._issues_unchecked -= 1
        if self._issues_unchecked >= 0:
            return
        now_ms = self._shelf.now_ms()
        left, after = 0, ""
        while page := load_all(self._shelf.page("token/", after, PAGE_MAX), _TOKEN):
            for token in page:
                ends_ms = max(token.expires_ms, (token.redeemed_ms or 0) + REDEEM_AGAIN_MS)
                if ends_ms < now_ms:
                    self._shelf.put(f"token/{token.id}", None)
                else:
                    left += 1
            after = page[-1].id
        if left >= TOKENS_MAX:
            raise InvalidRegistration(
                f"there are {left} enrolment tokens that are not expired.",
                hint="Wait until some expire, or give them a shorter life.",
            )
        self._issues_unchecked = min(_CHECK_EVERY, TOKENS_MAX - left - 1)


def _digest(secret: str) -> str:
    # The secret has 256 random bits: there is nothing to guess, so no salt and no argon2.
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _newest(texts: tuple[str, ...], text: str) -> tuple[str, ...]:
    return (*(t for t in texts if t != text), text)[-SITE_KEYS_MAX:]
