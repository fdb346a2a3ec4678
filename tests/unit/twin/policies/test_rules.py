"""What may be written into a policy, and by whom; a refusal writes nothing."""

import pytest

from littoral.kernel.errors import LittoralError
from littoral.twin import Caller, Conditions, CreationRule, PolicySettings
from littoral.twin.model import MODIFICATIONS_WAITING_MAX
from littoral.twin.statuses import status_of

P, Q, R = "org.acme:p", "org.acme:q", "org.acme:r"
ALL = ["READ", "WRITE"]
OWN = {"policy:/": {"grant": ALL, "revoke": []}}
ADMIN = Caller(frozenset({"nginx:admin"}))
OTHER = Caller(frozenset({"nginx:other"}))
LOCKOUT = Conditions(allow_policy_lockout=True)


def entry(*subjects, resources=OWN, **more):
    return {"subjects": {one: {"type": "t"} for one in subjects}, "resources": resources, **more}


def policy(imports=None, **entries):
    return {"entries": entries, **({"imports": imports} if imports else {})}


MINE = policy(admin=entry("nginx:admin"))


class Check:
    """Does commands on one node's policies and sees that refusals write nothing."""

    def __init__(self, node):
        self.node = node
        self.policies = node.twins.policies

    def put(self, policy_id, path, value, *, by=ADMIN, conditions=None):
        more = {} if conditions is None else {"conditions": conditions}
        return self.policies.put(by, policy_id, path, value, **more)

    def refused(self, command, *args, status, **more):
        """The code with which ``command`` is refused; the log's end must not move."""
        before = self.node.log.head
        with pytest.raises(LittoralError) as caught:
            command(*args, **more)
        assert self.node.log.head == before
        assert status_of(caught.value) == status
        assert caught.value.message.endswith(".")
        return caught.value.code


@pytest.fixture
def on_policies(on_node):
    def start(main, **more):
        async def body(node):
            main(Check(node))
            await node.log.wait()

        on_node(body, **more)

    return start


def test_who_creates_a_policy_must_be_able_to_change_it(on_policies):
    theirs = policy(other=entry("nginx:other"))
    revoked = policy(
        admin=entry("nginx:admin"),
        no=entry(
            "nginx:admin", resources={"policy:/entries/no": {"grant": [], "revoke": ["WRITE"]}}
        ),
    )

    def main(check):
        for document in (theirs, revoked):
            assert check.refused(check.put, P, "/", document, status=403) == (
                "policies:policy.notcreatable"
            )
        assert check.put(P, "/", theirs, conditions=LOCKOUT).created
        assert check.put(Q, "/", theirs, by=check.node.admin).created

    on_policies(main)


LASTING = {
    "nobody": policy(),
    "no policy:/": policy(a=entry("nginx:admin", resources={"thing:/": {"grant": ALL}})),
    "only READ": policy(a=entry("nginx:admin", resources={"policy:/": {"grant": ["READ"]}})),
    "deeper": policy(a=entry("nginx:admin", resources={"policy:/entries": {"grant": ALL}})),
    "expiring": policy(
        a={"subjects": {"nginx:admin": {"expiry": "2999-01-01T00:00:00Z"}}, "resources": OWN}
    ),
    "revoked": policy(
        a=entry("nginx:admin"),
        b=entry("nginx:admin", resources={"policy:/": {"grant": [], "revoke": ["WRITE"]}}),
    ),
}


@pytest.mark.parametrize("name", LASTING)
def test_a_policy_needs_a_lasting_owner_even_if_lock_out_is_allowed(on_policies, name):
    def main(check):
        for conditions in (None, LOCKOUT):
            code = check.refused(
                check.put, P, "/", LASTING[name], status=403, conditions=conditions
            )
            assert code == "policies:policy.modificationinvalid"
        check.put(P, "/", MINE)
        code = check.refused(check.put, P, "/", LASTING[name], status=403, conditions=LOCKOUT)
        assert code == "policies:policy.modificationinvalid"

    on_policies(main)


