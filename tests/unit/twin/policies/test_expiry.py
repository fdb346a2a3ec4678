"""Subjects leave when their time is over, and are told: in virtual time, across restarts and sites."""

import asyncio
import contextlib

import pytest

from littoral.kernel import json
from littoral.kernel.time import render
from littoral.simulate import EPOCH_MS
from littoral.twin import Caller, PolicySettings
from littoral.twin.policies.expiry import ANNOUNCEMENT_TRIES_MAX

P = "org.acme:p"
ADMIN = Caller(frozenset({"nginx:admin"}))
GUEST = Caller(frozenset({"nginx:guest"}))
EVERYTHING = {
    "policy:/": {"grant": ["READ", "WRITE"], "revoke": []},
    "thing:/": {"grant": ["READ", "WRITE"], "revoke": []},
}
HOUR = 3_600_000
FINE = PolicySettings(expiry_granularity_ms=1000, announcement_granularity_ms=1000)
AT_ONCE = {"randomizationInterval": "0s"}


def policy(now_ms, *, after_ms=HOUR, **announcement):
    guest = {"type": "t", "expiry": render(now_ms + after_ms)}
    if announcement:
        guest["announcement"] = announcement
    return {
        "entries": {
            "admin": {"subjects": {"nginx:admin": {}}, "resources": EVERYTHING},
            "guests": {"subjects": {"nginx:guest": guest}, "resources": EVERYTHING},
        }
    }


@contextlib.asynccontextmanager
async def running(node):
    """The node's background work, and what is announced while it runs."""
    heard = []
    node.twins.on_announcement(heard.append)
    async with asyncio.TaskGroup() as tasks:
        work = tasks.create_task(node.twins.run())
        try:
            yield heard
        finally:
            work.cancel()


def guests(node):
    return list(node.twins.peek_policy(P)["entries"]["guests"]["subjects"])


def may(node):
    return node.twins.book.guard(P).may(GUEST.subjects, "WRITE", "policy:/")


def test_a_subject_is_removed_when_its_time_is_over(on_node):
    async def main(node):
        async with running(node) as heard:
            now = node.clock.now_ms()
            await node.twins.put_policy(ADMIN, P, "/", policy(now, after_ms=HOUR + 1))
            await asyncio.sleep(2 * HOUR / 1000 - (now % HOUR) / 1000 - 1)
            assert (guests(node), may(node)) == (["nginx:guest"], True)
            await asyncio.sleep(2)
            assert (guests(node), may(node)) == ([], False)
            assert node.twins.policies.load(P).revision == 2
            assert heard == []
        await node.log.wait()
        assert [r.kind for r in node.records("policy.")][-2:] == [
            "policy.created",
            "policy.modified",
        ]
        assert (await node.twins.retrieve_policy(ADMIN, P, at_revision=1)).value != (
            await node.twins.retrieve_policy(ADMIN, P)
        ).value

    on_node(main)


@pytest.mark.parametrize("crash", [False, True])
def test_a_subject_whose_time_passed_while_the_node_was_down_is_removed_at_once(on_node, crash):
    async def main(node):
        await node.twins.put_policy(ADMIN, P, "/", policy(node.clock.now_ms(), after_ms=5000))
        await (node.kill() if crash else node.reopen())
        await asyncio.sleep(60)
        assert not may(node), "even before anybody has had time to remove it"
        async with running(node):
            await asyncio.sleep(0.01)
            assert guests(node) == []
        await node.reopen()
        assert guests(node) == []
        assert node.twins.policies.load(P).revision == 2

    on_node(main, settings=FINE)


def test_a_site_heeds_it_no_more_and_leaves_the_removal_to_its_cloud(on_node, other):
    async def main(node):
        changed = []
        node.twins.book.listen(changed.append)
        async with running(node):
            await node.twins.put_policy(ADMIN, P, "/", policy(node.clock.now_ms(), after_ms=5000))
            assert may(node)
            generation = node.twins.book.generation
            await asyncio.sleep(6)
            assert not may(node)
            assert node.twins.book.generation > generation
            assert changed == [frozenset({P})]
            assert guests(node) == ["nginx:guest"]
            await asyncio.sleep(600)
            assert node.twins.policies.load(P).revision == 1
            document = node.twins.peek_policy(P)
            del document["entries"]["guests"]["subjects"]["nginx:guest"]
            ms = node.clock.now_ms() - EPOCH_MS
            node.twins.apply_remote(
                other(ms, "policy.modified", "/", document, entity=f"policy:{P}")
            )
            assert guests(node) == []
            assert node.twins.policies.load(P).revision == 2

    on_node(main, settings=PolicySettings(expiry_granularity_ms=1000, owner=False))


