"""/api/2/policies: whole policies, every part of them, actions, and what may be done where."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

from littoral.api.pipeline.commands import Commands
from littoral.api.pipeline.signals import SignalHeaders
from littoral.kernel.errors import LittoralError
from littoral.kernel.time import render
from littoral.twin import Caller
from littoral.twin.protocol import Action, Command

P = "/api/2/policies/org.acme:p"
Q = "/api/2/policies/org.acme:q"
OWNER = {
    "subjects": {"nginx:ditto": {"type": "me"}},
    "resources": {
        "thing:/": {"grant": ["READ", "WRITE"], "revoke": []},
        "policy:/": {"grant": ["READ", "WRITE"], "revoke": []},
    },
    "importable": "implicit",
}
EMPTY = {"subjects": {}, "resources": {}, "importable": "implicit"}
SCHEMA = jsonschema.Draft4Validator(
    json.loads((Path(__file__).parents[1] / "ditto" / "policy.json").read_text())
)


def check(answer):
    """A policy as Ditto's clients read it."""
    SCHEMA.validate(answer.json)
    return answer.json


def test_a_policy_is_made_read_replaced_and_deleted(on_node):
    async def main(node):
        made = await node.call("PUT", P, {"entries": {"owner": OWNER}})
        assert (made.status, made.headers["etag"]) == (201, '"rev:1"')
        assert made.headers["location"] == P
        assert check(made) == {"policyId": "org.acme:p", "entries": {"owner": OWNER}}
        read = await node.call("GET", P)
        assert (read.status, check(read)) == (200, made.json)
        assert (await node.call("PUT", P, {"entries": {"o": OWNER}})).status == 204
        special = await node.call(
            "GET", P + "?fields=_revision,_namespace,_modified,_created,policyId"
        )
        now = render(node.clock.now_ms())
        assert special.json == {
            "_revision": 2, "_namespace": "org.acme", "_modified": now, "_created": now,
            "policyId": "org.acme:p",
        }  # fmt: skip
        same = await node.call("GET", P, headers={"if-none-match": '"rev:2"'})
        assert (same.status, same.body) == (304, b"")
        stale = await node.call("GET", P, headers={"if-match": '"rev:1"'})
        assert (stale.status, stale.code) == (412, "policies:precondition.failed")
        only_new = await node.call("PUT", P, {"entries": {}}, headers={"if-none-match": "*"})
        assert (only_new.status, only_new.code) == (412, "policies:precondition.failed")
        unchanged = await node.call(
            "PUT", P, {"entries": {"o": OWNER}}, headers={"if-equal": "skip"}
        )
        assert unchanged.status == 412
        assert (await node.call("DELETE", P)).status == 204
        gone = await node.call("GET", P)
        assert (gone.status, gone.code) == (404, "policies:policy.notfound")
        assert (await node.call("PUT", P, {"entries": {"o": OWNER}})).headers["etag"] == '"rev:4"'

    on_node(main)


def test_a_policy_without_a_name_gets_one(on_node):
    async def main(node):
        for query, namespace in (("", "org.eclipse.ditto"), ("?namespace=org.acme", "org.acme")):
            made = await node.call("POST", "/api/2/policies" + query, {"entries": {"o": OWNER}})
            assert (made.status, made.headers["etag"]) == (201, '"rev:1"')
            policy_id = check(made)["policyId"]
            assert re.fullmatch(rf"{namespace}:[0-9a-f-]{{36}}", policy_id)
            assert made.headers["location"].endswith(f"/api/2/policies/{policy_id}")
            assert (await node.call("GET", f"/api/2/policies/{policy_id}")).json == made.json
        named = await node.call("POST", "/api/2/policies", {"policyId": "a:b", "entries": {}})
        assert (named.status, named.code) == (400, "policies:id.notsettable")
        assert (await node.call("POST", "/api/2/policies", [])).status == 400
        for method in ("GET", "PUT", "DELETE", "PATCH"):
            assert (await node.call(method, "/api/2/policies", {})).status == 405

    on_node(main)


