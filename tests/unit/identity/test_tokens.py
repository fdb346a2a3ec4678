"""Tokens of OpenID providers: whose they are, how long they are good, and where keys come from."""

import base64
import hmac
import json

import pytest
from joserfc.jwk import RSAKey

from littoral.identity import (
    ConditionFailed,
    IdentitySettings,
    Issuer,
    IssuerNotSupported,
    KeysUnavailable,
    SubjectChanged,
    TokenInvalid,
)
from littoral.identity.errors import InvalidIssuer
from littoral.identity.model import ALGORITHMS, KEYS_AGAIN_MS, KEYS_STALE_MS_MAX


def encoded(part):
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize("alg", [a for a in ALGORITHMS if a not in {"ES384", "ES512"}])
def test_a_token_signed_by_its_issuer_is_believed(in_world, alg):
    async def main(world):
        found = await world.bearer(world.token(alg=alg))
        assert found.subjects == ("plant:alice",)
        assert found.claims["sub"] == "alice"

    in_world(main)


def test_a_token_without_a_key_id_is_checked_with_every_key_of_its_kind(in_world):
    async def main(world):
        other = RSAKey.generate_key(2048, {"kid": "other"})
        world.issuer.publish(other, world.issuer.keys["rsa"])
        assert (await world.bearer(world.token(kid=False))).subjects == ("plant:alice",)

    in_world(main)


def test_a_forged_signature_is_refused(in_world):
    async def main(world):
        forger = RSAKey.generate_key(2048, {"kid": "rsa"})
        with pytest.raises(TokenInvalid, match="wrong"):
            await world.bearer(world.token(key=forger))
        assert world.identities.statistics().refused_total == 1

    in_world(main)


def test_neither_no_signature_nor_a_shared_secret_is_believed(in_world):
    async def main(world):
        body = {"iss": "https://accounts.example.com", "sub": "eve", "exp": 4_000_000_000}
        with pytest.raises(TokenInvalid):
            await world.bearer(f"{encoded({'alg': 'none'})}.{encoded(body)}.")
        # The classic: the public key, which everybody has, used as a shared secret.
        public = world.issuer.keys["rsa"].as_pem(private=False)
        signed = f"{encoded({'alg': 'HS256', 'kid': 'rsa'})}.{encoded(body)}"
        mac = hmac.digest(public, signed.encode(), "sha256")
        token = f"{signed}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"
        with pytest.raises(TokenInvalid, match="HS256"):
            await world.bearer(token)

    in_world(main)


def test_an_unknown_issuer_is_refused_without_asking_it(in_world):
    async def main(world):
        with pytest.raises(IssuerNotSupported):
            await world.bearer(world.token(iss="https://evil.example"))
        assert world.web.asked == []

    in_world(main)


def test_a_token_is_good_until_it_ends_and_ten_seconds_for_the_clocks(in_world):
    async def main(world):
        token = world.token(life_s=60)
        await world.bearer(token)
        world.clock.jump(69_000)
        await world.bearer(token)
        world.clock.jump(2_000)
        with pytest.raises(TokenInvalid, match="expired"):
            await world.bearer(token)

    in_world(main)


@pytest.mark.parametrize(
    ("claims", "what"),
    [
        ({"exp": None}, "no end"),
        ({"exp": "tomorrow"}, "no time"),
        ({"exp": True}, "no time"),
        ({"nbf": 4_000_000_000}, "not valid yet"),
    ],
)
def test_times_that_make_no_sense_are_refused(in_world, claims, what):
    async def main(world):
        with pytest.raises(TokenInvalid, match=what):
            await world.bearer(world.token(**claims))

    in_world(main)


def test_subjects_are_made_of_claims_and_lists_give_several(in_world):
    async def main(world):
        found = await world.bearer(
            world.token(email="a@x", realm={"roles": ["ops", "dev"]}, sites=[1, 2])
        )
        assert found.subjects == (
            "plant:a@x",
            "plant:ops@1",
            "plant:ops@2",
            "plant:dev@1",
            "plant:dev@2",
        )

    templates = ("{{ jwt:email }}", "{{jwt:realm/roles}}@{{ jwt:sites }}", "{{ jwt:missing }}")
    in_world(main, subjects=templates)


