"""Write src/littoral/client/sync/ from src/littoral/client/aio/: one client, with and without asyncio.

Run by docs/generate.py (`make docs`); a tidy test compares. The rules are few because the modules
there leave everything that differs (sockets, locks, HTTP) to `http` and `sockets`, which have both.
"""

import re
import subprocess
import sys
from pathlib import Path

CLIENT = Path(__file__).parents[1] / "src" / "littoral" / "client"
NOTICE = (
    "# Written by docs/unasync.py from littoral.client.aio; change that, then run `make docs`.\n"
)

RULES = (
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\b__a(enter|exit)__\b", r"__\1__"),
    (r"\bAsyncIterator\b", "Iterator"),
    (r"\bAsyncBaseTransport\b", "BaseTransport"),
    (r"\bAsync(Http|Client|Things|Policies|Search|Messages|History|Administration|Beyond|Session|Socket|Lock)",
     r"\1"),
    (r"littoral\.client\.aio\b", "littoral.client.sync"),
    (r"The clients for asyncio\. `littoral\.client\.sync` is made from these modules: `make docs`\.",
     "The clients without asyncio, made from `littoral.client.aio`: `make docs`."),
    (r" async for one in ", " for one in "),
)  # fmt: skip


def modules() -> dict[str, str]:
    """Every module of the blocking client, by file name."""
    return {file.name: _plain(file.read_text()) for file in sorted((CLIENT / "aio").glob("*.py"))}


def _plain(text: str) -> str:
    for pattern, replacement in RULES:
        text = re.sub(pattern, replacement, text)
    text = text.replace("made from `littoral.client.sync`", "made from `littoral.client.aio`")
    return _tidy(NOTICE + text)


def _tidy(text: str) -> str:
    ruff = Path(sys.executable).with_name("ruff")
    for command in (("check", "--select", "I", "--fix", "-q"), ("format", "-q")):
        made = subprocess.run(
            [ruff, *command, "--stdin-filename", CLIENT / "sync" / "x.py", "-"],
            input=text,
            capture_output=True,
            text=True,
            check=True,
        )
        text = made.stdout
    return text


def write() -> None:
    """Write what is not as it should be."""
    folder = CLIENT / "sync"
    folder.mkdir(exist_ok=True)
    for name, text in modules().items():
        file = folder / name
        if not file.exists() or file.read_text() != text:
            file.write_text(text)


if __name__ == "__main__":
    write()