PARTS = {
    # path: methods, a value to put, the status of putting it first
    "": ("GET PUT DELETE", None, 0),
    "/entries": ("GET PUT", {"owner": OWNER, "reader": EMPTY, "base": EMPTY}, 204),
    "/entries/more": ("GET PUT DELETE", EMPTY, 201),
    "/entries/reader/subjects": ("GET PUT", {"nginx:eve": {"type": "x"}}, 204),
    "/entries/reader/subjects/nginx:bob": ("GET PUT DELETE", {"type": "y"}, 201),
    "/entries/reader/resources": ("GET PUT", {"thing:/a": {"grant": ["READ"], "revoke": []}}, 204),
    "/entries/reader/resources/thing:/attributes/a": (
        "GET PUT DELETE", {"grant": ["READ"], "revoke": []}, 201,
    ),
    "/entries/reader/resources/thing:/": ("GET PUT DELETE", {"grant": [], "revoke": []}, 201),
    "/entries/reader/importable": ("GET PUT", "never", 204),
    "/entries/reader/namespaces": ("GET PUT", ["org.acme.*"], 204),
    "/entries/reader/allowedAdditions": ("GET PUT", ["subjects", "namespaces"], 204),
    "/entries/reader/references": ("GET PUT DELETE", [{"entry": "base"}], 201),
    "/imports": ("GET PUT DELETE", {"org.acme:q": {"entries": ["x"]}}, 204),
    "/imports/org.acme:q": ("GET PUT DELETE", {"entries": ["y"]}, 204),
    "/imports/org.acme:q/entries": ("GET PUT", ["owner"], 204),
    "/imports/org.acme:q/transitiveImports": ("GET PUT", ["a:b"], 204),
}  # fmt: skip


def test_each_part_has_its_methods(on_node):
    async def main(node):
        await node.call("PUT", Q, {"entries": {"owner": OWNER}})
        entries = {"owner": OWNER, "reader": EMPTY, "base": EMPTY}
        await node.call("PUT", P, {"entries": entries})
        for path, (methods, value, status) in PARTS.items():
            if value is not None:
                put = await node.call("PUT", P + path, value)
                assert (path, put.status) == (path, status)
                assert (put.json if status == 201 else put.body) == (
                    value if status == 201 else b""
                )
                assert ("location" in put.headers) is (status == 201)
                assert put.headers["etag"].startswith('"hash:')
                again = await node.call("PUT", P + path, value)
                assert (path, again.status) == (path, 204)
                read = await node.call("GET", P + path)
                assert (read.status, read.json) == (200, value)
                assert read.headers["etag"] == put.headers["etag"]
                same = await node.call(
                    "GET", P + path, headers={"if-none-match": put.headers["etag"]}
                )
                assert same.status == 304
            allowed = methods.split()
            for method in ("PATCH", "POST", *({"DELETE"} - set(allowed))):
                refused = await node.call(method, P + path, {}, headers=())
                assert (path, refused.status) == (path, 405)
                assert refused.headers["allow"] == ", ".join(allowed)
        whole = check(await node.call("GET", P))
        assert whole["imports"] == {
            "org.acme:q": {"entries": ["owner"], "transitiveImports": ["a:b"]}
        }
        for path, (methods, _, _) in reversed(PARTS.items()):
            if "DELETE" in methods:
                if path == "/imports":
                    await node.call("PUT", P + path, {"org.acme:q": {}})
                deleted = await node.call("DELETE", P + path)
                assert (path, deleted.status, deleted.body) == (path, 204, b"")

    on_node(main)


def test_what_policies_do_not_have_is_not_found(on_node):
    async def main(node):
        await node.call("PUT", P, {"entries": {"owner": OWNER}})
        for path in (
            "/nothing",
            "/entries/owner/nothing",
            "/entries/owner/subjects/a/b",
            "/imports/a:b/nothing",
            "/imports/a:b/entries/x",
            "/actions",
            "/actions/nothing",
            "/entries/owner/actions/nothing",
        ):
            for method in ("GET", "PUT", "DELETE", "POST"):
                assert (path, (await node.call(method, P + path, {})).status) == (path, 404)

    on_node(main)


