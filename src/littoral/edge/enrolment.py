"""Becoming a site, both sides of it: a one-time token (or the old key) for a certificate.

The conversation on ``/enrol`` is three frames of JSON. The cloud shows its CA; the site compares it
with the token's fingerprint and the TLS certificate with the CA, and only then sends its secret.
"""

import asyncio
import hashlib
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import msgspec

from littoral.edge.core.frames import UNREADABLE
from littoral.edge.core.token import EnrolmentToken
from littoral.edge.errors import (
    CertificateRefused,
    ChannelClosed,
    CloudNotTrusted,
    EnrolmentRefused,
    LinkPeerError,
)
from littoral.edge.model import ENROL_BYTES_MAX, Scope
from littoral.edge.ports import (
    Authority,
    Certificate,
    FrameChannel,
    IdentityStore,
    LinkLog,
    SiteIdentity,
    Smith,
)
from littoral.kernel.errors import LittoralError
from littoral.kernel.ids import NodeId
from littoral.kernel.time import Clock, ms_of
from littoral.registry import InvalidToken, Registry

_T = TypeVar("_T", bound=msgspec.Struct)

TIMEOUT_S = 15.0
"""How long one step of an enrolment may take."""

ENROLMENTS_MAX = 64
"""Enrolments at a time; each costs a signature or two."""


class Offer(msgspec.Struct, frozen=True):
    """The cloud: this is my CA (DER, base64)."""

    ca: str


class Application(msgspec.Struct, frozen=True):
    """The site: this is my secret (or none, if the key is known), and what I want signed."""

    csr: str
    token: str = ""


class Verdict(msgspec.Struct, frozen=True):
    """The cloud: your certificate (DER, base64), or why not."""

    site: str = ""
    certificate: str = ""
    error: str = ""
    message: str = ""


class Enrolment:
    """The cloud's side: redeems tokens, renews, and says whose a certificate is.

    Invariant: nobody is told of a certificate before it is durable who has it.
    """

    def __init__(
        self, *, registry: Registry, log: LinkLog, authority: Authority, clock: Clock
    ) -> None:
        self._registry = registry
        self._log = log
        self._authority = authority
        self._clock = clock
        self._running = 0

    async def accept(self, channel: FrameChannel) -> None:
        """Serve one connection on ``/enrol``."""
        if self._running >= ENROLMENTS_MAX:
            await channel.close("too many enrolments at once; try again.")
            return
        self._running += 1
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await self._serve(channel)
        except (ChannelClosed, TimeoutError):
            pass  # whoever it was is gone; there is nothing to undo
        finally:
            self._running -= 1

    async def renew(self, site: NodeId, request: bytes) -> bytes:
        """A new certificate for a site that is connected, for the key that it has."""
        fingerprint = self._authority.key_fingerprint(request)
        known = self._registry.site_of_key(fingerprint)
        if known is None or known.name != site:
            raise EnrolmentRefused(
                f"site {site!r} wants a certificate for a key that is not its own.",
                hint=_new_token(site),
            )
        certificate = self._sign_for(site, request, fingerprint)
        await self._log.wait()
        return certificate

    def check(self, certificate: bytes | None) -> NodeId:
        """Whose client certificate this is.

        Raises:
            CertificateRefused: none, not ours, not valid now, revoked, or of a removed site.
        """
        if certificate is None:
            raise CertificateRefused(
                "a site shows its certificate here, and there was none.",
                hint="Enrol the site first: littoral edge --token TOKEN.",
            )
        found = self._authority.inspect(certificate, now_ms=self._now_ms())
        self._check_not_revoked(found)
        return found.node

    def scope_of(self, name: NodeId) -> Scope:
        """What a site may see: the `Directory` of a `Downlink`."""
        return scope_of(self._registry, name)

    async def _serve(self, channel: FrameChannel) -> None:
        await _send(channel, Offer(_text(self._authority.certificate)))
        data = await channel.receive()
        try:
            application = _read(data, Application)
            site, certificate = self._decide(application)
            await self._log.wait()
        except LittoralError as e:
            await _send(channel, Verdict(error=e.code, message=str(e)))
        else:
            await _send(channel, Verdict(site=site, certificate=_text(certificate)))
        # The site closes; if it does not, the timeout does.
        await channel.receive()

    def _decide(self, application: Application) -> tuple[NodeId, bytes]:
        request = _bytes(application.csr)
        fingerprint = self._authority.key_fingerprint(request)
        if not application.token:
            return self._readmit(request, fingerprint)
        try:
            site = NodeId(self._registry.site_of_token(application.token).name)
            certificate = self._registry.redeem_token(
                application.token,
                key_fingerprint=fingerprint,
                issue=lambda: self._authority.sign(request, site=site, now_ms=self._now_ms()),
            )
        except InvalidToken as e:
            raise EnrolmentRefused(e.message, hint=_new_token()) from e
        serial = self._authority.inspect(certificate, now_ms=self._now_ms()).serial
        self._registry.add_certificate(site, serial, key_fingerprint=fingerprint)
        return site, certificate

    def _readmit(self, request: bytes, fingerprint: str) -> tuple[NodeId, bytes]:
        """A site whose certificate is expired: the request's signature proves its old key."""
        known = self._registry.site_of_key(fingerprint)
        if known is None:
            raise EnrolmentRefused("this cloud does not know this key.", hint=_new_token())
        site = NodeId(known.name)
        return site, self._sign_for(site, request, fingerprint)

    def _sign_for(self, site: NodeId, request: bytes, fingerprint: str) -> bytes:
        known = self._registry.site(site)
        if known is None or known.revoked:
            raise EnrolmentRefused(
                f"site {site!r} is revoked.", hint="An administrator of the cloud can reinstate it."
            )
        certificate = self._authority.sign(request, site=site, now_ms=self._now_ms())
        serial = self._authority.inspect(certificate, now_ms=self._now_ms()).serial
        self._registry.add_certificate(site, serial, key_fingerprint=fingerprint)
        return certificate

    def _check_not_revoked(self, certificate: Certificate) -> None:
        known = self._registry.site_of_certificate(certificate.serial)
        if known is None or known.name != certificate.node or known.revoked:
            raise CertificateRefused(
                f"the certificate of site {certificate.node!r} is revoked or replaced.",
                hint=f"Reinstate the site, or enrol it anew. {_new_token(certificate.node)}",
            )

    def _now_ms(self) -> int:
        """Time that a wrong clock cannot turn back."""
        return max(self._clock.now_ms(), ms_of(self._log.last_hlc))


