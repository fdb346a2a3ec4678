"""API keys over HTTP: an administrator makes, lists and revokes them."""

import pytest

DEVOPS = ("devops", "foobar")
KEYS = "/api/littoral/v1/apikeys"


def made(answer):
    assert answer.status == 201, answer.body
    return answer.json


def test_a_key_signs_in_until_it_is_revoked(on_node):
    async def main(node):
        key = made(await node.call("POST", KEYS, {"subjects": ["nginx:ditto"]}, user=DEVOPS))
        headers = [("X-API-Key", key["key"])]
        answer = await node.call("GET", "/api/2/whoami", user=None, headers=headers)
        assert answer.json["subjects"] == ["nginx:ditto"]
        listed = await node.call("GET", KEYS, user=DEVOPS)
        assert [one["id"] for one in listed.json["items"]] == [key["id"]]
        assert "key" not in listed.json["items"][0]
        gone = await node.call("DELETE", f"{KEYS}/{key['id']}", user=DEVOPS)
        assert gone.status == 204
        answer = await node.call("GET", "/api/2/whoami", user=None, headers=headers)
        assert (answer.status, answer.code) == (401, "gateway:authentication.failed")

    on_node(main)


def test_only_an_administrator_may_make_keys(on_node):
    async def main(node):
        answer = await node.call("POST", KEYS, {"subjects": ["nginx:devops"]})
        assert answer.status == 403
        assert (await node.call("GET", KEYS)).status == 403

    on_node(main)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"subjects": []},
        {"subjects": ["nobody"]},
        {"subjects": ["device:t:d"]},
        {"subjects": ["a:b"], "ttlS": 0},
        {"subjects": ["a:b"], "roles": ["god"]},
        {"subjects": ["a:b"], "more": 1},
    ],
    ids=str,
)
def test_a_key_that_makes_no_sense_is_refused(on_node, body):
    async def main(node):
        head = node.log.head
        assert (await node.call("POST", KEYS, body, user=DEVOPS)).status == 400
        assert node.log.head == head

    on_node(main)
