"""The command line: kubectl's grammar over a node's HTTP door.

Data goes to stdout, progress and errors to stderr; exit codes are 0 ok, 1 failed, 2 usage,
3 not converged. `build` gives the application, to which `app` adds the commands that run nodes.
What a command needs is imported when it runs, so that ``--help`` does not wait for it.

Invariant: a face: it talks to nodes through `littoral.client` only.
"""

from littoral.cli.commands import build
from littoral.cli.output import Form, show, show_one

__all__ = ["Form", "build", "show", "show_one"]
