"""What a subscriber narrows a feed to: any text is a filter, or refused."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.api.streams.filters import select
from littoral.kernel.errors import LittoralError


@pytest.mark.slow
@given(st.text(max_size=40), st.text(max_size=40))
def test_whatever_stands_in_a_filter_is_read_or_refused(namespaces, text):
    with contextlib.suppress(LittoralError):
        select(namespaces=namespaces, filter_text=text, extra_fields=text)