def test_an_announcement_is_made_once_before_and_none_after(on_node):
    async def main(node):
        async with running(node) as heard:
            now = node.clock.now_ms()
            document = policy(now, after_ms=60_000, beforeExpiry="20s", whenDeleted=True, **AT_ONCE)
            await node.twins.put_policy(ADMIN, P, "/", document)
            await asyncio.sleep(39)
            assert heard == []
            await asyncio.sleep(2)
            (announcement,) = heard
            assert announcement.value == {
                "deleteAt": render(now + 60_000),
                "subjectIds": ["nginx:guest"],
            }
            assert (announcement.policy_id, announcement.requested_acks) == (P, ())
            await asyncio.sleep(100)
            assert (len(heard), guests(node)) == (1, [])
        await node.log.wait()

    on_node(main, settings=FINE)


@pytest.mark.parametrize("acks", [{}, {"requestedAcks": {"labels": ["app:left"]}}])
def test_who_is_in_two_entries_is_told_once_before(on_node, acks):
    async def main(node):
        async with running(node) as heard:
            now = node.clock.now_ms()
            document = policy(now, after_ms=60_000, beforeExpiry="20s", **AT_ONCE, **acks)
            document["entries"]["more"] = document["entries"]["guests"]
            await node.twins.put_policy(ADMIN, P, "/", document)
            await asyncio.sleep(41)
            (announcement,) = heard
            announcement.acknowledged()
            await asyncio.sleep(100)
            assert (len(heard), guests(node)) == (1, [])
        await node.log.wait()

    on_node(main, settings=FINE)


def test_a_subject_that_was_told_before_leaves_on_time_too(on_node):
    async def main(node):
        async with running(node) as heard:
            now = node.clock.now_ms()
            document = policy(now, after_ms=60_000, beforeExpiry="20s", **AT_ONCE)
            await node.twins.put_policy(ADMIN, P, "/", document)
            await asyncio.sleep(59)
            assert (len(heard), may(node)) == (1, True)
            await asyncio.sleep(2)
            assert (guests(node), may(node)) == ([], False)
        await node.log.wait()

    on_node(main, settings=FINE)


def test_an_announcement_comes_earlier_by_a_part_of_the_interval(on_node):
    async def main(node):
        async with running(node) as heard:
            now = node.clock.now_ms()
            document = policy(
                now, after_ms=100_000, beforeExpiry="10s", randomizationInterval="80s"
            )
            await node.twins.put_policy(ADMIN, P, "/", document)
            came = asyncio.Event()
            node.twins.on_announcement(lambda _: came.set())
            await asyncio.sleep(10)
            assert heard == []
            await came.wait()
            assert node.clock.now_ms() - now < 90_000
        await node.log.wait()

    on_node(main, settings=FINE)


def test_an_announcement_is_repeated_until_it_is_acknowledged(on_node):
    async def main(node):
        async with running(node) as heard:
            document = policy(
                node.clock.now_ms(),
                after_ms=100_000,
                beforeExpiry="60s",
                whenDeleted=True,
                requestedAcks={"labels": ["abc:def"], "timeout": "10s"},
                **AT_ONCE,
            )
            await node.twins.put_policy(ADMIN, P, "/", document)
            await asyncio.sleep(65)
            assert len(heard) == 3
            assert len({one.id for one in heard}) == 1
            assert (heard[0].requested_acks, heard[0].timeout_ms) == (("abc:def",), 10_000)
            heard[0].acknowledged()
            await asyncio.sleep(100)
            assert (len(heard), guests(node)) == (3, [])
        await node.log.wait()

    on_node(main, settings=FINE)