def scope_of(registry: Registry, name: NodeId) -> Scope:
    """What a site may see of this node's records: its tenants, and what is in their namespaces.

    Raises:
        CertificateRefused: the site is unknown, or revoked.
    """
    site = registry.site(name)
    if site is None or site.revoked:
        raise CertificateRefused(
            f"site {name!r} is {'not registered' if site is None else 'revoked'}.",
            hint=_new_token(name, site.tenants if site is not None else ()),
        )
    namespaces: set[str] = set()
    for tenant_id in site.tenants:
        tenant = registry.tenant(tenant_id)
        if tenant is not None:
            namespaces.update(tenant.namespaces)
    return Scope(node=name, tenants=frozenset(site.tenants), namespaces=frozenset(namespaces))


async def enrol(
    channel: FrameChannel,
    *,
    identity: SiteIdentity,
    token: EnrolmentToken | None,
    store: IdentityStore,
    smith: Smith,
    clock: Clock,
) -> SiteIdentity:
    """The site's side: get a certificate over a channel to ``/enrol``.

    Args:
        channel: whose peer certificate TLS has taken without checking it: it is checked here.
        identity: with its key; its CA is empty before the first enrolment.
        token: None to re-enter with the key that the cloud knows.
        store: gets the enrolled identity.
        smith: makes the signing request, and checks the server.
        clock: tells whether the server's certificate is valid now.

    Returns:
        The identity with CA and certificate, stored.

    Raises:
        CloudNotTrusted: the server is not the token's; nothing secret was sent to it.
        EnrolmentRefused: the cloud says no, and why.
        ChannelClosed: the connection ended; enrolling again with the same key is safe.
    """
    try:
        async with asyncio.timeout(TIMEOUT_S):
            ca = await _trusted(channel, identity, token, smith, clock)
            request = smith.request(identity.key, site=identity.site)
            secret = "" if token is None else token.secret
            await _send(channel, Application(_text(request), secret))
            verdict = _read(await channel.receive(), Verdict)
    except TimeoutError as e:
        raise ChannelClosed("the cloud did not answer in time.") from e
    finally:
        await channel.close("done.")
    if verdict.error:
        raise EnrolmentRefused(verdict.message, refused=verdict.error)
    certificate = _bytes(verdict.certificate)
    not_before_ms, not_after_ms = smith.validity(certificate, key=identity.key)
    enrolled = replace(
        identity,
        site=NodeId(verdict.site),
        ca=ca,
        certificate=certificate,
        not_before_ms=not_before_ms,
        not_after_ms=not_after_ms,
    )
    store.save(enrolled)
    return enrolled


