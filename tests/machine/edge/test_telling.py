"""Records that the peer has not read are gone: it is told what they came to, whatever is cut."""

import asyncio
import random

import pytest

from littoral.edge import Downlink, LinkSettings, Scope, Uplink
from littoral.edge.teller import Teller
from littoral.log import Budget, RecordClass, Retention
from littoral.registry import Registry
from littoral.simulate.hasher import VirtualHasher
from littoral.twin import Caller, Twins

ANYBODY = Caller(frozenset(), unrestricted=True)
FAST = LinkSettings(
    ping_every_s=2.0, ping_timeout_s=5.0, hello_timeout_s=3.0, reconnect_s_max=0.5, rival_ping_s=1.0
)
FEW = Retention(1 << 40, dict.fromkeys((RecordClass.STATE,), Budget(1, 1 << 40)))
POLICY = {"entries": {"o": {"subjects": {"a:b": {"type": "t"}}, "resources": {
    f"{kind}:/": {"grant": ["READ", "WRITE"], "revoke": []} for kind in ("thing", "policy")
}}}}  # fmt: skip


@pytest.fixture
def real_node(new_node):
    """A node with twins and a registry of its own."""

    class Real(new_node):
        def open(self):
            super().open()
            self.registry = Registry(
                self.log,
                VirtualHasher(),
                self.clock,
                self.entropy,
                replica=self.name != "cloud",
            )
            self.twins = Twins(self.log, self.registry, self.clock)

        async def put(self, thing, value, *, policy="a:p"):
            document = {"policyId": policy, "attributes": {"n": value}}
            await self.twins.modify(ANYBODY, thing, "/", document)

        async def forget(self):
            """Let all go that is in the state table."""
            self.twins.flush()
            await self.log.wait()
            self.log.retain(FEW)
            await self.log._housekeeper.thin()

        def shown(self):
            found, after = {}, ""
            while page := self.twins.list_ids(after=after, limit=200):
                found.update((thing, self.twins.peek(thing)) for thing in page)
                after = page[-1]
            return found

    return Real


class Pair:
    """A cloud and a site, to be linked."""

    def __init__(self, world, make):
        self.network = world.network
        self.cloud, self.site = make("cloud"), make("site")
        self.namespaces = {"a"}

    def scope(self, name):
        return Scope(node=name, tenants=frozenset({"T"}), namespaces=frozenset(self.namespaces))

    def equal(self):
        return self.site.shown() == self.cloud.shown()

    async def meet(self, main):
        async with asyncio.TaskGroup() as tasks:
            cloud, site = self.cloud, self.site
            self.downlink = Downlink(
                log=cloud.log,
                twins=cloud.twins,
                registry=cloud.registry,
                inbox=cloud.inbox,
                listener=self.network,
                directory=self.scope,
                clock=cloud.clock,
                settings=FAST,
            )
            running = tasks.create_task(self.downlink.run())
            await asyncio.sleep(0)
            self.uplink = Uplink(
                log=site.log,
                twins=site.twins,
                registry=site.registry,
                inbox=site.inbox,
                dialer=self.network.dialer("site"),
                clock=site.clock,
                entropy=site.entropy,
                settings=FAST,
            )
            upping = tasks.create_task(self.uplink.run())
            await main()
            upping.cancel()
            running.cancel()


@pytest.fixture
def linked(in_world, real_node):
    """Runs ``main(pair)`` beside a cloud and a site of real twins and registries."""

    def start(main):
        async def body(world):
            pair = Pair(world, real_node)
            pair.cloud.registry.put_tenant("T", namespaces=["a"])
            await pair.cloud.twins.put_policy(ANYBODY, "a:p", "/", POLICY)
            await main(pair)

        in_world(body)

    return start


