"""The book of enforcers: always of the newest, and only what changed is worked out again."""

import pytest

from littoral.log import LogFull
from littoral.policy import WRITE
from littoral.twin import Caller, PolicySettings
from littoral.twin.policies import book as book_module

ADMIN = Caller(frozenset({"nginx:admin"}))
READER = Caller(frozenset({"nginx:reader"}))
ALL = {"policy:/": {"grant": ["READ", "WRITE"]}, "thing:/": {"grant": ["READ", "WRITE"]}}
READ_THINGS = {"thing:/": {"grant": ["READ"], "revoke": []}}


def document(imports=None, **entries):
    owner = {"subjects": {"nginx:admin": {}}, "resources": ALL, "importable": "never"}
    return {"entries": {"owner": owner, **entries}, "imports": imports or {}}


def readers(*subjects, **more):
    return {"subjects": {one: {} for one in subjects}, "resources": READ_THINGS, **more}


def may_read(node, policy_id, namespace="org.acme"):
    enforcer = node.twins.book.enforcer(policy_id, namespace)
    return enforcer is not None and enforcer.may(READER.subjects, "READ", "thing:/")


def put(node, name, *args, **more):
    return node.twins.policies.put(ADMIN, f"org.acme:{name}", "/", document(*args, **more))


def test_a_change_works_out_anew_what_depends_on_it_and_nothing_else(on_node):
    async def main(node):
        book = node.twins.book
        put(node, "base")
        put(node, "mid", {"org.acme:base": {}})
        put(node, "top", {"org.acme:mid": {"transitiveImports": ["org.acme:base"]}})
        put(node, "aside", {"org.acme:mid": {}})
        for n in range(50):
            put(node, f"other{n}")
        names = ["base", "mid", "top", "aside", *(f"other{n}" for n in range(50))]
        for name in names:
            assert not may_read(node, f"org.acme:{name}")
        before = book.compilations
        put(node, "base", readers=readers("nginx:reader"))
        assert [name for name in names if may_read(node, f"org.acme:{name}")] == [
            "base",
            "mid",
            "top",
        ]
        assert book.compilations - before == 3, "aside does not look beyond mid"
        node.twins.policies.delete(ADMIN, "org.acme:base")
        assert not any(may_read(node, f"org.acme:{name}") for name in names)
        assert book.compilations - before == 6
        put(node, "base", readers=readers("nginx:reader"))
        assert may_read(node, "org.acme:top"), "an import may come before what it imports"
        await node.log.wait()

    on_node(main)


def test_who_is_affected_is_known_without_looking_at_every_policy(on_node):
    async def main(node):
        book = node.twins.book
        put(node, "base")
        put(node, "mid", {"org.acme:base": {}})
        put(node, "top", {"org.acme:mid": {"transitiveImports": ["org.acme:base"]}})
        put(node, "alone")
        everything = {f"org.acme:{n}" for n in ("base", "mid", "top")}
        for _ in range(2):
            assert book.affected_by("org.acme:base") == everything
            assert book.affected_by("org.acme:mid") == everything - {"org.acme:base"}
            assert book.affected_by("org.acme:alone") == {"org.acme:alone"}
            assert book.affected_by("org.acme:never") == {"org.acme:never"}
            await node.reopen()
            book = node.twins.book
        node.twins.policies.delete(ADMIN, "org.acme:top", "/imports/org.acme:mid")
        assert book.affected_by("org.acme:base") == everything - {"org.acme:top"}
        node.twins.policies.delete(ADMIN, "org.acme:mid")
        assert book.affected_by("org.acme:base") == {"org.acme:base"}
        await node.log.wait()

    on_node(main)


def test_who_is_affected_by_way_of_others_need_not_name_it(on_node):
    async def main(node):
        put(node, "deep", people=readers("nginx:reader"))
        put(node, "base", {"org.acme:deep": {}})
        put(node, "mid", {"org.acme:base": {"transitiveImports": ["org.acme:deep"]}})
        put(node, "top", {"org.acme:mid": {"transitiveImports": ["org.acme:base"]}})
        assert may_read(node, "org.acme:top")
        assert "org.acme:top" in node.twins.book.affected_by("org.acme:deep")
        put(node, "deep")
        assert not may_read(node, "org.acme:top")
        await node.log.wait()

    on_node(main)


