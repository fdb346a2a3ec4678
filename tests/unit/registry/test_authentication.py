import pytest

from littoral.kernel.errors import Forbidden, InvalidId, Unauthenticated
from littoral.registry import (
    InvalidRegistration,
    NotRegistered,
    Role,
    found_development,
    generate_admin,
    seed_development,
)
from littoral.registry.core.cache import Lru, Verified
from littoral.registry.model import PASSWORD_BYTES_MAX, REFUSED_FOR_MS, REFUSED_MAX

WRONG = "gateway:authentication.failed"


def generated(password="pw", auth_id="s1", **secret):
    return {
        "type": "hashed-password",
        "auth-id": auth_id,
        "secrets": [{"pwd-plain": password, "hash-function": "sha-256", **secret}],
    }


def chosen(password="human", auth_id="s1"):
    return {"type": "hashed-password", "auth-id": auth_id, "secrets": [{"pwd-plain": password}]}


@pytest.fixture
def device(node):
    node.registry.put_device("T", "d1")
    return node


def give(node, *credentials, device="d1"):
    return node.do(node.registry.set_credentials("T", device, list(credentials)))


def test_a_device_signs_in_by_its_auth_id_not_its_id(device) -> None:
    give(device, generated())
    assert device.signs_in("s1@T", "pw") == "d1"
    assert device.signs_in("d1@T", "pw") == WRONG


def test_the_name_is_split_at_the_first_at_sign(device) -> None:
    give(device, generated())
    for name in ("s1@T@T", "s1", "@T", "s1@", "", "s1@U", "S1@T", "s1@T ", "s1@T/x", "\udc80@T"):
        assert device.signs_in(name, "pw") == WRONG, name


def test_generated_and_chosen_passwords_both_work_in_all_their_secrets(device) -> None:
    give(
        device,
        {**generated(), "secrets": [
            {"pwd-plain": "one", "hash-function": "sha-512"},
            {"pwd-plain": "two"},
            {"pwd-plain": "three"},
        ]},
    )  # fmt: skip
    assert [device.signs_in("s1@T", p) for p in ("one", "two", "three", "four")] == [
        "d1",
        "d1",
        "d1",
        WRONG,
    ]


def test_what_was_right_before_needs_no_thread(device) -> None:
    give(device, chosen())
    assert device.registry.authenticate_device_nowait("s1@T", "human") is None
    assert device.signs_in("s1@T", "human") == "d1"
    runs = device.hasher.checks
    for _ in range(3):
        assert device.registry.authenticate_device_nowait("s1@T", "human").device == "d1"
    assert device.hasher.checks == runs


def test_a_generated_secret_never_needs_a_thread(device) -> None:
    give(device, generated())
    assert device.registry.authenticate_device_nowait("s1@T", "pw").device == "d1"
    assert device.hasher.checks == device.hasher.hashes == 0


def test_every_refusal_costs_one_run_and_the_same_one_again_costs_nothing(device) -> None:
    device.registry.put_device("T", "d2")
    give(device, generated(auth_id="sha"))
    give(device, chosen(auth_id="argon"), device="d2")
    for name in ("sha@T", "argon@T", "nobody@T", "nobody@nowhere", "nothing"):
        before = device.hasher.checks
        assert device.signs_in(name, "wrong") == WRONG
        assert device.hasher.checks == before + 1, name
        assert device.signs_in(name, "wrong") == WRONG
        assert device.hasher.checks == before + 1, name


def test_what_was_wrong_may_be_right_after_a_change_or_a_while(device) -> None:
    assert device.signs_in("s1@T", "pw") == WRONG
    give(device, generated())
    assert device.signs_in("s1@T", "pw") == "d1"
    assert device.signs_in("s1@T", "new") == WRONG
    runs = device.hasher.checks
    device.clock.ms += REFUSED_FOR_MS + 1
    assert device.signs_in("s1@T", "new") == WRONG
    assert device.hasher.checks == runs + 1


