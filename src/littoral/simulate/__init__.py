"""The virtual world: the very same nodes under virtual time, network, disk and devices.

A run is a seed. `loop`, `time` and `entropy` replace what is not deterministic; `network` and
`disk` do what real ones do on bad days; `world` composes nodes from them and judges the outcome.

Invariant: nothing here opens a socket, a file or a thread; the same seed is the same run.
"""

from littoral.simulate.committer import VirtualCommitter
from littoral.simulate.devices import Account, VirtualDevice
from littoral.simulate.disk import Disk, Survival
from littoral.simulate.entropy import SeededEntropy
from littoral.simulate.files import DiskFiles
from littoral.simulate.frames import VirtualChannel, VirtualDialer, VirtualLinkListener
from littoral.simulate.loop import Late, OutsideTheWorld, SimLoop, Stuck, Unhandled, run
from littoral.simulate.network import Conditions, Listener, Network
from littoral.simulate.stream import VirtualTransport
from littoral.simulate.time import EPOCH_MS, VirtualClock
from littoral.simulate.vfs import DiskVfs

__all__ = [
    "EPOCH_MS",
    "Account",
    "Conditions",
    "Disk",
    "DiskFiles",
    "DiskVfs",
    "Late",
    "Listener",
    "Network",
    "OutsideTheWorld",
    "SeededEntropy",
    "SimLoop",
    "Stuck",
    "Survival",
    "Unhandled",
    "VirtualChannel",
    "VirtualClock",
    "VirtualCommitter",
    "VirtualDevice",
    "VirtualDialer",
    "VirtualLinkListener",
    "VirtualTransport",
    "run",
]
