"""A user's file, loaded; and one handler, run. Shared by the worker process and the inline runner."""

import sys
import traceback
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from types import ModuleType

from littoral.functions.api import Context, Declaration, Outlet, collecting
from littoral.functions.errors import FunctionNotLoaded
from littoral.functions.wire import Declared, Work

MODULE = "littoral_function"
"""What the user's file is called while it runs."""

_ERROR_CHARS_MAX = 2000


@dataclass(frozen=True, slots=True)
class Program:
    """The handlers of one file."""

    declarations: Sequence[Declaration]

    @property
    def declared(self) -> list[Declared]:
        """What the host has to know of them."""
        return [declaration.declared for declaration in self.declarations]

    def run(self, work: Work, outlet: Outlet) -> Awaitable[object] | None:
        """Run one handler; if it is async, return what has to be awaited.

        Raises:
            Exception: whatever the handler raised.
        """
        declaration = self.declarations[work.handler]
        result = declaration.handler(Context(work, declaration.declared, outlet))
        return result if isinstance(result, Awaitable) else None


def load(filename: str, source: str | bytes) -> Program:
    """Execute a user's file and collect what it declares.

    Raises:
        FunctionNotLoaded: it is not Python, it raised, or it declares nothing.
    """
    module = ModuleType(MODULE)
    module.__file__ = filename
    sys.modules[MODULE] = module
    try:
        with collecting() as declarations:
            code = compile(source, filename, "exec", dont_inherit=True)
            exec(code, module.__dict__)  # noqa: S102  # running it is what it is for
    except SyntaxError as e:
        line = (e.text or "").strip()[:120]
        raise FunctionNotLoaded(
            f"{filename}, line {e.lineno}: {e.msg}: {line!r}.", hint="Correct the file."
        ) from e
    except (Exception, SystemExit) as e:
        raise FunctionNotLoaded(
            f"{filename} failed while it was loaded: {explain(e, filename)}.",
            hint="Correct the file; whatever it needs has to be installed in the node's venv.",
        ) from e
    if not declarations:
        raise FunctionNotLoaded(
            f"{filename} declares no handler.",
            hint='Decorate a function with @on("features/…") or @every("5s").',
        )
    return Program(declarations)


def explain(error: BaseException, filename: str) -> str:
    """One line about what a user's code raised, with the last line of that file it came from."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == filename
    ]
    place = f" (line {lines[-1]})" if lines else ""
    return f"{type(error).__name__}: {error}"[:_ERROR_CHARS_MAX] + place
