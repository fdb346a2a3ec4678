"""Policies as they were, resolved, and asked about; and the actions of a token's holder."""

import asyncio

import pytest

from littoral.kernel.errors import LittoralError
from littoral.kernel.time import render
from littoral.twin import Caller, Conditions, PolicySettings
from littoral.twin.policies.actions import ACTIVATE, DEACTIVATE
from littoral.twin.statuses import status_of

P, Q, ROOT = "org.acme:p", "org.acme:q", "ops:root"
ADMIN = Caller(frozenset({"nginx:admin"}))
READER = Caller(frozenset({"nginx:reader"}))
ALL = {"policy:/": {"grant": ["READ", "WRITE"]}, "thing:/": {"grant": ["READ", "WRITE"]}}
READ_THINGS = {"thing:/": {"grant": ["READ"], "revoke": []}}
READ_POLICY = {"policy:/": {"grant": ["READ"], "revoke": []}}


def document(imports=None, **entries):
    owner = {"subjects": {"nginx:admin": {}}, "resources": ALL, "importable": "never"}
    return {"entries": {"owner": owner, **entries}, "imports": imports or {}}


def entry(*subjects, resources=READ_THINGS, **more):
    return {"subjects": {one: {} for one in subjects}, "resources": resources, **more}


def refused(command, *args, **more):
    with pytest.raises(LittoralError) as caught:
        command(*args, **more)
    return caught.value.code, status_of(caught.value)


def test_a_policy_is_read_as_it_was(on_node):
    async def main(node):
        policies = node.twins.policies
        policies.put(ADMIN, P, "/", document(a=entry("nginx:x")))
        await node.log.wait()
        await asyncio.sleep(10)
        before = node.clock.now_ms()
        await asyncio.sleep(10)
        policies.put(ADMIN, P, "/", document())
        await node.log.wait()
        for at in ({"at_revision": 1}, {"at_ms": before}):
            view = policies.retrieve(ADMIN, P, **at)
            assert set(view.value["entries"]) == {"owner", "a"}
            assert view.revision == 1
            assert policies.retrieve(ADMIN, P, "/entries/a/importable", **at).value == "implicit"
        for at in ({"at_revision": 3}, {"at_ms": before - 3_600_000}):
            assert refused(policies.retrieve, ADMIN, P, **at) == (
                "policies:policy.history.notfound", 404,
            )  # fmt: skip
        assert refused(policies.retrieve, READER, P, at_revision=1) == (
            "policies:policy.notfound", 404,
        )  # fmt: skip
        policies.delete(ADMIN, P)
        assert refused(policies.retrieve, ADMIN, P, at_revision=1)[0] == "policies:policy.notfound"
        policies.put(ADMIN, P, "/", document())
        await node.log.wait()
        assert refused(policies.retrieve, ADMIN, P, at_revision=3)[0] == (
            "policies:policy.history.notfound"
        )

    on_node(main)


def test_a_resolved_policy_shows_what_is_imported_as_far_as_it_may_be_read_there(on_node):
    async def main(node):
        policies = node.twins.policies
        shared = document(
            viewers=entry("nginx:reader", resources={"policy:/entries/open": {"grant": ["READ"]}}),
            open=entry("nginx:a"),
            secret=entry("nginx:b"),
        )
        policies.put(ADMIN, Q, "/", shared)
        policies.put(ADMIN, ROOT, "/", document(audit=entry("nginx:c")))
        policies.put(
            ADMIN, P, "/", document({Q: {}}, reader=entry("nginx:reader", resources=READ_POLICY))
        )
        view = policies.retrieve(ADMIN, P, resolved=True)
        assert set(view.value["entries"]) == {
            "owner", "reader", f"imported-{Q}-viewers", f"imported-{Q}-open",
            f"imported-{Q}-secret", f"nsimported-{ROOT}-audit",
        }  # fmt: skip
        assert view.etag == ""
        assert view.value["imports"] == {Q: {}}
        seen = policies.retrieve(READER, P, resolved=True).value["entries"]
        assert set(seen) == {"owner", "reader", f"imported-{Q}-open"}
        ignored = Conditions(if_none_match="*", if_match='"x"')
        policies.retrieve(ADMIN, P, resolved=True, conditions=ignored)
        part = f"/entries/imported-{Q}-open/subjects"
        assert policies.retrieve(ADMIN, P, part, resolved=True).value == {"nginx:a": {}}
        assert refused(policies.retrieve, ADMIN, P, part)[0] == "policies:subjects.notfound"
        await node.log.wait()

    on_node(main, settings=PolicySettings(namespace_roots={"org.*": (ROOT,)}))


def test_questions_about_permissions_are_answered_by_name(on_node):
    async def main(node):
        twins = node.twins
        secret = {"thing:/features/secret": {"grant": [], "revoke": ["READ"]}}
        message = {"message:/inbox": {"grant": ["WRITE"], "revoke": []}}
        twins.policies.put(
            ADMIN, P, "/",
            document(a=entry("nginx:reader"), b=entry("nginx:reader", resources={**secret, **message})),
        )  # fmt: skip
        await twins.modify(ADMIN, "org.acme:t", "/", {"policyId": P})

        def question(resource, *permissions, entity="org.acme:t"):
            return {"resource": resource, "entityId": entity, "hasPermissions": list(permissions)}

        asked = {
            "part": question("thing:/attributes/x", "READ"),
            "whole": question("thing:/", "READ"),
            "secret": question("thing:/features/secret", "READ"),
            "both": question("thing:/attributes", "READ", "WRITE"),
            "send": question("message:/inbox/messages/go", "WRITE"),
            "policy": question("policy:/", "READ", entity=P),
            "other type": question("topic:/", "READ"),
            "gone": question("thing:/", "READ", entity="org.acme:gone"),
            "no id": question("thing:/", "READ", entity="acme"),
        }
        answers = twins.policies.check_permissions(READER, asked)
        assert {name for name, yes in answers.items() if yes} == {"part", "send"}
        assert set(answers) == set(asked)
        all_of_it = twins.policies.check_permissions(ADMIN, asked)
        assert {name for name, yes in all_of_it.items() if yes} == {
            "part", "whole", "secret", "both", "policy",
        }  # fmt: skip
        for odd in (
            [],
            3,
            {"x": 3},
            {"x": question("thing:/")},
            {"x": question("thing:/", "read")},
        ):
            assert refused(twins.policies.check_permissions, READER, odd)[1] == 400

    on_node(main)