def test_a_policy_with_imports_needs_no_lasting_owner_of_its_own(on_policies):
    def main(check):
        check.put(Q, "/", MINE)
        assert check.put(P, "/", policy({Q: {}})).created
        check.put(P, "/entries/x", entry("nginx:other", resources={}))
        assert check.refused(check.policies.delete, ADMIN, P, "/imports", status=403) == (
            "policies:policy.modificationinvalid"
        )

    on_policies(main)


CHANGES = [
    ("/", policy(other=entry("nginx:other")), "policies:policy.modificationinvalid"),
    ("/entries", {"other": entry("nginx:other")}, "policies:policy.modificationinvalid"),
    ("/entries/admin", entry("nginx:other"), "policies:entry.modificationinvalid"),
    ("/entries/admin/subjects", {"nginx:other": {}}, "policies:entry.modificationinvalid"),
    ("/entries/admin/resources", {}, "policies:entry.modificationinvalid"),
    (
        "/entries/admin/resources/policy:~1",
        {"grant": ["READ"]},
        "policies:entry.modificationinvalid",
    ),
    (
        "/entries/more",
        entry("nginx:admin", resources={"policy:/": {"revoke": ["WRITE"]}}),
        "policies:entry.modificationinvalid",
    ),
]


@pytest.mark.parametrize(("path", "value", "code"), CHANGES, ids=[p for p, *_ in CHANGES])
def test_who_changes_a_policy_keeps_write_unless_lock_out_is_allowed(
    on_policies, path, value, code
):
    both = policy(admin=entry("nginx:admin"), spare=entry("nginx:other"))

    def main(check):
        check.put(P, "/", both)
        assert check.refused(check.put, P, path, value, status=403) == code
        assert not check.put(Q, "/", both).revision > 1
        assert check.put(P, path, value, conditions=LOCKOUT).revision == 2
        assert check.refused(check.put, P, "/", both, status=403) == (
            "policies:policy.notmodifiable"
        )
        # Who has no say over the whole cannot lose it.
        part = {"policy:/entries/part": {"grant": ALL, "revoke": []}}
        check.put(
            R, "/", policy(admin=entry("nginx:admin"), part=entry("nginx:other", resources=part))
        )
        assert check.put(R, "/entries/part", entry(resources={}), by=OTHER).revision == 2

    on_policies(main)


def test_deleting_the_last_owner_is_refused(on_policies):
    def main(check):
        check.put(P, "/", policy(admin=entry("nginx:admin"), b=entry("nginx:b", resources={})))
        for path in (
            "/entries/admin",
            "/entries/admin/subjects/nginx:admin",
            "/entries/admin/resources/policy:~1",
        ):
            code = check.refused(check.policies.delete, ADMIN, P, path, status=403)
            assert code == "policies:entry.modificationinvalid"
        check.policies.delete(ADMIN, P, "/entries/b")

    on_policies(main)


def test_a_policy_is_created_once(on_policies):
    def main(check):
        assert check.policies.create(ADMIN, P, MINE).created
        assert check.refused(check.policies.create, ADMIN, P, MINE, status=409) == (
            "policies:policy.conflict"
        )
        assert check.refused(check.policies.create, ADMIN, "p", MINE, status=400) == (
            "policies:id.invalid"
        )
        assert check.refused(check.put, P, "/", {**MINE, "policyId": Q}, status=400) == (
            "policies:id.notsettable"
        )
        assert check.refused(check.put, P, "/", {**MINE, "policyId": 3}, status=400) == (
            "policies:id.invalid"
        )

    on_policies(main)