def test_a_changed_password_is_wrong_at_once(device) -> None:
    give(device, chosen("old"))
    assert device.signs_in("s1@T", "old") == "d1"
    give(device, chosen("new"))
    assert device.signs_in("s1@T", "old") == WRONG
    assert device.signs_in("s1@T", "new") == "d1"


def test_disabled_is_said_only_to_whoever_knows_the_password(device) -> None:
    give(device, generated())
    assert device.signs_in("s1@T", "pw") == "d1"
    device.registry.put_device("T", "d1", enabled=False)
    assert device.signs_in("s1@T", "pw") == "littoral.forbidden"
    assert device.signs_in("s1@T", "no") == WRONG
    device.registry.put_device("T", "d1")
    device.registry.put_tenant("T", namespaces=["org.acme"], enabled=False)
    with pytest.raises(Forbidden, match="tenant T is disabled"):
        device.registry.authenticate_device_nowait("s1@T", "pw")
    device.registry.put_tenant("T", namespaces=["org.acme"])
    assert device.signs_in("s1@T", "pw") == "d1"


def test_a_disabled_credential_or_secret_opens_nothing(device) -> None:
    give(device, {**generated(), "enabled": False})
    assert device.signs_in("s1@T", "pw") == WRONG
    give(device, generated(enabled=False))
    assert device.signs_in("s1@T", "pw") == WRONG
    give(device, generated())
    assert device.signs_in("s1@T", "pw") == "d1"


def test_a_secret_holds_in_its_window_only(device) -> None:
    start = device.clock.ms
    give(device, generated(**{"not-before": str(start + 1000), "not-after": str(start + 2000)}))
    assert device.signs_in("s1@T", "pw") == WRONG
    device.clock.ms = start + REFUSED_FOR_MS + 1
    assert device.signs_in("s1@T", "pw") == WRONG
    give(device, generated(**{"not-after": str(device.clock.ms + 500)}))
    assert device.signs_in("s1@T", "pw") == "d1"
    device.clock.ms += 500
    assert device.signs_in("s1@T", "pw") == WRONG, "although it was found right before"


def test_a_clock_that_is_set_back_does_not_make_a_secret_valid_again(device) -> None:
    give(device, generated(**{"not-after": str(device.clock.ms + 500)}))
    device.clock.ms += 600
    device.registry.put_device("T", "d2")
    device.clock.ms -= 10_000
    assert device.signs_in("s1@T", "pw") == WRONG


def test_a_password_that_changes_while_it_is_checked_is_checked_again(device) -> None:
    give(device, chosen("old"))

    def change() -> None:
        device.hasher.interrupt = lambda: None
        device.registry.put_credentials("T", "d1", [generated("new")])

    device.hasher.interrupt = change
    assert device.signs_in("s1@T", "old") == WRONG
    assert device.registry.statistics().verified == 0


def test_a_device_that_is_deleted_while_it_signs_in_does_not_get_in(device) -> None:
    give(device, chosen())
    device.hasher.interrupt = lambda: (
        device.registry.device("T", "d1") and device.registry.delete_device("T", "d1")
    )
    assert device.signs_in("s1@T", "human") == WRONG


def test_too_long_names_and_passwords_are_refused_before_they_are_hashed(device) -> None:
    for name, password in (("s1@T", "x" * (PASSWORD_BYTES_MAX + 1)), ("s" * 1000, "pw")):
        assert device.signs_in(name, password) == WRONG
    assert device.hasher.checks == 0


def test_a_flood_of_wrong_passwords_is_bounded_in_memory(device) -> None:
    for i in range(REFUSED_MAX + 100):
        device.signs_in("s1@T", f"guess {i}")
    assert device.registry.statistics().refused == REFUSED_MAX
    assert device.registry.statistics().refused_total == REFUSED_MAX + 100