def test_a_policy_that_cannot_be_is_refused(on_node):
    async def main(node):
        head = node.log.head
        for body in ({}, [], {"entries": {"x": 3}}, {"entries": {"o": OWNER}, "policyId": "a:b"}):
            assert (await node.call("PUT", P, body)).status in {400, 403}
        locked = {"entries": {"o": OWNER | {"resources": {}}}}
        refused = await node.call("PUT", P, locked)
        assert (refused.status, refused.code) == (403, "policies:policy.modificationinvalid")
        theirs = {"entries": {"o": OWNER | {"subjects": {"nginx:eve": {"type": "x"}}}}}
        refused = await node.call("PUT", P, theirs)
        assert (refused.status, refused.code) == (403, "policies:policy.notcreatable")
        for body in (
            b"{",
            b"\xff",
            b'{"a":1} {"a":2}',
            b"",
            b'{"entries":' + b"[" * 200 + b"]" * 200 + b"}",
        ):
            refused = await node.call("PUT", P, body, headers={"content-type": "application/json"})
            assert (refused.status, refused.code) == (400, "json.invalid")
        refused = await node.call("PUT", P, b"x" * 200_000)
        assert (refused.status, refused.code) == (413, "policies:policy.toolarge")
        refused = await node.call("PUT", P, b"{}", headers={"content-type": "text/plain"})
        assert refused.status == 415
        refused = await node.call("PUT", "/api/2/policies/acme", {"entries": {"o": OWNER}})
        assert (refused.status, refused.code) == (400, "policies:id.invalid")
        assert node.log.head == head
        assert (await node.call("PUT", P + "?allow-policy-lockout=true", theirs)).status == 201

    on_node(main)


def test_a_policy_guards_itself(on_node):
    async def main(node):
        await node.call("PUT", P, {"entries": {"owner": OWNER}})
        node.registry.put_user("eve", generated_password="e")
        assert (await node.call("GET", P, user=("eve", "e"))).status == 404
        put = await node.call("PUT", P, {"entries": {"owner": OWNER}}, user=("eve", "e"))
        assert (put.status, put.code) == (403, "policies:policy.notmodifiable")
        deleted = await node.call("DELETE", P, user=("eve", "e"))
        assert (deleted.status, deleted.code) == (403, "policies:policy.notmodifiable")

    on_node(main)


def test_a_policy_is_seen_resolved(on_node):
    async def main(node):
        await node.call("PUT", Q, {"entries": {"owner": OWNER, "x": EMPTY}})
        await node.call("PUT", P, {"entries": {"owner": OWNER}, "imports": {"org.acme:q": {}}})
        seen = await node.call("GET", P, headers={"policy-view": "resolved"})
        assert set(check(seen)["entries"]) == {
            "owner", "imported-org.acme:q-owner", "imported-org.acme:q-x",
        }  # fmt: skip
        assert "etag" not in seen.headers
        seen = await node.call(
            "GET", P, headers={"policy-view": "resolved", "if-none-match": '"rev:1"'}
        )
        assert seen.status == 200
        seen = await node.call("GET", P, headers={"policy-view": "original"})
        assert (set(seen.json["entries"]), seen.headers["etag"]) == ({"owner"}, '"rev:1"')
        odd = await node.call("GET", P, headers={"policy-view": "sideways"})
        assert (odd.status, odd.code) == (400, "policies:view.invalid")

    on_node(main)


def test_a_policy_is_seen_as_it_was(on_node):
    async def main(node):
        await node.call("PUT", P, {"entries": {"owner": OWNER}})
        await node.call("PUT", P, {"entries": {"owner": OWNER, "x": EMPTY}})
        old = await node.call("GET", P, headers={"at-historical-revision": "1"})
        assert set(check(old)["entries"]) == {"owner"}
        none = await node.call("GET", P + "?at-historical-revision=7")
        assert (none.status, none.code) == (404, "policies:policy.history.notfound")
        none = await node.call("GET", P + "?at-historical-timestamp=2001-01-01T00:00:00Z")
        assert (none.status, none.code) == (404, "policies:policy.history.notfound")

    on_node(main)


def test_the_creator_is_named_by_a_placeholder(on_node):
    async def main(node):
        me = OWNER | {"subjects": {"{{ request:subjectId }}": {"type": "the creator"}}}
        made = await node.call("PUT", P, {"entries": {"owner": me}})
        assert made.json["entries"]["owner"] == OWNER | {
            "subjects": {"nginx:ditto": {"type": "the creator"}}
        }
        path = "/entries/owner/subjects/{{ request:subjectId }}"
        assert (await node.call("PUT", P + path, {"type": "again"})).status == 204

    on_node(main)


def test_an_action_needs_a_token(on_node):
    async def main(node):
        await node.call("PUT", P, {"entries": {"owner": OWNER}})
        for path in ("/actions/", "/entries/owner/actions/"):
            for name in ("activateTokenIntegration", "deactivateTokenIntegration"):
                refused = await node.call("POST", P + path + name)
                assert (refused.status, refused.code) == (400, "policies:action.failed")
                for method in ("GET", "PUT", "DELETE", "PATCH"):
                    assert (await node.call(method, P + path + name, {})).status == 405

    on_node(main)


