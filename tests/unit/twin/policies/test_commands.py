"""Commands on policies: a policy guards itself, and parts have Ditto's codes."""

import pytest

from littoral.kernel.errors import LittoralError
from littoral.twin import Caller, Conditions, IfEqual

P = "org.acme:p"
ADMIN = Caller(frozenset({"nginx:admin"}))
READER = Caller(frozenset({"nginx:reader"}))
OWN = {"policy:/": {"grant": ["READ", "WRITE"], "revoke": []}}
LOOK = {"policy:/entries/admin": {"grant": ["READ"], "revoke": []}}
DOCUMENT = {
    "entries": {
        "admin": {
            "subjects": {"nginx:admin": {"type": "t"}},
            "resources": OWN,
            "importable": "implicit",
        },
        "reader": {
            "subjects": {"nginx:reader": {"type": "t"}},
            "resources": LOOK,
            "importable": "implicit",
        },
        "plain": {"subjects": {}, "resources": {}, "importable": "implicit"},
    }
}


async def refused(awaitable):
    with pytest.raises(LittoralError) as caught:
        await awaitable
    return caught.value.code


SHARED = "org.acme:shared"
NEW = {"subjects": {}, "resources": {}, "importable": "explicit"}
PARTS = [
    # path, value, noun in codes, whether putting it makes it, whether it can be deleted
    ("/entries/new", NEW, "entry", True, True),
    ("/entries/reader/subjects", {"nginx:other": {"type": "t"}}, "subjects", False, False),
    ("/entries/reader/subjects/nginx:more", {"type": "t"}, "subject", True, True),
    ("/entries/reader/resources", {"thing:/": {"grant": ["READ"], "revoke": []}}, "resources", False, False),
    ("/entries/reader/resources/thing:~1x", {"grant": ["READ"], "revoke": []}, "resource", True, True),
    ("/entries/reader/importable", "never", "entry", False, False),
    ("/entries/reader/namespaces", ["com.acme.*"], "entry", False, False),
    ("/entries/reader/allowedAdditions", ["subjects"], "entry", False, False),
    ("/entries/reader/references", [{"entry": "plain"}], "entry", True, True),
    ("/imports", {SHARED: {"entries": ["x"]}}, "imports", False, True),
    (f"/imports/{SHARED}", {"entries": ["x"]}, "import", True, True),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "value", "noun", "makes", "deletable"), PARTS, ids=[p for p, *_ in PARTS]
)
def test_each_part_is_put_read_and_deleted(on_node, path, value, noun, makes, deletable):
    async def main(node):
        twins = node.twins
        await twins.put_policy(ADMIN, P, "/", DOCUMENT)
        await twins.put_policy(ADMIN, SHARED, "/", DOCUMENT)
        first = await twins.put_policy(ADMIN, P, path, value)
        read = await twins.retrieve_policy(ADMIN, P, path)
        assert (read.value, read.etag) == (value, first.etag)
        assert (first.created, first.value) == (makes, value if makes else None)
        again = await twins.put_policy(ADMIN, P, path, value)
        assert (again.created, again.etag) == (False, first.etag)
        assert again.revision == first.revision + 1
        for call in (
            twins.put_policy(READER, P, path, value),
            twins.delete_policy(READER, P, path),
        ):
            assert await refused(call) == f"policies:{noun}.notmodifiable"
        assert await refused(twins.retrieve_policy(READER, P, path)) == f"policies:{noun}.notfound"
        wrong = Conditions(if_match='"x"')
        for call in (
            twins.put_policy(ADMIN, P, path, value, conditions=wrong),
            twins.retrieve_policy(ADMIN, P, path, conditions=wrong),
        ):
            assert await refused(call) == "policies:precondition.failed"
        same = Conditions(if_none_match=read.etag)
        assert await refused(twins.retrieve_policy(ADMIN, P, path, conditions=same)) == (
            "policies:precondition.notmodified"
        )
        unchanged = Conditions(if_equal=IfEqual.SKIP)
        assert await refused(twins.put_policy(ADMIN, P, path, value, conditions=unchanged)) == (
            "policies:precondition.failed"
        )
        if deletable:
            assert await refused(twins.delete_policy(ADMIN, P, path, conditions=wrong)) == (
                "policies:precondition.failed"
            )
            await twins.delete_policy(ADMIN, P, path)
            assert await refused(twins.delete_policy(ADMIN, P, path)) == f"policies:{noun}.notfound"
            if noun == "imports" or "references" in path:
                assert not (await twins.retrieve_policy(ADMIN, P, path)).value
            else:
                assert await refused(twins.retrieve_policy(ADMIN, P, path)) == (
                    f"policies:{noun}.notfound"
                )
        else:
            assert await refused(twins.delete_policy(ADMIN, P, path)) == (
                "protocoladapter:unknown.path"
            )
        revision = twins.policies.load(P).revision
        await node.reopen(flush=False)
        assert node.twins.policies.load(P).revision == revision

    on_node(main)


def test_what_was_not_said_reads_as_its_default(on_node):
    async def main(node):
        twins = node.twins
        bare = {"subjects": {"nginx:admin": {}}, "resources": OWN}
        await twins.put_policy(ADMIN, P, "/", {"entries": {"a": bare}})
        await twins.put_policy(ADMIN, SHARED, "/", DOCUMENT)
        await twins.put_policy(ADMIN, P, f"/imports/{SHARED}", {})
        for path, value in (
            ("/entries/a/importable", "implicit"),
            ("/entries/a/allowedAdditions", []),
            ("/entries/a/references", []),
            (f"/imports/{SHARED}/entries", []),
            (f"/imports/{SHARED}/transitiveImports", []),
        ):
            assert (await twins.retrieve_policy(ADMIN, P, path)).value == value
        assert await refused(twins.retrieve_policy(ADMIN, P, "/entries/a/namespaces")) == (
            "policies:entry.notfound"
        )
        for part, value in (("entries", ["admin"]), ("transitiveImports", ["a:b"])):
            path = f"/imports/{SHARED}/{part}"
            await twins.put_policy(ADMIN, P, path, value)
            assert (await twins.retrieve_policy(ADMIN, P, path)).value == value
            code = await refused(twins.put_policy(ADMIN, P, f"/imports/a:b/{part}", value))
            assert code == "policies:import.notfound"

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