async def _trusted(
    channel: FrameChannel,
    identity: SiteIdentity,
    token: EnrolmentToken | None,
    smith: Smith,
    clock: Clock,
) -> bytes:
    """The cloud's CA, if it is the one that is expected and has certified this server."""
    ca = _bytes(_read(await channel.receive(), Offer).ca)
    if token is not None:
        good = hashlib.sha256(ca).hexdigest() == token.ca_fingerprint
    else:
        good = ca == identity.ca
    if not good:
        raise CloudNotTrusted(
            "the server that answered does not belong to the cloud that the token names.",
            hint="Check the address; nothing secret was sent.",
        )
    smith.check_server(channel.peer.certificate or b"", ca=ca, now_ms=clock.now_ms())
    return ca


async def ensure_enrolled(
    *,
    store: IdentityStore,
    token: EnrolmentToken | None,
    url: str,
    connect: Callable[[str], Awaitable[FrameChannel]],
    smith: Callable[[], Smith],
    clock: Clock,
    anew: bool = False,
) -> SiteIdentity:
    """The site's identity with a certificate that is valid now; gets one if it has none.

    Args:
        store: where the identity is, or will be.
        token: for the first enrolment; not looked at any more once there is a certificate, except
            if the cloud does not know the old key.
        url: where the cloud listens, if other than the token says; may be empty.
        connect: opens a channel to ``/enrol`` of a URL.
        smith: loaded only if something has to be signed.
        clock: tells whether the certificate is still valid.
        anew: get a new certificate although this one seems valid: the cloud has refused it.

    Raises:
        EnrolmentRefused, CloudNotTrusted, ChannelClosed, LinkUnreachable.
    """
    identity = store.load()
    if identity is None:
        if token is None:
            raise EnrolmentRefused("this site is not enrolled with a cloud.", hint=_new_token())
        identity = SiteIdentity(token.site, url or token.url, b"", smith().new_key(), b"")
        # Stored before it is used: after a lost answer the same key gets the same certificate.
        store.save(identity)
    if url and url != identity.url:
        identity = replace(identity, url=url)
    if identity.certificate and clock.now_ms() < identity.not_after_ms and not anew:
        return identity

    async def attempt(with_token: EnrolmentToken | None) -> SiteIdentity:
        return await enrol(
            await connect(identity.url),
            identity=identity,
            token=with_token,
            store=store,
            smith=smith(),
            clock=clock,
        )

    if not identity.certificate:
        return await attempt(token)
    try:
        return await attempt(None)
    except EnrolmentRefused:
        if token is None:
            raise
        return await attempt(token)


def _new_token(site: str = "NAME", tenants: Sequence[str] = ()) -> str:
    """What to do, with what is known of the site; a key or token that is refused tells nothing."""
    given = "".join(f" --tenant {one}" for one in tenants or ("T",))
    return (
        f"Make a new token for the site (littoral token create {site}{given}, at the cloud) "
        "and start it with that."
    )


def _text(data: bytes) -> str:
    return b64encode(data).decode()


def _bytes(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError as e:
        raise LinkPeerError("the peer sent base64 that cannot be read.") from e


def _read(data: bytes, kind: type[_T]) -> _T:
    if len(data) > ENROL_BYTES_MAX:
        raise LinkPeerError("an enrolment message is too large.")
    try:
        return msgspec.json.decode(data, type=kind)
    except UNREADABLE as e:
        raise LinkPeerError(f"an enrolment message cannot be read: {e}.") from e


async def _send(channel: FrameChannel, message: msgspec.Struct) -> None:
    await channel.send(msgspec.json.encode(message))
