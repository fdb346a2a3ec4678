"""Commands on policies: a policy guards itself, and parts have Ditto's codes."""

import pytest

from littoral.kernel.errors import LittoralError
from littoral.twin import Caller, Conditions

P = "org.acme:p"
ADMIN = Caller(frozenset({"nginx:admin"}))
READER = Caller(frozenset({"nginx:reader"}))
OWN = {"policy:/": {"grant": ["READ", "WRITE"], "revoke": []}}
LOOK = {"policy:/entries/admin": {"grant": ["READ"], "revoke": []}}
DOCUMENT = {
    "entries": {
        "admin": {"subjects": {"nginx:admin": {"type": "t"}}, "resources": OWN},
        "reader": {"subjects": {"nginx:reader": {"type": "t"}}, "resources": LOOK},
    }
}


async def refused(awaitable):
    with pytest.raises(LittoralError) as caught:
        await awaitable
    return caught.value.code


PARTS = [
    ("/entries/new", {"subjects": {}, "resources": {}}, "entry"),
    ("/entries/reader/subjects", {"nginx:other": {"type": "t"}}, "subjects"),
    ("/entries/reader/subjects/nginx:more", {"type": "t"}, "subject"),
    ("/entries/reader/resources", {"thing:/": {"grant": ["READ"], "revoke": []}}, "resources"),
    ("/entries/reader/resources/thing:~1x", {"grant": ["READ"], "revoke": []}, "resource"),
    ("/entries/reader/importable", "never", "entry"),
]


@pytest.mark.parametrize(("path", "value", "noun"), PARTS, ids=[p for p, _, _ in PARTS])
def test_each_part_is_put_read_and_deleted(on_node, path, value, noun):
    async def main(node):
        twins = node.twins
        await twins.put_policy(ADMIN, P, "/", DOCUMENT)
        first = await twins.put_policy(ADMIN, P, path, value)
        read = await twins.retrieve_policy(ADMIN, P, path)
        assert (read.value, read.etag) == (value, first.etag)
        assert first.value == (value if first.created else None)
        assert not (await twins.put_policy(ADMIN, P, path, value)).created
        for call in (
            twins.put_policy(READER, P, path, value),
            twins.delete_policy(READER, P, path),
        ):
            assert await refused(call) == f"policies:{noun}.notmodifiable"
        assert await refused(twins.retrieve_policy(READER, P, path)) == f"policies:{noun}.notfound"
        wrong = Conditions(if_match='"x"')
        for call in (
            twins.put_policy(ADMIN, P, path, value, conditions=wrong),
            twins.delete_policy(ADMIN, P, path, conditions=wrong),
            twins.retrieve_policy(ADMIN, P, path, conditions=wrong),
        ):
            assert await refused(call) == "policies:precondition.failed"
        same = Conditions(if_none_match=read.etag)
        assert await refused(twins.retrieve_policy(ADMIN, P, path, conditions=same)) == (
            "policies:precondition.notmodified"
        )
        await twins.delete_policy(ADMIN, P, path)
        if noun not in {"subjects", "resources"}:
            assert await refused(twins.retrieve_policy(ADMIN, P, path)) == (
                f"policies:{noun}.notfound"
            )
            assert await refused(twins.delete_policy(ADMIN, P, path)) == f"policies:{noun}.notfound"
        await node.reopen(flush=False)
        assert node.twins.peek_policy(P)["entries"]["reader"]

    on_node(main)


def test_a_part_of_an_entry_that_is_not_there_is_not_found(on_node):
    async def main(node):
        twins = node.twins
        await twins.put_policy(ADMIN, P, "/", DOCUMENT)
        for path in ("/entries/no/subjects/a:b", "/entries/no/resources", "/entries/no/importable"):
            assert await refused(twins.put_policy(ADMIN, P, path, {})) == "policies:entry.notfound"
        assert "no" not in twins.peek_policy(P)["entries"]
        for path, noun in (
            ("/", "policy"),
            ("/entries/a", "entry"),
            ("/entries/a/subjects", "subjects"),
            ("/imports", "imports"),
            ("/imports/a:b", "import"),
        ):
            for call in (
                twins.retrieve_policy(ADMIN, "org.acme:none", path),
                twins.delete_policy(ADMIN, "org.acme:none", "/"),
            ):
                found = await refused(call)
                assert found in {f"policies:{noun}.notfound", "policies:policy.notfound"}
        code = await refused(twins.put_policy(ADMIN, "org.acme:none", "/entries/a", {}))
        assert code == "policies:entry.notfound"

    on_node(main)