def test_an_action_of_a_tokens_holder_is_done(on_node):
    async def main(node):
        execute = {"policy:/": {"grant": ["READ", "WRITE", "EXECUTE"], "revoke": []}}
        entry = OWNER | {"resources": OWNER["resources"] | execute}
        await node.call("PUT", P, {"entries": {"owner": entry}})
        exp = node.clock.now_ms() // 1000 + 60
        caller = Caller(frozenset({"nginx:ditto"}), claims={"aud": "app", "exp": exp})
        commands = Commands(node.parts)
        name = "/entries/owner/actions/activateTokenIntegration"
        command = Command(Action.MODIFY, "policies", "org.acme:p", name, {})
        result = await commands.run(caller, command, SignalHeaders())
        assert result.status == 204
        subjects = (await node.call("GET", P + "/entries/owner/subjects")).json
        assert set(subjects) == {"nginx:ditto", "integration:owner:app"}
        stranger = Caller(frozenset({"nginx:eve"}), claims={"aud": "app", "exp": exp})
        with pytest.raises(LittoralError) as refused:
            await commands.run(stranger, command, SignalHeaders())
        assert refused.value.code == "policies:action.failed"

    on_node(main)


def test_a_thing_is_created_with_a_policy_of_its_own_or_a_copy(on_node):
    """§4.6: default, inline and copied policies; nothing is left behind when one is refused."""

    async def main(node):
        things, policies = "/api/2/things/org.acme:", "/api/2/policies/org.acme:"
        assert (await node.call("PUT", things + "a", {})).status == 201
        own = check(await node.call("GET", policies + "a"))
        assert list(own["entries"]) == ["DEFAULT"]
        assert set(own["entries"]["DEFAULT"]["subjects"]) == {"nginx:ditto"}
        inline = {
            "entries": {"me": OWNER | {"subjects": {"{{ request:subjectId }}": {"type": "t"}}}}
        }
        body = {"_policy": inline, "policyId": "org.acme:named"}
        made = await node.call("PUT", things + "b", body)
        assert (made.status, made.json["policyId"]) == (201, "org.acme:named")
        assert "_policy" not in made.json
        kept = check(await node.call("GET", policies + "named"))
        assert set(kept["entries"]["me"]["subjects"]) == {"nginx:ditto"}
        for source in ("org.acme:named", "{{ ref:things/org.acme:b/policyId }}"):
            name = "c" if source[0] == "o" else "d"
            assert (
                await node.call("PUT", things + name, {"_copyPolicyFrom": source})
            ).status == 201
            copied = check(await node.call("GET", policies + name))
            assert copied == kept | {"policyId": f"org.acme:{name}"}
        head = node.log.head
        for body, status, code in (
            ({"_policy": inline, "_copyPolicyFrom": "a:b"}, 400, "things:policy.conflicting"),
            ({"_policy": 3}, 400, "things:policy.invalid"),
            ({"_policy": {"entries": {}}}, 403, "policies:policy.modificationinvalid"),
            ({"_copyPolicyFrom": "org.acme:none"}, 404, "policies:policy.notfound"),
            ({"_copyPolicyFrom": "{{ ref:things/org.acme:b/x }}"}, 400,
             "placeholder:placeholder.reference.unknownfield"),
            ({"_copyPolicyFrom": "{{ ref:policies/a:b/policyId }}"}, 400,
             "placeholder:placeholder.reference.notsupported"),
            ({"policyId": "org.acme:none"}, 400, "things:thing.notcreatable"),
            ({"_policy": inline, "policyId": "org.acme:named"}, 400, "things:thing.notcreatable"),
            ({"_policy": inline, "attributes": {"x": "y" * 103_000}}, 413, "things:thing.toolarge"),
        ):  # fmt: skip
            refused = await node.call("PUT", things + "e", body)
            assert (refused.status, refused.code) == (status, code)
        assert node.log.head == head
        # A policy outlives its thing, and is in the way of the next one.
        assert (await node.call("DELETE", things + "a")).status == 204
        refused = await node.call("PUT", things + "a", {})
        assert (refused.status, refused.code) == (400, "things:thing.notcreatable")
        assert (await node.call("PUT", things + "a", {"policyId": "org.acme:a"})).status == 201

    on_node(main)
