import pytest

from littoral.kernel.errors import Forbidden, InvalidId
from littoral.registry import (
    InvalidRegistration,
    InvalidToken,
    NotRegistered,
    RegistrationConflict,
)
from littoral.registry.model import REDEEM_AGAIN_MS, SITE_KEYS_MAX, TOKEN_TTL_MS_MAX

HOUR = 3_600_000


def redeem(node, text, key="key-1", certificate=b"cert-1"):
    return node.registry.redeem_token(text, key_fingerprint=key, issue=lambda: certificate)


def test_a_token_makes_a_site_and_lets_it_enrol_once(node) -> None:
    issued = node.registry.issue_token("site-one", ["T"], ttl_ms=HOUR)
    assert node.registry.site("site-one").tenants == ("T",)
    assert node.registry.site_of_token(issued.text).name == "site-one"
    node.commit()
    node.again()
    assert redeem(node, issued.text) == b"cert-1"
    assert node.registry.site_of_key("key-1").name == "site-one"
    with pytest.raises(InvalidToken, match="used before"):
        redeem(node, issued.text, key="key-2")
    assert [r.kind for r in node.records()][-3:] == [
        "site.modified",
        "token.issued",
        "token.redeemed",
    ]


def test_the_same_key_gets_the_same_certificate_for_ten_minutes(node) -> None:
    issued = node.registry.issue_token("site-one", ["T"])
    assert redeem(node, issued.text) == b"cert-1"
    node.commit()
    node.again()
    node.clock.ms += REDEEM_AGAIN_MS
    head = len(node.records())
    assert redeem(node, issued.text, certificate=b"another") == b"cert-1"
    assert len(node.records()) == head
    node.clock.ms += 1
    with pytest.raises(InvalidToken):
        redeem(node, issued.text)


def test_use_and_issue_are_one_commit(node) -> None:
    issued = node.registry.issue_token("site-one", ["T"])
    node.commit()
    capacity = node.store.capacity_bytes
    node.store.capacity_bytes = 0
    redeem(node, issued.text)
    node.loop.settle()
    node.store.capacity_bytes = capacity
    assert node.registry.site_of_key("key-1") is None
    node.again()
    assert redeem(node, issued.text, key="key-2", certificate=b"cert-2") == b"cert-2"


def test_a_certificate_that_cannot_be_issued_leaves_the_token_unused(node) -> None:
    issued = node.registry.issue_token("site-one", ["T"])

    def fails() -> bytes:
        raise Forbidden("the authority is closed.")

    with pytest.raises(Forbidden):
        node.registry.redeem_token(issued.text, key_fingerprint="key-1", issue=fails)
    for key in ("", "k" * 200):
        with pytest.raises(InvalidRegistration):
            redeem(node, issued.text, key=key)
    assert redeem(node, issued.text) == b"cert-1"


def test_a_token_expires_also_if_the_clock_is_set_back(node) -> None:
    issued = node.registry.issue_token("site-one", ["T"], ttl_ms=1000)
    node.clock.ms += 1000
    node.registry.put_device("T", "d1")
    node.clock.ms -= 5000
    with pytest.raises(InvalidToken, match="expired"):
        redeem(node, issued.text)


def test_a_token_that_was_never_issued_opens_nothing(node) -> None:
    issued = node.registry.issue_token("site-one", ["T"])
    for text in (
        "",
        ".",
        issued.id,
        issued.id + ".",
        issued.id + ".x",
        "x." + issued.secret,
        "é.x",
        "\udc80",
    ):
        with pytest.raises(InvalidToken, match="not known"):
            redeem(node, text)
        with pytest.raises(InvalidToken):
            node.registry.site_of_token(text)


def test_a_token_is_not_readable_in_the_log(node) -> None:
    issued = node.registry.issue_token("site-one", ["T"])
    everything = repr(node.records()) + repr(node.log.scan("registry", limit=100))
    assert issued.secret not in everything