def test_a_policy_is_made_replaced_deleted_and_made_again(on_node):
    async def main(node):
        twins = node.twins
        never = Conditions(if_match="*")
        code = await refused(twins.put_policy(ADMIN, P, "/", DOCUMENT, conditions=never))
        assert code == "policies:precondition.failed"
        new = Conditions(if_none_match="*")
        made = await twins.put_policy(ADMIN, P, "/", DOCUMENT, conditions=new)
        assert (made.created, made.etag, made.value) == (
            True,
            '"rev:1"',
            {"policyId": P} | DOCUMENT,
        )
        assert await refused(twins.put_policy(ADMIN, P, "/", DOCUMENT, conditions=new))
        assert not (await twins.put_policy(ADMIN, P, "/", DOCUMENT)).created
        seen = (await twins.retrieve_policy(READER, P)).value
        assert seen == {"policyId": P, "entries": {"admin": DOCUMENT["entries"]["admin"]}}
        stranger = node.stranger
        assert await refused(twins.retrieve_policy(stranger, P)) == "policies:policy.notfound"
        assert await refused(twins.put_policy(stranger, P, "/", DOCUMENT)) == (
            "policies:policy.notmodifiable"
        )
        await twins.delete_policy(ADMIN, P)
        assert await refused(twins.retrieve_policy(ADMIN, P)) == "policies:policy.notfound"
        assert (await twins.put_policy(ADMIN, P, "/", DOCUMENT)).revision == 4
        old = await twins.retrieve_policy(node.admin, P, "/entries/admin", at_revision=1)
        assert (old.value, old.revision) == (DOCUMENT["entries"]["admin"], 1)
        assert await refused(twins.put_policy(ADMIN, P, "/", {**DOCUMENT, "policyId": "a:b"})) == (
            "policies:id.notsettable"
        )
        assert await refused(twins.put_policy(ADMIN, P, "/", [])) == "policies:entry.invalid"

    on_node(main)


def test_policies_are_listed_page_by_page_without_the_deleted(on_node):
    async def main(node):
        ids = [f"org.acme:p{n:03}" for n in range(40)]
        for policy_id in ids:
            node.twins.policies.put(ADMIN, policy_id, "/", DOCUMENT)
        for policy_id in ids[:30]:
            node.twins.policies.delete(ADMIN, policy_id)
        await node.log.wait()
        assert node.twins.policy_ids(limit=5) == ids[30:35]
        assert node.twins.policy_ids(after=ids[35], limit=5) == [*ids[36:], "org.littoral:default"]

    on_node(main)


def test_what_is_granted_now_holds_at_once_and_what_was_taken_too(on_node):
    async def main(node):
        twins = node.twins
        thing = {"thing:/": {"grant": ["READ", "WRITE"], "revoke": []}}
        await twins.put_policy(ADMIN, P, "/", DOCUMENT)
        await twins.modify(node.admin, "org.acme:t", "/", {"policyId": P})
        assert await refused(twins.retrieve(READER, "org.acme:t")) == "things:thing.notfound"
        await twins.put_policy(ADMIN, P, "/entries/reader/resources", thing)
        await twins.modify(READER, "org.acme:t", "/attributes/a", 1)
        await twins.delete_policy(ADMIN, P, "/entries/reader")
        assert await refused(twins.modify(READER, "org.acme:t", "/attributes/a", 1)) == (
            "things:attribute.notmodifiable"
        )

    on_node(main)