def test_what_is_referred_to_cannot_be_removed(on_policies):
    roles = policy(
        admin=entry("nginx:admin", importable="never"),
        driver=entry("nginx:d", resources={}, importable="explicit"),
        guest=entry("nginx:g", resources={}),
    )
    document = policy(
        {Q: {"entries": ["driver"]}, R: {}},
        admin=entry("nginx:admin"),
        base=entry("nginx:x", resources={}),
        user=entry(
            resources={},
            references=[{"entry": "base"}, {"import": Q, "entry": "driver"}],
        ),
    )

    def main(check):
        check.put(Q, "/", roles)
        check.put(R, "/", roles)
        check.put(P, "/", document)
        delete, put = check.policies.delete, check.put
        assert check.refused(delete, ADMIN, P, "/entries/base", status=409) == (
            "policies:entry.referenceconflict"
        )
        for path in ("/imports", f"/imports/{Q}"):
            assert check.refused(delete, ADMIN, P, path, status=409) == (
                "policies:import.referenceconflict"
            )
        for path, value in (
            ("/imports", {R: {}}),
            ("/imports", {Q: {}}),
            (f"/imports/{Q}", {}),
            (f"/imports/{Q}/entries", []),
        ):
            assert check.refused(put, P, path, value, status=409) == (
                "policies:import.referenceconflict"
            )
        for path, value in (
            ("/entries", {k: v for k, v in document["entries"].items() if k != "base"}),
            ("/entries/base/importable", "never"),
            ("/entries/user/references", [{"entry": "user"}]),
            ("/entries/user/references", [{"entry": "gone"}]),
            ("/entries/user/references", [{"import": "a:b", "entry": "x"}]),
        ):
            assert check.refused(put, P, path, value, status=400) == "policies:entry.invalid"
        delete(ADMIN, P, f"/imports/{R}")
        delete(ADMIN, P, "/entries/user/references")
        delete(ADMIN, P, "/entries/base")
        delete(ADMIN, P, "/imports")

    on_policies(main)


def test_an_import_needs_read_on_all_that_it_brings(on_policies):
    look = {"policy:/entries/open": {"grant": ["READ"], "revoke": []}}
    source = policy(
        admin=entry("nginx:owner", importable="never"),
        open=entry("nginx:admin", resources=look),
        secret=entry("nginx:s", resources={}, importable="explicit"),
    )
    owner = Caller(frozenset({"nginx:owner"}))

    def main(check):
        check.put(P, "/", MINE)
        check.put(Q, "/", source, by=owner)
        for path, value in (
            ("/imports", {Q: {"entries": ["secret"]}}),
            (f"/imports/{Q}", {"entries": ["secret"]}),
            ("/imports", {"org.acme:gone": {}}),
            ("/", {**MINE, "imports": {Q: {"entries": ["secret"]}}}),
        ):
            assert check.refused(check.put, P, path, value, status=404) == (
                "policies:policy.notfound"
            )
        check.put(P, f"/imports/{Q}", {"entries": ["nothing"]})
        code = check.refused(check.put, P, f"/imports/{Q}/entries", ["secret"], status=404)
        assert code == "policies:policy.notfound"
        check.put(P, "/imports", {Q: {"entries": ["secret"]}}, by=check.node.admin)

    on_policies(main)