def test_nothing_readable_of_a_password_is_in_the_log(device) -> None:
    give(device, chosen("correct horse"), generated("battery staple", auth_id="s2"))
    device.do(device.registry.set_user("ann", "correct horse"))
    everything = repr(device.records()) + repr(device.log.scan("registry", limit=100))
    assert "horse" not in everything
    assert "staple" not in everything
    of_users = [r.value for r in device.records() if r.entity.startswith("user:")]
    assert of_users
    assert not any(b"hash" in value for value in of_users)


def test_setting_the_same_chosen_password_again_writes_nothing(device) -> None:
    give(device, chosen())
    head = len(device.records())
    give(device, chosen())
    assert len(device.records()) == head
    assert device.hasher.hashes == 1


def test_a_plain_chosen_password_must_be_hashed_first(device) -> None:
    with pytest.raises(InvalidRegistration, match="is not hashed"):
        device.registry.put_credentials("T", "d1", [chosen()])


def test_secrets_are_kept_by_id_as_hono_does(device) -> None:
    first = give(device, generated("one"), generated("two", auth_id="s2"))
    secret_id = first.credentials[0].secrets[0].id
    kept = {**generated(), "secrets": [{"id": secret_id, "comment": "mine"}]}
    second = give(device, kept)
    assert second.credentials[0].secrets[0].comment == "mine"
    assert device.signs_in("s1@T", "one") == "d1"
    assert device.signs_in("s2@T", "two") == WRONG
    replaced = {
        **generated(),
        "secrets": [{"id": secret_id, "pwd-plain": "new", "hash-function": "sha-256"}],
    }
    third = give(device, replaced)
    assert third.credentials[0].secrets[0].id == secret_id
    assert device.signs_in("s1@T", "new") == "d1"
    assert device.signs_in("s1@T", "one") == WRONG
    for bad in ([{"id": "unknown"}], [{"id": secret_id}, {"id": secret_id}]):
        with pytest.raises(InvalidRegistration):
            give(device, {**generated(), "secrets": bad})


def test_users_sign_in_with_their_roles(node) -> None:
    node.do(node.registry.set_user("ann", "pw", roles=[Role.ADMIN, Role.USER]))
    node.registry.put_user("bob", generated_password="pw2")
    ann = node.do(node.registry.authenticate_user("ann", "pw"))
    assert ann.is_admin
    assert ann.subjects == {"nginx:ann"}
    assert not node.do(node.registry.authenticate_user("bob", "pw2")).is_admin
    for name, password in (("ann", "pw2"), ("bob", "pw"), ("cy", "pw"), ("s1@T", "pw"), ("ä", "x")):
        with pytest.raises(Unauthenticated):
            node.do(node.registry.authenticate_user(name, password))
    assert [u.name for u in node.registry.users()] == ["ann", "bob"]
    node.do(node.registry.set_user("ann", "new"))
    with pytest.raises(Unauthenticated):
        node.do(node.registry.authenticate_user("ann", "pw"))
    assert not node.do(node.registry.authenticate_user("ann", "new")).is_admin
    node.registry.delete_user("ann")
    with pytest.raises(Unauthenticated):
        node.do(node.registry.authenticate_user("ann", "new"))
    with pytest.raises(NotRegistered):
        node.registry.delete_user("ann")


def test_a_device_cannot_sign_in_as_a_user_with_the_same_words(node) -> None:
    node.registry.put_user("s1@T", generated_password="pw")
    assert node.do(node.registry.authenticate_user("s1@T", "pw")).name == "s1@T"
    assert node.signs_in("s1@T", "pw") == WRONG


