"""A bit that flipped on the disk costs one thing or policy, which says so; the node goes on."""

import random

import pytest

from littoral.kernel.errors import Kind, LittoralError
from littoral.twin import Caller
from littoral.twin.core.state import Hot, pack, unpack
from littoral.twin.errors import PolicyDamaged, StateDamaged

P, T = "org.acme:p", "org.acme:t"
ADMIN = Caller(frozenset({"nginx:admin"}))
ALL = {f"{kind}:/": {"grant": ["READ", "WRITE"]} for kind in ("thing", "policy")}
POLICY = {"entries": {"a": {"subjects": {"nginx:admin": {}}, "resources": ALL}}}


def stored(entity="thing:a:b"):
    hot = Hot(entity)
    hot.revision, hot.last_seq, hot.policy_id = 7, 99, P
    hot.replace({"thingId": "a:b", "attributes": {"n": 1234567}})
    return pack(hot)


def test_every_flipped_bit_is_noticed():
    data = stored()
    for at in range(8 * 5, 8 * len(data)):
        damaged = bytearray(data)
        damaged[at // 8] ^= 1 << at % 8
        with pytest.raises(StateDamaged):
            unpack("thing:a:b", bytes(damaged))


def test_a_state_that_is_cut_or_nonsense_is_damaged():
    data = stored()
    rng = random.Random(5)
    for odd in (b"", data[:-1], data[:3], data[:5], b"\xc1", rng.randbytes(80), b"null"):
        with pytest.raises(PolicyDamaged) as refused:
            unpack("policy:a:b", odd)
        assert refused.value.kind is Kind.UNAVAILABLE
        assert refused.value.code == "policies:policy.unavailable"


def test_a_state_of_an_older_release_has_no_checksum_and_is_read():
    assert unpack("thing:a:b", stored()[5:]).document() == unpack("thing:a:b", stored()).document()


async def refused(awaitable):
    with pytest.raises(LittoralError) as caught:
        await awaitable
    return caught.value.code


def test_a_damaged_thing_is_unavailable_and_the_others_go_on(on_node, other):
    async def main(node):
        await node.twins.put_policy(ADMIN, P, "/", POLICY)
        for name in (T, "org.acme:u"):
            await node.twins.modify(ADMIN, name, "/", {"policyId": P})
        await node.reopen()
        node.log.put("state", f"thing:{T}", b"\xc1abcd" + b"x" * 20)
        await node.log.wait()
        await node.twins.modify(ADMIN, "org.acme:u", "/attributes/n", 1)
        for flush in (False, True):
            assert await refused(node.twins.retrieve(ADMIN, T)) == "things:thing.unavailable"
            assert await refused(node.twins.modify(ADMIN, T, "/attributes/x", 1)) == (
                "things:thing.unavailable"
            )
            assert (await node.twins.retrieve(ADMIN, "org.acme:u")).value["attributes"] == {"n": 1}
            assert node.twins.list_ids() == [T, "org.acme:u"]
            assert [one.thing_id for one in node.twins.standings.after("", limit=9)] == [
                "org.acme:u"
            ]
            node.twins.apply_remote(
                other(
                    9_000_000,
                    "thing.modified",
                    "/attributes/y",
                    1,
                    oseq=2 + flush,
                    entity=f"thing:{T}",
                )
            )
            await node.log.wait()
            await node.reopen(flush=flush)

    on_node(main)


def test_a_damaged_policy_is_unavailable_and_grants_nothing(on_node):
    async def main(node):
        twins = node.twins
        await twins.put_policy(ADMIN, P, "/", POLICY)
        await twins.put_policy(ADMIN, "org.acme:q", "/", POLICY | {"imports": {P: {}}})
        await twins.modify(ADMIN, T, "/", {"policyId": P})
        await twins.modify(ADMIN, "org.acme:u", "/", {"policyId": "org.acme:q"})
        await node.reopen()
        twins = node.twins
        node.log.put("state", f"policy:{P}", b"?")
        assert await refused(twins.retrieve_policy(ADMIN, P)) == "policies:policy.unavailable"
        assert await refused(twins.put_policy(ADMIN, P, "/", POLICY)) == (
            "policies:policy.unavailable"
        )
        assert await refused(twins.retrieve(ADMIN, T)) == "things:thing.notfound"
        assert (await twins.retrieve(ADMIN, "org.acme:u")).value["thingId"] == "org.acme:u"
        assert set(twins.book.ids()) >= {"org.acme:q"}

    on_node(main)
