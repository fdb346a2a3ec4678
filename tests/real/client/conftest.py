import secrets

import pytest

from littoral.client import Client

RIGHTS = {
    key: {"grant": ["READ", "WRITE"], "revoke": []} for key in ("thing:/", "policy:/", "message:/")
}


@pytest.fixture
def client(dev_node):
    with Client(dev_node.url, user="ditto", password="ditto") as client:
        yield client


@pytest.fixture
def admin(dev_node):
    with Client(dev_node.url, user="devops", password="foobar") as client:
        yield client


@pytest.fixture
def fresh():
    """An id that nobody else has."""
    return lambda what="thing": f"org.littoral:{what}-{secrets.token_hex(5)}"


@pytest.fixture
def made(client, fresh):
    """Make a thing, with a policy of its own."""

    def make(**members):
        thing_id = fresh()
        entry = {"subjects": {"nginx:ditto": {"type": "user"}}, "resources": RIGHTS}
        client.policies.put(thing_id, {"entries": {"owner": entry}})
        client.things.put(thing_id, {"policyId": thing_id, **members})
        return thing_id

    return make
