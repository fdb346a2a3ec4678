"""Keys and certificates in files of a data directory, readable by their owner only."""

import os
from base64 import b64encode
from pathlib import Path

import msgspec

from littoral.edge.ports import SiteIdentity

_LINE = 64


def write_private(path: Path, data: bytes) -> None:
    """Replace a file, all or nothing, durably; nobody else may read it at any moment."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def pem_of(certificate: bytes) -> bytes:
    """A certificate in the form that `ssl` reads from files; no `cryptography` needed."""
    text = b64encode(certificate).decode()
    lines = [text[i : i + _LINE] for i in range(0, len(text), _LINE)]
    return "\n".join(
        ["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""]
    ).encode()


class FileIdentity:
    """The `IdentityStore` port: ``identity.json``, and beside it what `ssl` reads.

    Args:
        directory: the node's own; made if it is not there.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / "identity.json"
        self.chain_path = directory / "identity.pem"
        """Certificate and key; there once the site is enrolled."""

    def load(self) -> SiteIdentity | None:
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return None
        return msgspec.json.decode(data, type=SiteIdentity)

    def save(self, identity: SiteIdentity) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(self._path, msgspec.json.encode(identity))
        self.write_chain(identity)

    def write_chain(self, identity: SiteIdentity) -> None:
        """Make what `ssl` reads from what is stored; a crash may have come between the two."""
        if identity.certificate:
            write_private(self.chain_path, pem_of(identity.certificate) + identity.key)
