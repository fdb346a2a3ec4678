"""Commands as the application runs them, against recorded answers of a node."""

import json
from dataclasses import dataclass

import httpx
import pytest
from typer.testing import CliRunner

from littoral.cli import build
from littoral.cli.target import Target
from littoral.client import Client
from littoral.kernel.errors import LittoralError


class Recorded(httpx.BaseTransport):
    """Answers ``METHOD /path`` with what is written down for it; remembers what was asked."""

    def __init__(self, answers):
        self._answers = {key: [*value] for key, value in answers.items()}
        self.asked = []

    def handle_request(self, request):
        request.read()
        key = f"{request.method} {request.url.path}"
        self.asked.append((key, json.loads(request.content) if request.content else None))
        answers = self._answers.get(key)
        assert answers, f"no answer is written down for {key}"
        status, body = answers.pop(0) if len(answers) > 1 else answers[0]
        return httpx.Response(status, content=body if isinstance(body, bytes) else dumped(body))


def dumped(body):
    return b"" if body is None else json.dumps(body).encode()


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str
    asked: list
    error: LittoralError | None = None


@pytest.fixture
def littoral(monkeypatch):
    """Run ``littoral WORDS`` with recorded answers: ``{"GET /api/…": [(status, body), …]}``."""

    def run(*words, answers, stdin=None):
        recorded = Recorded(answers)
        monkeypatch.setattr(
            Target, "client", lambda self: Client(self.url, transport=recorded), raising=True
        )
        done = CliRunner().invoke(build(), words, input=stdin)
        error = done.exception if isinstance(done.exception, LittoralError) else None
        if error is None and done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Ran(done.exit_code, done.stdout, done.stderr, recorded.asked, error)

    return run