def test_a_token_with_none_of_the_claims_is_refused(in_world):
    async def main(world):
        with pytest.raises(TokenInvalid, match="none of the claims"):
            await world.bearer(world.token())

    in_world(main, subjects=("{{ jwt:email }}",))


def test_audience_and_condition_are_kept(in_world):
    async def main(world):
        await world.bearer(world.token(aud=["x", "littoral"], realm="lab"))
        with pytest.raises(TokenInvalid, match="aud"):
            await world.bearer(world.token(aud="other", realm="lab"))
        with pytest.raises(ConditionFailed):
            await world.bearer(world.token(aud="littoral", realm="street"))

    in_world(main, audiences=("littoral",), condition="in(realm,'plant','lab')")


def test_keys_are_fetched_once_and_again_when_they_are_rotated(in_world):
    async def main(world):
        await world.bearer(world.token())
        await world.bearer(world.token(sub="bob"))
        assert world.identities.statistics().key_fetches_total == 1
        fresh = RSAKey.generate_key(2048, {"kid": "fresh"})
        world.issuer.publish(fresh)
        world.clock.jump(KEYS_AGAIN_MS)
        await world.bearer(world.token(key=fresh))
        assert world.identities.statistics().key_fetches_total == 2

    in_world(main)


@pytest.mark.slow
def test_forged_key_ids_do_not_make_the_node_knock_at_the_issuer(in_world):
    async def main(world):
        await world.bearer(world.token())
        for n in range(20):
            forger = world.issuer.keys["rsa"].as_dict(private=True) | {"kid": f"forged-{n}"}
            with pytest.raises(TokenInvalid, match="does not publish"):
                await world.bearer(world.token(key=RSAKey.import_key(forger)))
        assert world.identities.statistics().key_fetches_total == 1

    in_world(main)


def test_old_keys_serve_while_the_issuer_is_away_but_not_for_ever(in_world):
    async def main(world):
        await world.bearer(world.token())
        documents = dict(world.web.documents)
        world.web.documents.clear()
        world.clock.jump(2 * 3600 * 1000)
        await world.bearer(world.token())
        world.clock.jump(KEYS_STALE_MS_MAX)
        with pytest.raises(KeysUnavailable):
            await world.bearer(world.token())
        world.web.documents = documents
        world.clock.jump(KEYS_AGAIN_MS)
        await world.bearer(world.token())

    in_world(main)


def test_an_issuer_that_cannot_be_reached_is_said_so(in_world):
    async def main(world):
        world.web.documents.clear()
        with pytest.raises(KeysUnavailable):
            await world.bearer(world.token())
        with pytest.raises(KeysUnavailable, match="a moment ago"):
            await world.bearer(world.token())
        assert len(world.web.asked) == 1

    in_world(main)


def test_a_broken_key_among_good_ones_does_no_harm(in_world):
    async def main(world):
        url = "https://accounts.example.com/keys"
        document = json.loads(world.web.documents[url])
        document["keys"] = [{"kty": "RSA", "n": "!"}, {"kty": "PQC"}, 7, *document["keys"]]
        world.web.documents[url] = json.dumps(document).encode()
        await world.bearer(world.token())

    in_world(main)


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c", "a.e30.c", "é.é.é", "x" * 20_000])
def test_what_is_no_token_is_refused(in_world, text):
    async def main(world):
        with pytest.raises((TokenInvalid, IssuerNotSupported)):
            await world.bearer(text)

    in_world(main)


def test_a_session_goes_on_with_a_new_token_of_the_same_subject_only(in_world):
    async def main(world):
        first = await world.bearer(world.token(life_s=60))
        later = await world.identities.renew(first, world.token(life_s=600))
        assert later.expires_ms > first.expires_ms
        with pytest.raises(SubjectChanged):
            await world.identities.renew(first, world.token(sub="bob"))

    in_world(main)


@pytest.mark.parametrize(
    "issuer",
    [
        Issuer("a:b", ("x",)),
        Issuer("a", ()),
        Issuer("a", ("x",), subjects=("{{ header:x }}",)),
        Issuer("a", ("x",), condition="eq(a, 1)"),
    ],
)
def test_settings_that_make_no_sense_end_the_start(in_world, issuer):
    async def main(world):
        raise AssertionError(world)

    with pytest.raises(InvalidIssuer):
        in_world(main, settings=IdentitySettings(issuers=(issuer,)))