def test_a_late_site_is_told_all_and_goes_on_where_it_was_cut(linked, wait_until, monkeypatch):
    told = []
    send = Teller._send

    def noted(self, items, *args, **more):
        told.append([key for key, _, _ in items])
        send(self, items, *args, **more)

    monkeypatch.setattr(Teller, "_send", noted)

    async def main(pair):
        for n in range(1500):
            await pair.cloud.put(f"a:t{n:04}", n)
        await pair.cloud.forget()

        async def check():
            for _ in range(10):
                count = len(pair.site.shown())
                await wait_until(
                    lambda count=count: len(pair.site.shown()) > count or count == 1500
                )
                pair.network.cut()
            await wait_until(pair.equal)
            assert pair.site.registry.tenant("T") == pair.cloud.registry.tenant("T")

        await pair.meet(check)
        assert len(pair.site.shown()) == 1500
        # After each cut what was acknowledged is not told again.
        firsts = [keys[0] for keys in told if keys]
        assert firsts.count("policy:a:p") <= 2
        assert len(set(firsts)) >= 6

    linked(main)


def test_what_was_deleted_vanishes_and_what_was_changed_at_the_site_stays(linked, wait_until):
    async def main(pair):
        for n in range(20):
            await pair.cloud.put(f"a:t{n:02}", n)

        async def together():
            await wait_until(pair.equal)

        await pair.meet(together)
        await pair.site.twins.modify(ANYBODY, "a:t03", "/attributes/here", 1)
        await pair.site.put("a:new", 5)
        await pair.cloud.twins.modify(ANYBODY, "a:t03", "/features/f", {"properties": {"there": 2}})
        await pair.cloud.twins.delete(ANYBODY, "a:t04", "/")
        await pair.cloud.forget()

        async def again():
            await wait_until(pair.equal)

        await pair.meet(again)
        shown = pair.site.shown()
        assert "a:t04" not in shown and "a:new" in shown
        assert shown["a:t03"]["attributes"] == {"n": 3, "here": 1}
        assert shown["a:t03"]["features"] == {"f": {"properties": {"there": 2}}}

    linked(main)


def test_a_cloud_is_told_what_a_site_could_not_keep_for_it_and_that_it_was(linked, wait_until):
    async def main(pair):
        await pair.cloud.put("a:t", 0)

        async def together():
            await wait_until(pair.equal)

        await pair.meet(together)
        for n in range(50):
            await pair.site.put(f"a:s{n:02}", n)
        await pair.site.twins.modify(ANYBODY, "a:t", "/attributes/n", 7)
        await pair.site.forget()
        await pair.meet(together)
        assert pair.cloud.shown()["a:t"]["attributes"] == {"n": 7}
        assert len(pair.cloud.shown()) == 51
        gaps = [r for r in pair.cloud.log.read(0, limit=10_000) if r.kind == "link.gap"]
        assert [r.origin.partition("/")[0] for r in gaps] == ["site"]
        assert b'"class":"state"' in gaps[0].value

    linked(main)


def test_a_tenant_that_is_added_after_its_records_are_gone_is_told(linked, wait_until):
    async def main(pair):
        await pair.cloud.twins.put_policy(ANYBODY, "b:p", "/", POLICY)
        await pair.cloud.put("b:t", 1, policy="b:p")
        await pair.cloud.put("a:t", 1)

        async def first():
            await wait_until(lambda: list(pair.site.shown()) == ["a:t"])
            await asyncio.sleep(40)

        await pair.meet(first)
        await pair.cloud.forget()
        pair.namespaces.add("b")

        async def second():
            await wait_until(pair.equal)
            await wait_until(lambda: b'"grants":[]' in pair.cloud.log.get("link", "scope/site"))

        await pair.meet(second)

    linked(main)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_both_write_while_one_is_told_and_both_end_equal(linked, wait_until, seed):
    async def main(pair):
        chance = random.Random(seed)
        for n in range(300):
            await pair.cloud.put(f"a:t{n:03}", n)
        await pair.cloud.forget()

        async def check():
            for _ in range(200):
                side = chance.choice([pair.cloud, pair.site])
                thing = f"a:t{chance.randint(0, 299):03}"
                if side.twins.exists(thing):
                    path = f"/attributes/{chance.choice('nab')}"
                    if chance.random() < 0.1:
                        await side.twins.delete(ANYBODY, thing, "/")
                    else:
                        await side.twins.modify(ANYBODY, thing, path, chance.random())
                await asyncio.sleep(chance.choice([0, 0, 0.005]))
                if chance.random() < 0.05:
                    pair.network.cut(lose=chance.random() < 0.5)
            await wait_until(pair.equal)
            await asyncio.sleep(5)
            assert pair.equal()

        await pair.meet(check)

    linked(main)