def test_the_development_identities_are_those_of_every_tutorial(node) -> None:
    for _ in range(2):
        seed_development(node.registry)
    assert node.signs_in("sensor1@DEFAULT_TENANT", "hono-secret") == "4711"
    assert node.registry.identity("DEFAULT_TENANT", "4711").thing_id == "org.littoral:4711"
    assert node.registry.tenant("DEFAULT_TENANT").default_policy == "org.littoral:default"
    ditto = node.do(node.registry.authenticate_user("ditto", "ditto"))
    assert (ditto.subjects, ditto.is_admin) == ({"nginx:ditto"}, False)
    assert node.do(node.registry.authenticate_user("devops", "foobar")).is_admin
    head = len(node.records())
    seed_development(node.registry)
    assert len(node.records()) == head


@pytest.mark.parametrize(
    ("name", "password"), [("", "x"), ("a:b", "x"), ("ä", "x"), ("a", ""), ("a", "x" * 2000)]
)
def test_names_and_passwords_of_users_have_a_form(node, name, password) -> None:
    with pytest.raises((InvalidId, InvalidRegistration)):
        node.do(node.registry.set_user(name, password))
    with pytest.raises((InvalidId, InvalidRegistration)):
        node.registry.put_user(name, generated_password=password)
    assert node.hasher.hashes == 0


def test_a_password_that_keeps_changing_while_it_is_checked_is_not_remembered_as_wrong(
    device,
) -> None:
    give(device, chosen("right"))
    phc = device.registry.credentials("T", "d1").credentials[0].secrets[0].hash
    comments = iter("abcdefgh")

    def touch() -> None:
        secret = {"pwd-hash": phc, "comment": next(comments)}
        device.registry.put_credentials("T", "d1", [{**chosen(), "secrets": [secret]}])

    device.hasher.interrupt = touch
    assert device.signs_in("s1@T", "right") == WRONG
    device.hasher.interrupt = lambda: None
    assert device.signs_in("s1@T", "right") == "d1"


def test_the_first_administrator_is_made_once(node) -> None:
    node.registry.put_user("ann", generated_password="x")
    password = generate_admin(node.registry, node.entropy)
    assert len(password) >= 24
    assert node.do(node.registry.authenticate_user("admin", password)).is_admin
    assert generate_admin(node.registry, node.entropy) is None
    node.commit()
    node.again()
    assert generate_admin(node.registry, node.entropy) is None
    assert node.do(node.registry.authenticate_user("admin", password)).is_admin


def test_a_cache_forgets_what_was_not_used_for_longest() -> None:
    cache = Lru[str, int](2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    assert cache.put("c", 3) == ("b", 2)
    assert (cache.get("a"), cache.get("b"), cache.get("c"), len(cache)) == (1, None, 3, 2)


def test_what_was_verified_is_forgotten_by_owner_and_by_age() -> None:
    known = Verified[str](3)
    for i, owner in enumerate("aabc"):
        known.remember(bytes([i]), owner, owner, until_ms=10)
    assert known.recall(b"\x00", 5) is None, "the oldest had to go"
    assert known.recall(b"\x01", 5) == "a"
    assert known.recall(b"\x01", 10) is None
    known.remember(b"\x02", "a", "a", until_ms=10)
    known.forget("b")
    assert known.recall(b"\x02", 5) == "a", "it has another owner now"
    known.forget("a")
    assert known.recall(b"\x01", 5) is None
    assert known.recall(b"\x03", 5) == "c"
    assert len(known) == 1
    known.clear()
    assert len(known) == 0


def test_well_known_identities_are_found_until_their_passwords_change(node):
    assert node.do(found_development(node.registry)) == []
    assert node.hasher.checks == 0
    seed_development(node.registry)
    every = ["user ditto", "user devops", "device DEFAULT_TENANT/4711"]
    assert node.do(found_development(node.registry)) == every
    node.do(node.registry.set_user("devops", "battery staple", roles=[Role.ADMIN]))
    node.registry.delete_user("ditto")
    assert node.do(found_development(node.registry)) == every[2:]
    node.registry.put_device("DEFAULT_TENANT", "4711", enabled=False)
    assert node.do(found_development(node.registry)) == []