TOKEN = {
    "policy:/entries/team/actions": {"grant": ["EXECUTE"], "revoke": []},
    "policy:/entries/other/actions": {"grant": ["EXECUTE"], "revoke": []},
}


def holder(now_ms, **claims):
    """Somebody who came with a token that is good for an hour and a half."""
    more = {"aud": ["app-1", "app-2"], "exp": now_ms // 1000 + 5400, **claims}
    return Caller(frozenset({"nginx:holder"}), claims=more)


def actions_document():
    return document(
        may=entry("nginx:holder", resources=TOKEN),
        team=entry("nginx:holder"),
        other=entry("nginx:holder", resources=READ_POLICY),
        foreign=entry("nginx:x"),
    )


def test_a_token_lets_what_it_was_made_for_read_along_for_as_long_as_it_is_good(on_node):
    async def main(node):
        twins = node.twins
        twins.policies.put(ADMIN, P, "/", actions_document())
        now = node.clock.now_ms()
        body = {"announcement": {"whenDeleted": True}}
        outcome = twins.actions.act(holder(now), P, ACTIVATE, body=body)
        assert (outcome.created, outcome.revision, outcome.etag) == (False, 2, '"rev:2"')
        entries = twins.peek_policy(P)["entries"]
        added = {k: v for k, v in entries["team"]["subjects"].items() if k != "nginx:holder"}
        assert set(added) == {"integration:team:app-1", "integration:team:app-2"}
        expiry = render(-(-(now + 5_400_000) // 3_600_000) * 3_600_000).replace(".000Z", "Z")
        for subject in added.values():
            assert subject["expiry"] == expiry
            assert subject["announcement"] == {"whenDeleted": True}
            assert "activateTokenIntegration" in subject["type"]
        assert set(entries["other"]["subjects"]) == {"nginx:holder"}, "it lets nobody read things"
        app = Caller(frozenset({"integration:team:app-1"}))
        assert twins.book.enforcer(P, "n").may(app.subjects, "READ", "thing:/")
        twins.actions.act(holder(now, aud="app-1"), P, DEACTIVATE, label="team")
        assert set(twins.peek_policy(P)["entries"]["team"]["subjects"]) == {
            "nginx:holder", "integration:team:app-2",
        }  # fmt: skip
        await node.log.wait()

    on_node(main)


def test_an_action_is_refused_with_a_status_that_says_why(on_node):
    async def main(node):
        twins = node.twins
        act = twins.actions.act
        twins.policies.put(ADMIN, P, "/", actions_document())
        await node.log.wait()
        now, head = node.clock.now_ms(), node.log.head
        failed = "policies:action.failed"
        assert refused(act, READER, P, ACTIVATE) == (failed, 400)
        stranger = Caller(frozenset({"nginx:nobody"}), claims={"exp": now})
        assert refused(act, stranger, P, ACTIVATE) == (failed, 403)
        assert refused(act, holder(now), P, ACTIVATE, label="foreign") == (failed, 403)
        assert refused(act, holder(now), P, ACTIVATE, label="other") == (failed, 404)
        assert refused(act, holder(now), P, ACTIVATE, label="gone") == (failed, 403)
        assert refused(act, holder(now, exp=now // 1000 - 1), P, ACTIVATE) == (failed, 400)
        assert refused(act, holder(now, exp=None), P, ACTIVATE) == (failed, 400)
        assert refused(act, holder(now, aud=None), P, ACTIVATE) == (
            "placeholder:placeholder.notresolvable", 400,
        )  # fmt: skip
        odd = {"announcement": {"beforeExpiry": "soon"}}
        assert refused(act, holder(now), P, ACTIVATE, body=odd) == (
            "policies:subjectannouncement.invalid", 400,
        )  # fmt: skip
        assert refused(act, holder(now), Q, ACTIVATE) == ("policies:policy.notfound", 404)
        assert node.log.head == head

    on_node(main)


def test_an_action_cannot_make_the_owner_leave(on_node):
    async def main(node):
        twins = node.twins
        execute = {"policy:/": {"grant": ["READ", "WRITE", "EXECUTE"]}, **READ_THINGS}
        twins.policies.put(
            ADMIN, P, "/", {"entries": {"a": entry("nginx:admin", resources=execute)}}
        )
        caller = Caller(
            ADMIN.subjects, claims={"sub": "nginx:admin", "exp": node.clock.now_ms() // 1000 + 60}
        )
        assert refused(twins.actions.act, caller, P, ACTIVATE) == (
            "policies:entry.modificationinvalid", 403,
        )  # fmt: skip
        await node.log.wait()

    on_node(main, settings=PolicySettings(token_subject="{{ jwt:sub }}"))
