"""The cloud's CA and the sites' keys, with `cryptography`. Import it only where it is needed."""

import hashlib
import ipaddress
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from littoral.edge.errors import CertificateRefused, CloudNotTrusted, EnrolmentRefused
from littoral.edge.model import CERTIFICATE_DAYS
from littoral.edge.ports import Certificate
from littoral.kernel.errors import InvalidId
from littoral.kernel.ids import NodeId, parse_node_id

CA_DAYS = 20 * 365
SERVER_DAYS = 397
"""The listener's certificate is made anew at every start; a longer life gains nothing."""

BACKDATED = timedelta(hours=1)
"""A certificate is valid from a little before now: a site's clock may be behind."""

_CURVE = ec.SECP256R1
_REQUEST_BYTES_MAX = 16 * 1024


def _instant(ms: int) -> datetime:
    return datetime.fromtimestamp(ms // 1000, UTC)


def _ms(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _key_of(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("the key is not an elliptic curve key")  # noqa: TRY004  # of a file
    return key


def fingerprint(certificate: bytes) -> str:
    """SHA-256 of a certificate's DER, in hex: what an enrolment token carries."""
    return hashlib.sha256(certificate).hexdigest()


def new_authority(*, node: NodeId, now_ms: int) -> tuple[bytes, bytes]:
    """A CA of a cloud's own: certificate (DER) and key (PEM)."""
    key = ec.generate_private_key(_CURVE())
    name = _name(f"Littoral CA of {node}"[:64])
    now = _instant(now_ms)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.DER), _pem(key)


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


class LocalAuthority:
    """The `Authority` port over a key in memory."""

    def __init__(self, certificate: bytes, key: bytes) -> None:
        self._ca = x509.load_der_x509_certificate(certificate)
        self._key = _key_of(key)
        self._der = certificate

    @property
    def certificate(self) -> bytes:
        return self._der

    @property
    def fingerprint(self) -> str:
        """What enrolment tokens carry."""
        return fingerprint(self._der)

    def key_fingerprint(self, request: bytes) -> str:
        return _key_fingerprint(self._request(request).public_key())

    def sign(self, request: bytes, *, site: NodeId, now_ms: int) -> bytes:
        key = self._request(request).public_key()
        certificate = self._issue(
            key, common=site, names=[x509.DNSName(site)], now_ms=now_ms, days=CERTIFICATE_DAYS,
            purpose=ExtendedKeyUsageOID.CLIENT_AUTH,
        )  # fmt: skip
        return certificate.public_bytes(serialization.Encoding.DER)

    def server(self, *, node: NodeId, names: Iterable[str], now_ms: int) -> tuple[bytes, bytes]:
        """A certificate (DER) and key (PEM) for the listener; its common name is the node's."""
        key = ec.generate_private_key(_CURVE())
        certificate = self._issue(
            key.public_key(), common=node, names=[_general(n) for n in names], now_ms=now_ms,
            days=SERVER_DAYS, purpose=ExtendedKeyUsageOID.SERVER_AUTH,
        )  # fmt: skip
        return certificate.public_bytes(serialization.Encoding.DER), _pem(key)

    def inspect(self, certificate: bytes, *, now_ms: int) -> Certificate:
        try:
            leaf = x509.load_der_x509_certificate(certificate)
            leaf.verify_directly_issued_by(self._ca)
            _require(leaf, ExtendedKeyUsageOID.CLIENT_AUTH)
            node = parse_node_id(_common_name(leaf))
        except (ValueError, TypeError, InvalidSignature, InvalidId, LookupError) as e:
            raise CertificateRefused(
                "the certificate was not issued to a site by this cloud.",
                hint="Enrol the site with a token of this cloud.",
            ) from e
        found = Certificate(
            node,
            f"{leaf.serial_number:x}",
            _ms(leaf.not_valid_before_utc),
            _ms(leaf.not_valid_after_utc),
        )
        if not found.not_before_ms <= now_ms < found.not_after_ms:
            raise CertificateRefused(
                f"the certificate of {node!r} is not valid now.",
                hint="The site renews an expired one by itself; if that does not happen, compare "
                "the clocks of both machines.",
            )
        return found

    def _request(self, request: bytes) -> x509.CertificateSigningRequest:
        try:
            if len(request) > _REQUEST_BYTES_MAX:
                raise ValueError("too large")  # noqa: TRY301  # one way out for all
            parsed = x509.load_der_x509_csr(request)
            signed = parsed.is_signature_valid
            curve = isinstance(parsed.public_key(), ec.EllipticCurvePublicKey)
        except (ValueError, TypeError, UnsupportedAlgorithm) as e:
            raise EnrolmentRefused(
                "this is not a certificate signing request.", hint="Upgrade the site's software."
            ) from e
        if not signed or not curve:
            raise EnrolmentRefused(
                "the signing request is not signed by its own elliptic curve key.",
                hint="Upgrade the site's software.",
            )
        return parsed

    def _issue(
        self,
        key: object,
        *,
        common: str,
        names: list[x509.GeneralName],
        now_ms: int,
        days: int,
        purpose: x509.ObjectIdentifier,
    ) -> x509.Certificate:
        assert isinstance(key, ec.EllipticCurvePublicKey)
        now = _instant(now_ms)
        return (
            x509.CertificateBuilder()
            .subject_name(_name(common))
            .issuer_name(self._ca.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATED)
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(sign_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )


class KeySmith:
    """The `Smith` port: a site's own side."""

    def new_key(self) -> bytes:
        return _pem(ec.generate_private_key(_CURVE()))

    def request(self, key: bytes, *, site: NodeId) -> bytes:
        return (
            x509.CertificateSigningRequestBuilder()
            .subject_name(_name(site))
            .sign(_key_of(key), hashes.SHA256())
            .public_bytes(serialization.Encoding.DER)
        )

    def check_server(self, leaf: bytes, *, ca: bytes, now_ms: int) -> None:
        try:
            authority = x509.load_der_x509_certificate(ca)
            shown = x509.load_der_x509_certificate(leaf)
            shown.verify_directly_issued_by(authority)
            _require(shown, ExtendedKeyUsageOID.SERVER_AUTH)
        except (ValueError, TypeError, InvalidSignature, LookupError) as e:
            raise CloudNotTrusted(
                "the server that answered was not certified by the cloud that the token names.",
                hint="Check the address: something else answers there, or sits in between.",
            ) from e
        if not shown.not_valid_before_utc <= _instant(now_ms) < shown.not_valid_after_utc:
            raise CloudNotTrusted(
                "the cloud's certificate is not valid at this machine's time.",
                hint="Set this machine's clock.",
            )

    def validity(self, certificate: bytes, *, key: bytes) -> tuple[int, int]:
        try:
            shown = x509.load_der_x509_certificate(certificate)
        except ValueError as e:
            raise EnrolmentRefused("the cloud sent something that is no certificate.") from e
        if _key_fingerprint(shown.public_key()) != _key_fingerprint(_key_of(key).public_key()):
            raise EnrolmentRefused("the cloud sent a certificate for another key.")
        return _ms(shown.not_valid_before_utc), _ms(shown.not_valid_after_utc)


def _common_name(certificate: x509.Certificate) -> str:
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value)


def _require(certificate: x509.Certificate, purpose: x509.ObjectIdentifier) -> None:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound as e:
        raise LookupError("the certificate does not say what it is for") from e
    if purpose not in usage:
        raise LookupError("the certificate is for something else")


def _key_fingerprint(key: object) -> str:
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return hashlib.sha256(
        key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    ).hexdigest()


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