def test_an_acknowledged_announcement_stays_so_after_a_restart(on_node):
    async def main(node):
        wanted = {"labels": ["abc:def"], "timeout": "10s"}
        async with running(node) as heard:
            document = policy(
                node.clock.now_ms(), after_ms=HOUR, beforeExpiry="1h", requestedAcks=wanted, **AT_ONCE
            )  # fmt: skip
            await node.twins.put_policy(ADMIN, P, "/", document)
            await asyncio.sleep(1)
            assert len(heard) == 1
        await node.reopen()
        async with running(node) as heard:
            await asyncio.sleep(1)
            assert len(heard) == 1, "nobody acknowledged it before"
            heard[0].acknowledged()
            await node.log.wait()
        await node.reopen()
        async with running(node) as heard:
            await asyncio.sleep(60)
            assert heard == []

    on_node(main, settings=FINE)


@pytest.mark.parametrize("how", ["subject", "entry", "policy", "replaced"])
def test_who_is_removed_by_hand_is_told_after_the_commit(on_node, how):
    async def main(node):
        twins = node.twins
        async with running(node) as heard:
            document = policy(node.clock.now_ms(), whenDeleted=True)
            await twins.put_policy(ADMIN, P, "/", document)
            match how:
                case "subject":
                    path = "/entries/guests/subjects/nginx:guest"
                    twins.policies.delete(ADMIN, P, path)
                case "entry":
                    twins.policies.delete(ADMIN, P, "/entries/guests")
                case "policy":
                    twins.policies.delete(ADMIN, P)
                case "replaced":
                    del document["entries"]["guests"]
                    twins.policies.put(ADMIN, P, "/", document)
            assert heard == []
            await node.log.wait()
            (announcement,) = heard
            assert announcement.subject_ids == ("nginx:guest",)
            assert announcement.delete_at_ms == node.clock.now_ms()

    on_node(main, settings=FINE)


@pytest.mark.parametrize(("path", "told"), [("/entries/more", 0), ("/", 1)])
def test_who_is_in_two_entries_leaves_when_it_has_left_both(on_node, path, told):
    async def main(node):
        async with running(node) as heard:
            document = policy(node.clock.now_ms(), whenDeleted=True)
            document["entries"]["more"] = document["entries"]["guests"]
            await node.twins.put_policy(ADMIN, P, "/", document)
            node.twins.policies.delete(ADMIN, P, path)
            await node.log.wait()
            assert [one.subject_ids for one in heard] == [("nginx:guest",)] * told

    on_node(main, settings=FINE)


def test_a_removal_that_did_not_happen_is_not_announced(on_node):
    async def main(node):
        async with running(node) as heard:
            document = policy(node.clock.now_ms(), whenDeleted=True)
            await node.twins.put_policy(ADMIN, P, "/", document)
            node.twins.policies.delete(ADMIN, P, "/entries/guests")
            await node.fill()
            await node.make_room()
            assert heard == []
            assert guests(node) == ["nginx:guest"]
            await asyncio.sleep(2 * HOUR / 1000)
            assert (len(heard), guests(node)) == (1, [])
        await node.log.wait()

    on_node(main, settings=FINE)


def test_a_removal_is_announced_again_but_not_for_ever(on_node):
    async def main(node):
        async with running(node) as heard:
            document = policy(
                node.clock.now_ms(),
                whenDeleted=True,
                requestedAcks={"labels": ["abc:def"], "timeout": "1s"},
            )
            await node.twins.put_policy(ADMIN, P, "/", document)
            await node.twins.delete_policy(ADMIN, P, "/entries/guests")
            await asyncio.sleep(2.5)
            assert len(heard) == 3
            await asyncio.sleep(100)
            assert len(heard) == ANNOUNCEMENT_TRIES_MAX
            await node.twins.put_policy(ADMIN, P, "/", document)
            await node.twins.delete_policy(ADMIN, P, "/entries/guests")
            heard[-1].acknowledged()
            count = len(heard)
            await asyncio.sleep(100)
            assert len(heard) == count

    on_node(main, settings=FINE)


