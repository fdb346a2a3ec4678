"""The cloud's CA in files of its data directory. Apart from `files`: a site never signs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from littoral.edge.adapters.certificates import LocalAuthority, new_authority
from littoral.edge.adapters.files import pem_of, write_private
from littoral.kernel.ids import NodeId


@dataclass(frozen=True, slots=True)
class AuthorityFiles:
    """A cloud's CA, and the certificate of its listener."""

    authority: LocalAuthority
    chain_path: Path
    """Certificate and key of the listener."""


def open_authority(
    directory: Path, *, node: NodeId, names: Sequence[str], now_ms: int
) -> AuthorityFiles:
    """The CA in ``directory``, made at the first start; the listener's certificate is made anew."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    certificate_path, key_path = directory / "ca.der", directory / "ca.key"
    if not certificate_path.exists():
        # The certificate is written last: without it, the key is of no use and is made again.
        made, key = new_authority(node=node, now_ms=now_ms)
        write_private(key_path, key)
        write_private(certificate_path, made)
    authority = LocalAuthority(certificate_path.read_bytes(), key_path.read_bytes())
    shown, key = authority.server(node=node, names=names, now_ms=now_ms)
    chain_path = directory / "listener.pem"
    write_private(chain_path, pem_of(shown) + key)
    return AuthorityFiles(authority, chain_path)
