"""Lines of JSON, however their bytes arrive."""

from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.api.http.ndjson import LineSplitter


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=20).map(lambda b: b.replace(b"\n", b"")), max_size=8), st.data())
def test_lines_are_the_same_however_they_were_cut(lines, data):
    body = b"\n".join(lines)
    limit = 12
    wanted = [None if len(line) > limit else line.strip() for line in lines]
    wanted = [line for line in wanted if line is None or line]
    splitter, got = LineSplitter(limit), []
    while body:
        cut = data.draw(st.integers(1, len(body)))
        got += splitter.feed(body[:cut])
        body = body[cut:]
    got += splitter.end()
    assert got == wanted


def test_a_line_without_end_takes_no_memory():
    splitter = LineSplitter(10)
    got = [line for _ in range(1000) for line in splitter.feed(b"x" * 8)]
    assert got == [None]
    assert list(splitter.feed(b"\nnext\n")) == [b"next"]