def test_tokens_live_a_bounded_time_and_are_dropped_when_they_are_over(node) -> None:
    for ttl_ms in (0, -1, TOKEN_TTL_MS_MAX + 1):
        with pytest.raises(InvalidRegistration):
            node.registry.issue_token("site-one", ["T"], ttl_ms=ttl_ms)
    for _ in range(300):
        node.registry.issue_token("site-one", ["T"], ttl_ms=1000)
    node.clock.ms += TOKEN_TTL_MS_MAX
    for _ in range(300):
        node.registry.issue_token("site-one", ["T"], ttl_ms=1000)
    assert len(node.log.scan("registry", prefix="token/", limit=1000)) <= 300


def test_there_cannot_be_too_many_tokens(node, monkeypatch) -> None:
    monkeypatch.setattr("littoral.registry.service.sites.TOKENS_MAX", 3)
    for _ in range(3):
        node.registry.issue_token("site-one", ["T"])
    with pytest.raises(InvalidRegistration, match="not expired"):
        node.registry.issue_token("site-one", ["T"])


def test_a_revoked_site_gets_no_certificate_and_its_key_stays_known(node) -> None:
    issued = node.registry.issue_token("site-one", ["T"])
    redeem(node, issued.text)
    other = node.registry.issue_token("site-one", ["T"])
    node.told.clear()
    node.registry.put_site("site-one", revoked=True)
    assert [(c.kind, c.name, c.ends_access) for c in node.told] == [
        ("site.modified", "site-one", True)
    ]
    assert node.registry.site_of_key("key-1").revoked
    for ask in (
        lambda: redeem(node, other.text),
        lambda: redeem(node, issued.text),
        lambda: node.registry.issue_token("site-one", ["T"]),
    ):
        with pytest.raises(Forbidden):
            ask()
    node.registry.put_site("site-one", revoked=False)
    assert redeem(node, other.text, key="key-2") == b"cert-1"


def test_a_key_belongs_to_one_site(node) -> None:
    redeem(node, node.registry.issue_token("site-one", ["T"]).text)
    other = node.registry.issue_token("site-two", ["T"])
    with pytest.raises(RegistrationConflict, match="belongs to site site-one"):
        redeem(node, other.text)
    with pytest.raises(RegistrationConflict):
        node.registry.add_certificate("site-two", "01", key_fingerprint="key-1")
    node.registry.delete_site("site-one")
    assert node.registry.site_of_key("key-1") is None
    assert redeem(node, other.text) == b"cert-1"


def test_certificates_are_found_by_serial_and_the_oldest_are_forgotten(node) -> None:
    node.registry.put_site("site-one", tenants=["T"])
    for i in range(SITE_KEYS_MAX + 2):
        node.registry.add_certificate("site-one", f"serial-{i}", key_fingerprint=f"key-{i}")
    head = len(node.records())
    node.registry.add_certificate("site-one", f"serial-{SITE_KEYS_MAX + 1}")
    assert len(node.records()) == head
    assert node.registry.site_of_certificate("serial-0") is None
    assert node.registry.site_of_key("key-1") is None
    assert node.registry.site_of_certificate("serial-2").name == "site-one"
    assert len(node.registry.site("site-one").keys) == SITE_KEYS_MAX


def test_sites_are_made_changed_listed_and_deleted(node) -> None:
    node.registry.put_site("b", tenants=["T", "T"])
    node.registry.put_site("a")
    head = len(node.records())
    node.registry.put_site("b", tenants=["T"])
    assert len(node.records()) == head
    assert [s.name for s in node.registry.sites()] == ["a", "b"]
    node.registry.delete_site("a")
    assert [s.name for s in node.registry.sites()] == ["b"]
    with pytest.raises(NotRegistered):
        node.registry.delete_site("a")
    with pytest.raises(NotRegistered):
        node.registry.add_certificate("a", "01")
    with pytest.raises(InvalidId):
        node.registry.put_site("a/b")
    with pytest.raises(InvalidRegistration):
        node.registry.put_site("c", tenants=[f"t{i}" for i in range(300)])


def test_a_token_of_a_deleted_site_is_worth_nothing(node) -> None:
    issued = node.registry.issue_token("site-one", ["T"])
    node.registry.delete_site("site-one")
    with pytest.raises(InvalidToken, match="removed"):
        redeem(node, issued.text)
