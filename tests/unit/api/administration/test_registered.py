"""Users, tenants, devices and sites over HTTP, by administrators."""

import pytest

DEVOPS = ("devops", "foobar")
V1 = "/api/littoral/v1"
BODY = {"password": "correct horse", "roles": ["status"]}


def test_a_user_is_made_changed_and_removed(on_node):
    async def main(node):
        path = f"{V1}/users/eve"
        assert (await node.call("PUT", path, BODY, user=DEVOPS)).status == 201
        me = await node.call("GET", "/api/2/whoami", user=("eve", "correct horse"))
        assert me.json["defaultSubject"] == "nginx:eve"
        changed = await node.call("PUT", path, BODY | {"password": "battery staple"}, user=DEVOPS)
        assert (changed.status, changed.json["roles"]) == (200, ["status"])
        assert (
            await node.call("GET", "/api/2/whoami", user=("eve", "correct horse"))
        ).status == 401
        names = [
            u["name"] for u in (await node.call("GET", f"{V1}/users", user=DEVOPS)).json["items"]
        ]
        assert names == ["devops", "ditto", "eve"]
        assert (await node.call("DELETE", path, user=DEVOPS)).status == 204
        assert (await node.call("GET", path, user=DEVOPS)).status == 404

    on_node(main)


@pytest.mark.parametrize(
    "body", [{}, {"password": "short"}, BODY | {"roles": ["god"]}, BODY | {"x": 1}], ids=str
)
def test_a_user_that_makes_no_sense_is_refused(on_node, body):
    async def main(node):
        head = node.log.head
        assert (await node.call("PUT", f"{V1}/users/eve", body, user=DEVOPS)).status == 400
        assert node.log.head == head

    on_node(main)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "users"),
        ("PUT", "users/ditto"),
        ("DELETE", "tenants/DEFAULT_TENANT"),
        ("DELETE", "devices/DEFAULT_TENANT/4711"),
        ("DELETE", "sites/s1"),
    ],
)
def test_others_may_do_none_of_it(on_node, method, path):
    async def main(node):
        assert (await node.call(method, f"{V1}/{path}", BODY)).status == 403

    on_node(main)


def test_a_tenant_is_deleted_after_its_devices(on_node):
    async def main(node):
        tenant, device = f"{V1}/tenants/DEFAULT_TENANT", f"{V1}/devices/DEFAULT_TENANT/4711"
        assert (await node.call("DELETE", tenant, user=DEVOPS)).status == 409
        assert (await node.call("DELETE", device, user=DEVOPS)).status == 204
        assert (await node.call("DELETE", device, user=DEVOPS)).status == 404
        assert (await node.call("DELETE", tenant, user=DEVOPS)).status == 204
        assert node.registry.tenant("DEFAULT_TENANT") is None

    on_node(main)


def test_a_site_is_deleted(on_node):
    async def main(node):
        await node.call("POST", f"{V1}/tokens", {"site": "s1"}, user=DEVOPS)
        assert (await node.call("DELETE", f"{V1}/sites/s1", user=DEVOPS)).status == 204
        assert node.registry.site("s1") is None

    on_node(main)


def test_a_token_for_a_tenant_that_is_not_there_is_refused(on_node):
    async def main(node):
        head = node.log.head
        body = {"site": "s1", "tenants": ["DEFAULT_TENNANT"]}
        answer = await node.call("POST", f"{V1}/tokens", body, user=DEVOPS)
        assert answer.status == 404
        assert "DEFAULT_TENNANT" in answer.json["message"]
        assert node.log.head == head

    on_node(main)


def test_a_password_that_is_too_short_is_told_the_length(on_node):
    async def main(node):
        path = "/api/littoral/v1/users/ann"
        answer = await node.call("PUT", path, BODY | {"password": "short"}, user=DEVOPS)
        assert (answer.status, answer.json["message"]) == (
            400,
            "a password has 8 to 1,024 characters.",
        )

    on_node(main)