def test_a_root_policy_affects_all_policies_of_its_namespaces(on_node):
    settings = PolicySettings(namespace_roots={"org.acme": ("ops:root",), "org.*": ("ops:wide",)})

    async def main(node):
        twins = node.twins
        put(node, "p")
        twins.policies.put(ADMIN, "org.else:q", "/", document())
        twins.policies.put(ADMIN, "com:r", "/", document())
        assert not may_read(node, "org.acme:p")
        twins.policies.put(ADMIN, "ops:more", "/", document(people=readers("nginx:reader")))
        twins.policies.put(ADMIN, "ops:root", "/", document({"ops:more": {}}))
        assert may_read(node, "org.acme:p")
        assert not may_read(node, "org.else:q")
        twins.policies.put(ADMIN, "ops:wide", "/", document(people=readers("nginx:reader")))
        assert may_read(node, "org.else:q")
        assert not may_read(node, "com:r")
        assert twins.book.affected_by("ops:more") == {"ops:more", "ops:root", "org.acme:p"}
        assert twins.book.affected_by("ops:wide") == {
            "ops:wide", "org.acme:p", "org.else:q", "org.littoral:default",
        }  # fmt: skip
        await node.log.wait()

    on_node(main, settings=settings)


def test_entries_hold_for_things_of_their_namespaces(on_node):
    async def main(node):
        twins = node.twins
        put(node, "p", people=readers("nginx:reader", namespaces=["org.acme.plant.*"]))
        for thing_id in ("org.acme.plant:t", "org.acme.plant.hall:t"):
            await twins.modify(ADMIN, thing_id, "/", {"policyId": "org.acme:p"})
        assert not twins.may_read(READER, "org.acme.plant:t")
        assert twins.may_read(READER, "org.acme.plant.hall:t")
        view = await twins.retrieve(READER, "org.acme.plant.hall:t")
        assert view.value["thingId"] == "org.acme.plant.hall:t"
        questions = {
            name: {"resource": "thing:/", "entityId": thing, "hasPermissions": ["READ"]}
            for name, thing in (("no", "org.acme.plant:t"), ("yes", "org.acme.plant.hall:t"))
        }
        assert twins.policies.check_permissions(READER, questions) == {"no": False, "yes": True}

    on_node(main)


def test_the_namespace_of_an_entry_does_not_bind_the_policy_itself(on_node):
    async def main(node):
        entry = {"subjects": {"nginx:reader": {}}, "resources": ALL, "namespaces": ["com.far"]}
        put(node, "p", people=entry)
        assert node.twins.policies.put(
            READER, "org.acme:p", "/entries/people/importable", "never"
        ).seq
        assert not may_read(node, "org.acme:p")
        assert may_read(node, "org.acme:p", "com.far")
        await node.log.wait()

    on_node(main)


def test_what_a_failed_commit_took_back_holds_no_more(on_node):
    async def main(node):
        put(node, "base")
        put(node, "top", {"org.acme:base": {}})
        await node.log.wait()
        put(node, "base", readers=readers("nginx:reader"))
        put(node, "more", {"org.acme:base": {}})
        assert may_read(node, "org.acme:top")
        await node.fill()
        assert not may_read(node, "org.acme:top")
        assert node.twins.book.affected_by("org.acme:base") == {"org.acme:base", "org.acme:top"}
        with pytest.raises(LogFull):
            put(node, "base")
        await node.make_room()

    on_node(main)


def test_a_policy_of_another_node_counts_at_once(on_node, other):
    async def main(node):
        put(node, "top", {})
        await node.log.wait()
        assert not may_read(node, "org.acme:top")
        value = document({"org.acme:base": {}})
        node.twins.apply_remote(
            other(99_000, "policy.modified", "/", value, entity="policy:org.acme:top")
        )
        value = document(people=readers("nginx:reader"))
        node.twins.apply_remote(
            other(99_001, "policy.created", "/", value, oseq=2, entity="policy:org.acme:base")
        )
        assert may_read(node, "org.acme:top")
        assert node.twins.book.affected_by("org.acme:base") == {"org.acme:base", "org.acme:top"}
        await node.log.wait()

    on_node(main)


def test_a_policy_that_cannot_be_understood_grants_nothing(on_node, other):
    async def main(node):
        odd = {"entries": {"a": {"subjects": {"nginx:reader": {}}, "resources": {"new:/": {}}}}}
        node.twins.apply_remote(other(0, "policy.created", "/", odd, entity="policy:org.acme:odd"))
        assert not may_read(node, "org.acme:odd")
        guard = node.twins.book.guard("org.acme:odd")
        assert guard is not None
        assert not guard.may(ADMIN.subjects, WRITE, "policy:/")
        await node.twins.put_policy(node.admin, "org.acme:odd", "/", document())
        await node.log.wait()

    on_node(main)


