"""The ``littoral`` command.

``up`` and ``edge`` run nodes and import only what a node needs; everything else is the command
line of `littoral.cli`, which is slower to start and is not installed at an edge that lacks it.
"""

import sys

from littoral.kernel.errors import LittoralError

NODE_COMMANDS = ("up", "edge")
VERSION_WORDS = ("version", "--version", "-V")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit code: 0 ok, 1 failed, 2 usage, 3 not converged."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if arguments and arguments[0] in NODE_COMMANDS:
            from littoral.app.nodes import run_node

            return run_node(arguments[0], arguments[1:])
        if arguments and arguments[0] in VERSION_WORDS:
            from littoral import __version__
            from littoral.native import VARIANT

            print(f"littoral {__version__} (hot path: {VARIANT})")
            return 0
        return _command_line(arguments)
    except LittoralError as e:
        print(f"littoral: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _command_line(arguments: list[str]) -> int:
    try:
        from littoral.app.cli import run
    except ModuleNotFoundError as e:
        if e.name is None or e.name.startswith("littoral"):
            raise
        print(
            f"littoral: this installation has no command line ({e.name} is missing). "
            "It runs nodes: littoral up, littoral edge. "
            "Install littoral[cli] for the rest.",
            file=sys.stderr,
        )
        return 2
    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
