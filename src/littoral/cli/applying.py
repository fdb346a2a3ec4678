"""``littoral apply``: manifests to a node, a line for each, progress beside them."""

import json
import sys
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from time import perf_counter

import msgspec
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
)
from rich.text import Text

from littoral.cli import manifests
from littoral.cli.output import Form, errors
from littoral.client import ApplyResult, Client

LINES_SHOWN_MAX = 50
"""Objects named one by one in a table; after so many, only the sum is news."""

WORDS = {"created": "created", "ok": "changed", "unchanged": "unchanged", "error": "refused"}


class _Speed(ProgressColumn):
    """Objects per second, over the last seconds."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} objects/s", style="dim")


class _Apply:
    """One run of the command."""

    def __init__(self, form: Form, *, quiet: bool) -> None:
        self._form = form
        self._quiet = quiet
        self._sent: deque[manifests.Manifest] = deque()
        self._shown = 0
        self.counts: Counter[str] = Counter()
        self.broken: manifests.InvalidManifestFile | None = None

    def sending(self, documents: Iterator[manifests.Manifest]) -> Iterator[Mapping[str, object]]:
        """Give the documents and remember where each stands until its answer comes.

        What is read before a broken one is still sent: how far it got does not depend on batches.
        """
        try:
            for document in documents:
                self._sent.append(document)
                yield document.value
        except manifests.InvalidManifestFile as e:
            self.broken = e

    def answered(self, result: ApplyResult) -> str:
        """Count and print one answer; return the sentence to complain with, if it is a refusal."""
        manifest = self._sent.popleft() if self._sent else None
        self.counts[result.result] += 1
        if self._form is Form.JSON:
            sys.stdout.write(json.dumps(msgspec.to_builtins(result), ensure_ascii=False) + "\n")
        if result.is_error:
            problem = f"{result.message} {result.description}".rstrip()
            if manifest is None:
                return problem
            return f"{manifest.place_of(result.message)}: {manifest.title}: {problem}"
        name = f"{result.kind.lower()}/{result.name}"
        if self._form is Form.NAME:
            sys.stdout.write(f"{name}\n")
        elif self._form is Form.TABLE and not self._quiet:
            self._shown += 1
            if self._shown <= LINES_SHOWN_MAX:
                sys.stdout.write(f"{name} {WORDS.get(result.result, result.result)}\n")
            elif self._shown == LINES_SHOWN_MAX + 1:
                sys.stdout.write("… (-o name prints them all)\n")
        return ""


def apply_files(client: Client, files: Sequence[str], *, form: Form, quiet: bool) -> int:
    """Apply all manifests of ``files``; print what became of each; return how many were refused.

    Raises:
        InvalidManifestFile: a file cannot be read; what stands before that is applied.
    """
    run = _Apply(Form.JSON if form is Form.YAML else form, quiet=quiet)
    terminal = errors()
    columns = (
        SpinnerColumn(), TextColumn("applying"), BarColumn(), MofNCompleteColumn(), _Speed()
    )  # fmt: skip
    progress = Progress(
        *columns, console=terminal, transient=True, disable=not terminal.is_terminal
    )
    began = perf_counter()
    try:
        with progress:
            task = progress.add_task("applying", total=manifests.estimate(files))
            for result in client.administration.apply(run.sending(manifests.read(files))):
                complaint = run.answered(result)
                progress.advance(task)
                if complaint:
                    terminal.print(complaint, style="red", markup=False)
    finally:
        _sum_up(run.counts, perf_counter() - began, beside=form is not Form.TABLE)
    if run.broken is not None:
        raise run.broken
    if not run.counts:
        raise manifests.InvalidManifestFile(
            f"{', '.join(files)}: there is no manifest in it.",
            hint="A manifest has apiVersion, kind, metadata and spec.",
        )
    return run.counts["error"]


def _sum_up(counts: Counter[str], seconds: float, *, beside: bool) -> None:
    total = counts.total()
    if not total:
        return
    parts = [f"{counts[r]:,} {word}" for r, word in WORDS.items() if counts[r]]
    speed = f" ({total / seconds:,.0f} objects/s)" if total > LINES_SHOWN_MAX else ""
    print(
        f"{', '.join(parts)} in {seconds:.1f} s{speed}", file=sys.stderr if beside else sys.stdout
    )
