"""Passwords, API keys and trusted proxies; what is remembered, and what ends it."""

import pytest

from littoral.identity import IdentitySettings, Proofs
from littoral.identity.core.basic import parse_basic
from littoral.kernel.errors import Unauthenticated
from littoral.registry import Role


def issue(world, *subjects, roles=(), ttl_ms=None):
    ends = None if ttl_ms is None else world.clock.now_ms() + ttl_ms
    return world.registry.api_keys.issue(subjects, roles, comment="", expires_ms=ends)


def test_a_password_gives_the_subject_of_the_user(in_world):
    async def main(world):
        found = await world.basic("ditto", "ditto")
        assert found.subjects == ("nginx:ditto",)
        assert not found.is_admin
        assert (await world.basic("devops", "foobar")).roles >= {"admin", "devops", "status"}

    in_world(main)


def test_the_same_proof_is_checked_once(in_world):
    async def main(world):
        first = await world.basic("ditto", "ditto")
        assert await world.basic("ditto", "ditto") is first
        assert world.identities.statistics().checked_total == 1

    in_world(main)


def test_a_removed_user_is_not_remembered(in_world):
    async def main(world):
        await world.basic("ditto", "ditto")
        world.registry.delete_user("ditto")
        with pytest.raises(Unauthenticated):
            await world.basic("ditto", "ditto")

    in_world(main)


def test_an_api_key_works_as_a_header_and_as_a_bearer(in_world):
    async def main(world):
        issued = issue(world, "nginx:ditto", "team:ops", roles=(Role.STATUS,))
        by_header = await world.identities.identify(Proofs(api_key=issued.text))
        assert by_header.subjects == ("nginx:ditto", "team:ops")
        assert by_header.roles == {"status"}
        assert (await world.bearer(issued.text)).name == f"apikey:{issued.key.id}"

    in_world(main)


def test_a_revoked_api_key_ends_at_once_and_an_expired_one_in_time(in_world):
    async def main(world):
        issued, short = issue(world, "a:b"), issue(world, "a:b", ttl_ms=1000)
        await world.bearer(issued.text)
        await world.bearer(short.text)
        world.registry.api_keys.revoke(issued.key.id)
        with pytest.raises(Unauthenticated, match="not known"):
            await world.bearer(issued.text)
        world.clock.jump(1001)
        with pytest.raises(Unauthenticated, match="expired"):
            await world.bearer(short.text)

    in_world(main)


@pytest.mark.parametrize("change", ["{}x", "lk_{}", "{}_"])
def test_a_wrong_api_key_is_refused(in_world, change):
    async def main(world):
        with pytest.raises(Unauthenticated):
            await world.bearer(change.format(issue(world, "a:b").text))

    in_world(main)


def test_the_secret_of_an_api_key_is_kept_nowhere(in_world):
    async def main(world):
        issued = issue(world, "a:b")
        await world.log.wait()
        secret = issued.text.rpartition("_")[2].encode()
        rows = world.log.scan("registry", prefix="", limit=1000)
        assert rows
        assert not any(secret in value for _, value in rows)
        assert not any(secret in r.value for r in world.log.read(0, limit=1000))

    in_world(main)


def test_subjects_of_a_trusted_proxy_are_believed_only_where_that_is_set(in_world):
    proofs = Proofs(pre_authenticated="proxy:alice,proxy:ops")

    async def trusting(world):
        found = await world.identities.identify(proofs)
        assert found.subjects == ("proxy:alice", "proxy:ops")
        with pytest.raises(Unauthenticated):
            await world.identities.identify(Proofs(pre_authenticated="alice"))

    async def careful(world):
        with pytest.raises(Unauthenticated):
            await world.identities.identify(proofs)

    in_world(trusting, settings=IdentitySettings(pre_authenticated=True))
    in_world(careful)


def test_several_proofs_give_all_their_subjects_and_the_earliest_end(in_world):
    async def main(world):
        key = issue(world, "team:ops", ttl_ms=5000)
        found = await world.identities.identify(
            Proofs(authorization=f"Bearer {world.token()}", api_key=key.text)
        )
        assert found.subjects == ("plant:alice", "team:ops")
        assert found.expires_ms == key.key.expires_ms
        assert found.claims["sub"] == "alice"

    in_world(main)


def test_one_wrong_proof_spoils_the_others(in_world):
    async def main(world):
        with pytest.raises(Unauthenticated):
            await world.identities.identify(
                Proofs(authorization=f"Bearer {world.token()}", api_key="lk_0_x")
            )

    in_world(main)


def test_settings_give_roles_to_subjects(in_world):
    async def main(world):
        found = await world.basic("ditto", "ditto")
        assert found.roles == {"user", "devops", "status"}

    in_world(main, settings=IdentitySettings(devops_subjects=frozenset({"nginx:ditto"})))


def test_nobody_is_told_what_may_be_sent(in_world):
    async def main(world):
        with pytest.raises(Unauthenticated, match="API key, or a token"):
            await world.identities.identify(Proofs())
        with pytest.raises(Unauthenticated, match="not known"):
            await world.identities.identify(Proofs(authorization="Digest x"))

    in_world(main)


@pytest.mark.parametrize("text", ["", "%%%", "bm9jb2xvbg==", "OnB3", "/w==", "A" * 5000])
def test_an_unreadable_basic_header_is_refused(text):
    with pytest.raises(Unauthenticated):
        parse_basic(text)