def test_the_memory_of_enforcers_is_bounded(on_node, monkeypatch):
    monkeypatch.setattr(book_module, "ENFORCERS_MAX", 32)
    monkeypatch.setattr(book_module, "PARSED_MAX", 8)
    monkeypatch.setattr(book_module, "NAMESPACES_MAX", 4)

    async def main(node):
        book = node.twins.book
        for n in range(100):
            put(node, f"p{n}", people=readers(f"nginx:{n}"))
            put(node, f"q{n}", {f"org.acme:p{n}": {}}, people=readers("nginx:reader"))
        put(node, "many", people=readers("nginx:reader", namespaces=["a.*"]))
        for n in range(100):
            assert may_read(node, f"org.acme:q{n}")
            assert may_read(node, "org.acme:many", f"a.b{n}")
            assert book._enforcers <= 32
            assert len(book._parsed) <= 8
            assert sum(map(len, book._dependents.values())) <= 3 * 32
        assert len(book._compiled["org.acme:many"].by_namespace) <= 4
        await node.log.wait()

    on_node(main)


def test_policies_that_say_the_same_are_compiled_once(on_node, monkeypatch):
    monkeypatch.setattr(book_module, "COMPILED_MAX", 64)

    async def main(node):
        book = node.twins.book
        for n in range(200):
            put(node, f"p{n}", people=readers("nginx:reader"))
        before = book.compilations
        for n in range(200):
            assert may_read(node, f"org.acme:p{n}")
            assert len(book._compiled) <= 64
        assert book.compilations == before + 1
        put(node, "p7", people=readers("nginx:other"))
        assert not may_read(node, "org.acme:p7")
        assert may_read(node, "org.acme:p8")
        put(node, "p7", people=readers("nginx:reader"))
        assert may_read(node, "org.acme:p7")
        await node.log.wait()

    on_node(main)


def test_policies_whose_subjects_expire_are_compiled_each_on_its_own(on_node):
    async def main(node):
        book = node.twins.book
        until = {"nginx:reader": {"expiry": "2099-01-01T00:00:00Z"}}
        for n in range(5):
            put(node, f"e{n}", people={**readers("nginx:reader"), "subjects": until})
        before = book.compilations
        for n in range(5):
            assert may_read(node, f"org.acme:e{n}")
        assert book.compilations == before + 5
        await node.log.wait()

    on_node(main)


def test_it_is_explained_who_granted_what_by_which_import(on_node):
    async def main(node):
        book = node.twins.book
        put(node, "base", people=readers("nginx:reader"))
        no = {"thing:/features/secret": {"grant": [], "revoke": ["READ"]}}
        put(
            node,
            "top",
            {"org.acme:base": {}},
            no={"subjects": {"nginx:reader": {}}, "resources": no},
        )
        why = book.explain(READER, "org.acme:top", "org.acme", "READ", "thing:/features/secret")
        assert not why.allowed
        (granted,), (revoked,) = why.granted_by, why.revoked_by
        assert (granted.label, granted.subject, granted.resource, granted.depth) == (
            "imported-org.acme:base-people", "nginx:reader", "thing:/", 0,
        )  # fmt: skip
        assert (granted.policy, granted.written_as) == ("org.acme:base", "people")
        assert (revoked.label, revoked.policy) == ("no", "org.acme:top")
        partly = book.explain(READER, "org.acme:top", "org.acme", "READ", "thing:/", partly=True)
        assert partly.allowed
        itself = book.explain(ADMIN, "org.acme:top", None, "WRITE", "policy:/")
        assert [one.label for one in itself.granted_by] == ["owner"]
        assert book.explain(node.admin, "org.acme:top", "x", "READ", "thing:/").allowed
        assert not book.explain(READER, "org.acme:none", "x", "READ", "thing:/").allowed
        await node.log.wait()

    on_node(main)


def test_importers_are_found_again_after_a_restart_however_many_there_are(on_node, monkeypatch):
    monkeypatch.setattr("littoral.twin.policies.index._CHUNK", 7)

    async def main(node):
        for name in ("shared", "also", *(f"one{n}" for n in range(30))):
            put(node, name)
        for n in range(30):
            put(node, f"own{n}", {f"org.acme:one{n}": {}} if n % 2 else {})
            put(node, f"all{n}", {"org.acme:shared": {}, "org.acme:also": {}})
        await node.log.wait()
        for _ in range(2):
            affected = node.twins.book.affected_by
            assert len(affected("org.acme:shared")) == 31
            assert len(affected("org.acme:also")) == 31
            for n in range(30):
                found = affected(f"org.acme:one{n}") - {f"org.acme:one{n}"}
                assert found == ({f"org.acme:own{n}"} if n % 2 else set())
            await node.reopen()

    on_node(main)