@pytest.mark.parametrize(
    ("path", "value", "code", "status"),
    [
        ("/imports", {P: {}}, "policies:import.invalid", 400),
        ("/imports", {f"a:{n}": {} for n in range(11)}, "policies:imports.toolarge", 400),
        ("/imports", [], "policies:import.invalid", 400),
        ("/entries/imported-x", entry(), "policies:label.invalid", 400),
        ("/entries/x", {"subjects": {"x": {}}}, "policies:subjectid.invalid", 400),
        ("/entries/x", {"resources": {"x": {}}}, "policies:entry.invalid", 400),
        ("/entries/x", entry(note="x" * 102_400), "policies:policy.toolarge", 413),
        (
            "/entries/admin/subjects/nginx:a",
            {"announcement": {"beforeExpiry": "x"}},
            "policies:subjectannouncement.invalid",
            400,
        ),
        (
            "/entries/admin/subjects/nginx:a",
            {"expiry": "2001-01-01T00:00:00Z"},
            "policies:subjectexpiry.invalid",
            400,
        ),
        ("/entries/x/subjects/nginx:a", {}, "policies:entry.notfound", 404),
        ("/imports/a:b/entries", [], "policies:import.notfound", 404),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(on_policies, path, value, code, status):
    def main(check):
        check.put(P, "/", MINE)
        assert check.refused(check.put, P, path, value, status=status) == code

    on_policies(main)


def test_placeholders_in_subjects_are_replaced(on_policies):
    me = "{{ request:subjectId }}"

    def main(check):
        later = "{{ time:now+2h }}"
        guest = {"subjects": {"nginx:g": {"type": f"by {me}", "expiry": later}}, "resources": {}}
        check.put(P, "/", policy(admin=entry(me), guest=guest))
        stored = check.node.twins.peek_policy(P)["entries"]
        assert list(stored["admin"]["subjects"]) == ["nginx:admin"]
        assert stored["guest"]["subjects"]["nginx:g"]["type"] == "by nginx:admin"
        check.put(P, f"/entries/guest/subjects/{me}", {"type": "t"})
        assert "nginx:admin" in check.node.twins.peek_policy(P)["entries"]["guest"]["subjects"]
        check.policies.delete(ADMIN, P, f"/entries/guest/subjects/{me}")
        for odd in ("{{ request:other }}", "{{ time:then }}", "{{}}"):
            code = check.refused(check.put, P, "/entries/guest/subjects", {odd: {}}, status=400)
            assert code == "placeholder:placeholder.notresolvable"
        labels = {"requestedAcks": {"labels": ["{{ connection:id }}:ack"]}}
        check.put(P, "/entries/guest/subjects", {"nginx:g": {"announcement": labels}})

    on_policies(main)


def test_expiries_and_announcements_are_rounded_up(on_policies):
    def main(check):
        check.put(P, "/", MINE)
        for given, kept in (
            ("2999-01-01T00:00:01Z", "2999-01-01T01:00:00Z"),
            ("2999-01-01T03:00:00+01:00", "2999-01-01T03:00:00+01:00"),
            ("2999-01-01T00:00:00.000Z", "2999-01-01T00:00:00.000Z"),
        ):
            guest = {"expiry": given, "announcement": {"beforeExpiry": "61s"}}
            check.put(P, "/entries/admin/subjects/nginx:guest", guest)
            stored = check.node.twins.peek_policy(P)["entries"]["admin"]["subjects"]["nginx:guest"]
            assert stored == {"expiry": kept, "announcement": {"beforeExpiry": "120s"}}

    on_policies(main)


def test_the_operator_says_who_creates_what(on_policies):
    settings = PolicySettings(
        creation_grants=(
            CreationRule(resource_types=("policy",), auth_subjects=("nginx:ad*",)),
            CreationRule(resource_types=("thing",), thing_definitions=("acme:*",)),
        ),
        creation_revokes=(CreationRule(namespaces=("org.secret*",)),),
    )

    def main(check):
        check.put(P, "/", policy(admin=entry("nginx:admin", resources={
            **OWN, "thing:/": {"grant": ALL, "revoke": []}})))  # fmt: skip
        for policy_id, by in (("org.secret:p", ADMIN), ("org.acme:x", OTHER)):
            assert check.refused(check.put, policy_id, "/", MINE, status=403, by=by) == (
                "entity.notcreatable"
            )
        check.put("org.secret:p", "/", MINE, by=check.node.admin)
        modify = check.node.twins.things.modify
        body = {"policyId": P}
        assert check.refused(modify, ADMIN, "org.acme:t", "/", body, status=403) == (
            "entity.notcreatable"
        )
        modify(ADMIN, "org.acme:t", "/", body | {"definition": "acme:pump:1"})

    on_policies(main, settings=settings)


def test_what_may_not_be_seen_is_missing_and_what_may_not_be_changed_is_forbidden(on_policies):
    """Reading something invisible is 404, writing without permission 403: whoever asks, whatever."""
    readable = {"policy:/entries/seen": {"grant": ["READ"], "revoke": []}}
    writable = {"policy:/entries/seen": {"grant": ["WRITE"], "revoke": []}}
    document = policy(
        admin=entry("nginx:admin"),
        seen=entry("nginx:reader", resources=readable),
        more=entry("nginx:writer", resources=writable),
    )
    callers = {
        # subjects: may read /, may read seen, may write /, may write seen
        "nginx:admin": (True, True, True, True),
        "nginx:reader": (True, True, False, False),
        "nginx:writer": (False, False, False, True),
        "nginx:nobody": (False, False, False, False),
    }

    def main(check):
        retrieve = check.policies.retrieve
        check.put(P, "/", document, by=check.node.admin)
        for subject, (root, seen, change, part) in callers.items():
            caller = Caller(frozenset({subject}))
            for path, allowed, noun in (
                ("/", root, "policy"),
                ("/entries", root, "policy"),
                ("/entries/seen", seen, "entry"),
                ("/entries/seen/subjects", seen, "subjects"),
                ("/entries/seen/subjects/nginx:reader", seen, "subject"),
                ("/entries/seen/importable", seen, "entry"),
                ("/entries/admin", subject == "nginx:admin", "entry"),
                ("/imports", subject == "nginx:admin", "imports"),
            ):
                if allowed:
                    assert retrieve(caller, P, path).value is not None
                else:
                    code = check.refused(retrieve, caller, P, path, status=404)
                    assert code == f"policies:{noun}.notfound"
            same = check.node.twins.peek_policy(P)
            for path, value, allowed, noun in (
                ("/", {k: v for k, v in same.items() if k != "policyId"}, change, "policy"),
                ("/entries/seen", same["entries"]["seen"], part, "entry"),
                ("/entries/new", entry(), change, "entry"),
                ("/imports", {}, change, "imports"),
            ):
                if allowed:
                    check.put(P, path, value, by=caller)
                else:
                    code = check.refused(check.put, P, path, value, status=403, by=caller)
                    assert code == f"policies:{noun}.notmodifiable"
            code = check.refused(check.put, Q, "/entries/x", {}, status=404, by=caller)
            assert code == "policies:entry.notfound"
            assert check.refused(retrieve, caller, Q, status=404) == "policies:policy.notfound"

    on_policies(main)


@pytest.mark.slow
def test_changes_that_wait_for_their_commit_are_bounded(on_policies):
    def main(check):
        check.put(P, "/", MINE)
        for n in range(MODIFICATIONS_WAITING_MAX):
            check.put(P, "/entries/admin/subjects/nginx:x", {"type": str(n)})
        for command, args in (
            (check.put, (P, "/", MINE)),
            (check.policies.delete, (ADMIN, P)),
        ):
            assert check.refused(command, *args, status=429) == (
                "policies:policy.toomanymodifyingrequests"
            )
        check.put(Q, "/", MINE)

    on_policies(main)


def test_it_can_be_told_whether_a_document_would_change_a_policy(on_policies):
    guest = {"expiry": "2999-01-01T00:00:01Z", "announcement": {"beforeExpiry": "61s"}}
    document = policy(admin=entry("nginx:admin"), guests={"subjects": {"nginx:g": guest}})

    def main(check):
        check.put(P, "/", document)
        stored = check.node.twins.peek_policy(P)
        assert check.policies.as_stored(P, document) == stored
        assert check.policies.as_stored(P, stored) == stored
        assert check.policies.as_stored(P, MINE) != stored

    on_policies(main)
