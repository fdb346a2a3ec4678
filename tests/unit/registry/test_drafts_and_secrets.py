from base64 import b64encode
from hashlib import sha256, sha512

import pytest

from littoral.kernel.errors import InvalidId, LittoralError
from littoral.registry import InvalidRegistration
from littoral.registry.core.drafts import parse_credentials
from littoral.registry.core.naming import parse_namespaces, parse_tenant_id, thing_id_for
from littoral.registry.core.secrets import check_sha, sha_secret
from littoral.registry.model import CREDENTIALS_MAX, SECRETS_MAX, Secret

HASH = b64encode(sha256(b"saltpw").digest()).decode()
SALT = b64encode(b"salt").decode()
PHC = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$RdescudvJCsgt3ub+b9dWRWJTmaaJObG"


def credential(**members: object) -> dict[str, object]:
    return {"type": "hashed-password", "auth-id": "sensor1", **members}


def test_honos_own_form_of_a_hash_is_checked_as_hono_does() -> None:
    stored = Secret("1", "sha-256", HASH, SALT)
    assert check_sha(stored, b"pw")
    assert not check_sha(stored, b"pw2")
    longer = Secret("1", "sha-512", b64encode(sha512(b"saltpw").digest()).decode(), SALT)
    assert check_sha(longer, b"pw")
    unsalted = Secret("1", "sha-256", b64encode(sha256(b"pw").digest()).decode())
    assert check_sha(unsalted, b"pw")


def test_a_secret_never_shows_its_hash() -> None:
    secret = sha_secret("1", "pw", salt=b"salt")
    assert check_sha(secret, b"pw")
    assert secret.hash not in repr(secret)
    assert secret.salt not in repr(secret)
    draft = parse_credentials([credential(password="top-secret")])
    assert "top-secret" not in repr(draft)


@pytest.mark.parametrize(
    "document",
    [
        credential(secrets=[{"pwd-plain": "pw"}]),
        credential(secrets=[{"pwd-hash": HASH, "salt": SALT, "hash-function": "sha-256"}]),
        credential(secrets=[{"pwd-hash": HASH, "salt": SALT}]),
        credential(secrets=[{"pwd-hash": PHC}]),
        credential(secrets=[{"pwd-plain": "pw", "not-after": "2030-01-01T00:00:00Z"}]),
        credential(password="pw"),
        credential(pwdHash=PHC),
        {"type": "hashed-password", "authId": "sensor1", "password": "pw", "enabled": False},
    ],
)
def test_honos_and_the_manifests_spelling_are_read(document: dict[str, object]) -> None:
    before = repr(document)
    (draft,) = parse_credentials([document])
    assert draft.auth_id == "sensor1"
    assert len(draft.secrets) == 1
    assert repr(document) == before, "what is handed in is not changed"


@pytest.mark.parametrize(
    "documents",
    [
        None,
        {},
        [1],
        [{}],
        [credential()],
        [credential(secrets=[])],
        [credential(secrets={})],
        [credential(secrets=[{}])],
        [credential(secrets=[{"pwd-plain": ""}])],
        [credential(secrets=[{"pwd-plain": "x" * 1025}])],
        [credential(secrets=[{"pwd-plain": "é" * 600}])],
        [credential(secrets=[{"pwd-plain": 5}])],
        [credential(secrets=[{"pwd-plain": "x", "pwd-hash": HASH}])],
        [credential(secrets=[{"pwd-plain": "x", "colour": 1}])],
        [credential(secrets=[{"pwd-plain": "x", "hash-function": "bcrypt"}])],
        [credential(secrets=[{"pwd-hash": HASH, "hash-function": "bcrypt"}])],
        [credential(secrets=[{"pwd-hash": HASH, "hash-function": "sha-512"}])],
        [credential(secrets=[{"pwd-hash": "not base64!"}])],
        [credential(secrets=[{"pwd-hash": HASH, "salt": "%%%"}])],
        [credential(secrets=[{"pwd-hash": HASH, "salt": b64encode(b"x" * 65).decode()}])],
        [credential(secrets=[{"pwd-hash": "$argon2id$v=19$m=9,t=1"}])],
        [credential(secrets=[{"pwd-hash": PHC.replace("m=19456", "m=9999999")}])],
        [credential(secrets=[{"pwd-hash": PHC.replace("t=2", "t=99")}])],
        [credential(secrets=[{"pwd-hash": PHC.replace("p=1", "p=0")}])],
        [credential(secrets=[{"pwd-plain": "x"}] * (SECRETS_MAX + 1))],
        [credential(password="x", secrets=[{"pwd-plain": "x"}])],
        [credential(password="x", **{"pwd-plain": "x"})],
        [credential(password="x", colour=1)],
        [credential(password="x", type="psk")],
        [credential(password="x", **{"auth-id": "a b"})],
        [credential(password="x", **{"auth-id": "a@b"})],
        [credential(password="x", ext={"a": "x" * 20_000})],
        [credential(password="x"), credential(password="y")],
        [credential(password="x")] * (CREDENTIALS_MAX + 1),
    ],
)
def test_bad_credentials_are_refused_with_a_sentence(documents: object) -> None:
    with pytest.raises(LittoralError) as refused:
        parse_credentials(documents)
    assert refused.value.message.rstrip().endswith(".")


def test_the_thing_of_a_device() -> None:
    spaces = ("org.acme", "org.beta")
    for device, thing in [
        ("4711", "org.acme:4711"),
        ("org.acme:x", "org.acme:x"),
        ("org.beta:x", "org.beta:x"),
        ("org.other:x", "org.acme:org.other:x"),
        ("org.acme:", "org.acme:org.acme:"),
        (":x", "org.acme::x"),
        ("a=b.c-d_e", "org.acme:a=b.c-d_e"),
    ]:
        assert thing_id_for(spaces, device) == thing  # type: ignore[arg-type]
    with pytest.raises(InvalidId, match="cannot have a thing"):
        thing_id_for(spaces, "x" * 256)  # type: ignore[arg-type]


def test_a_tenants_id_cannot_make_a_subject_ambiguous() -> None:
    assert parse_tenant_id("DEFAULT_TENANT") == "DEFAULT_TENANT"
    for bad in ("a:b", "a=b", "", "a/b", "a@b", "x" * 129, "é"):
        with pytest.raises(InvalidId):
            parse_tenant_id(bad)


def test_namespaces_are_valid_and_at_least_one() -> None:
    assert parse_namespaces(["a.b", "c", "a.b"]) == ("a.b", "c")
    for bad in ([], "a.b", [f"n{i}" for i in range(65)]):
        with pytest.raises(InvalidRegistration):
            parse_namespaces(bad)
    with pytest.raises(InvalidId):
        parse_namespaces(["1a"])