def test_a_full_disk_puts_the_removal_off(on_node):
    async def main(node):
        async with running(node):
            await node.twins.put_policy(ADMIN, P, "/", policy(node.clock.now_ms(), after_ms=5000))
            node.twins.policies.put(ADMIN, P, "/entries/x", {})
            await node.fill()
            await asyncio.sleep(30)
            assert guests(node) == ["nginx:guest"]
            assert not may(node)
            await node.make_room()
            await asyncio.sleep(30)
            assert guests(node) == []
        await node.log.wait()

    on_node(main, settings=FINE)


def test_a_clock_that_jumps_is_heeded_within_a_minute(on_node):
    async def main(node):
        async with running(node):
            await node.twins.put_policy(ADMIN, P, "/", policy(node.clock.now_ms()))
            await asyncio.sleep(1)
            node.clock.jump(2 * HOUR)
            await asyncio.sleep(61)
            assert guests(node) == []
        await node.log.wait()

    on_node(main)


@pytest.mark.slow
def test_many_policies_are_due_at_once(on_node):
    async def main(node):
        now = node.clock.now_ms()
        for n in range(600):
            node.twins.policies.put(ADMIN, f"{P}{n}", "/", policy(now, after_ms=5000))
        await node.log.wait()
        async with running(node):
            await asyncio.sleep(6)
            for n in range(600):
                document = node.twins.peek_policy(f"{P}{n}")
                assert document["entries"]["guests"]["subjects"] == {}
        await node.log.wait()

    on_node(main, settings=FINE)


def test_policies_of_a_log_without_notes_are_noted_at_the_opening(on_node):
    async def main(node):
        await node.twins.put_policy(ADMIN, P, "/", policy(node.clock.now_ms(), after_ms=5000))
        await node.twins.put_policy(
            ADMIN, "org.acme:q", "/", policy(node.clock.now_ms()) | {"imports": {P: {}}}
        )
        for key, _ in node.log.scan("policies"):
            node.log.put("policies", key, None)
        await node.reopen()
        assert node.twins.book.affected_by(P) == {P, "org.acme:q"}
        async with running(node):
            await asyncio.sleep(6)
            assert guests(node) == []
        await node.log.wait()

    on_node(main, settings=FINE)


def test_the_record_of_a_removal_is_a_whole_policy(on_node):
    async def main(node):
        async with running(node):
            await node.twins.put_policy(ADMIN, P, "/", policy(node.clock.now_ms(), after_ms=5000))
            before = node.twins.peek_policy(P)
            await asyncio.sleep(6)
        await node.log.wait()
        record = node.records("policy.")[-1]
        del before["entries"]["guests"]["subjects"]["nginx:guest"]
        assert (record.path, json.decode(record.value)) == ("/", before)

    on_node(main, settings=FINE)


@pytest.mark.parametrize("cut", [False, True])
def test_cloud_and_site_remove_a_subject_once_between_them(on_node, cut):
    """The policy is made at the site; the link may be down when the time comes."""

    async def main(site):
        cloud = type(site)(name="cloud", settings=FINE)
        sent = {site: 0, cloud: 0}

        async def exchange():
            for one, other in ((site, cloud), (cloud, site)):
                await one.log.wait()
                for record in one.log.read(sent[one], limit=1000):
                    sent[one] = record.seq
                    if record.origin == one.log.origin and record.kind.startswith("policy."):
                        other.twins.apply_remote(record)
            await site.log.wait()
            await cloud.log.wait()

        async with running(site) as at_site, running(cloud) as in_cloud:
            document = policy(site.clock.now_ms(), after_ms=60_000, whenDeleted=True)
            await site.twins.put_policy(ADMIN, P, "/", document)
            await exchange()
            assert may(site)
            assert may(cloud)
            await asyncio.sleep(61)
            assert not may(site)
            assert not may(cloud)
            if not cut:
                await exchange()
            await asyncio.sleep(3600)
            await exchange()
            await asyncio.sleep(60)
            await exchange()
            for node in (site, cloud):
                assert guests(node) == []
                assert node.twins.policies.load(P).revision == 2
                changes = [r for r in node.records("policy.modified") if r.entity == f"policy:{P}"]
                assert [r.origin for r in changes] == [cloud.log.origin]
            for heard in (at_site, in_cloud):
                assert [one.subject_ids for one in heard] == [("nginx:guest",)]
        await cloud.log.close()

    on_node(main, settings=PolicySettings(expiry_granularity_ms=1000, owner=False))
