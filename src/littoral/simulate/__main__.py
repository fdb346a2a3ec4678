"""Replay one world: ``python -m littoral.simulate SEED [--trace]``; exit code 1 if it is not fine."""

import argparse
import sys

from littoral.simulate.plan import draw
from littoral.simulate.world import run_world


def main() -> int:
    """Run the world of a seed and say how it was judged; ``--trace`` tells what happened in it."""
    parser = argparse.ArgumentParser(prog="python -m littoral.simulate", description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("--trace", action="store_true", help="tell what happens, line by line")
    parser.add_argument("--plan", action="store_true", help="tell what was drawn, and stop")
    parser.add_argument(
        "--forgetful", action="store_true", help="logs keep little, sites come late"
    )
    arguments = parser.parse_args()
    if arguments.plan:
        plan = draw(arguments.seed)
        for one in (
            *plan.hosts,
            *plan.devices,
            *plan.faults,
            *plan.writes,
            *plan.commands,
            *plan.letters,
        ):
            _say(str(one))
        return 0
    verdict = run_world(
        arguments.seed, forgetful=arguments.forgetful, trace=_say if arguments.trace else None
    )
    _say(str(verdict))
    return 0 if verdict.ok else 1


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
