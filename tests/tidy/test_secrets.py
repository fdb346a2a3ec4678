"""What proves who somebody is stays out of texts that may end up in a log or a traceback."""

import pytest

from littoral.cli.target import Target
from littoral.client.http import Target as ClientTarget
from littoral.gateway.mqtt import Connect
from littoral.identity import Proofs

HIDDEN = "hunter2"


@pytest.mark.parametrize(
    "value",
    [
        Proofs(authorization=HIDDEN, api_key=HIDDEN, access_token=HIDDEN),
        Connect("c1", username="d@T", password=HIDDEN.encode()),
        Target("http://localhost", user="ditto", password=HIDDEN, api_key=HIDDEN),
        ClientTarget("http://localhost", user="ditto", password=HIDDEN, token=HIDDEN),
    ],
    ids=lambda value: type(value).__module__,
)
def test_a_secret_is_not_in_the_text_of_what_carries_it(value):
    assert HIDDEN not in repr(value) and HIDDEN not in str(value)
