"""What a node needs from its world: the real one (`app`) or the virtual one (`simulate`)."""

from collections.abc import Callable
from dataclasses import dataclass

from littoral.edge import Authority, BesideSession, Dialer, Enrolment, Listener
from littoral.functions.host import Runner
from littoral.identity import KeyFetcher, TokenVerifier
from littoral.kernel.time import Clock, Entropy
from littoral.log import Committer, Scheduler, Store
from littoral.registry import PasswordHasher
from littoral.search import Index, Worker

MakeRunner = Callable[[str], Runner]
"""A function's file to what runs it."""

MakeListener = Callable[[Enrolment | None], Listener]
"""The cloud's side of the link, for who may come in; the virtual world needs no certificates."""


@dataclass(frozen=True, slots=True)
class NodePorts:
    """Everything that is not deterministic, and everything that touches the outside.

    The doors' sockets are not here: whoever runs a node binds `Node.mqtt` and `Node.http`.
    """

    clock: Clock
    entropy: Entropy
    scheduler: Scheduler
    """The running loop, or what stands for it."""
    store: Store
    committer: Committer
    hasher: PasswordHasher
    search: Callable[[], tuple[Index, Worker]] | None = None
    """Makes the search index and what runs its work; None for a node without one."""
    listener: MakeListener | None = None
    """A cloud's side of the link; None for a node that takes no sites."""
    authority: Authority | None = None
    """Signs the certificates of sites; None where sites prove their names otherwise."""
    dialer: Dialer | None = None
    """A site's way to its cloud; None for a node that links to none."""
    beside_uplink: BesideSession | None = None
    """Runs beside each session with the cloud: renews the site's certificate."""
    runner: MakeRunner | None = None
    verifier: TokenVerifier | None = None
    """Checks tokens of OpenID providers; None where there is nothing to check them with."""
    fetcher: KeyFetcher | None = None
    """Gets the providers' public keys."""
