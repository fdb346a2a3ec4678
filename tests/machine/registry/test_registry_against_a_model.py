"""The registry, its restarts, failed commits and a replica, against plain dictionaries."""

import random
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from littoral.kernel.errors import LittoralError
from littoral.kernel.ids import NodeId
from littoral.log import Log
from littoral.log.adapters.committer import InlineCommitter
from littoral.log.adapters.memory import MemoryStore
from littoral.registry import Registry
from littoral.registry.adapters.argon2 import InlineArgon2Hasher

TENANTS = ("T", "U")
NAMESPACES = ("a", "b", "c")
DEVICES = ("d1", "d2", "a:d1", "b:d1")
AUTH_IDS = ("s1", "s2")
PASSWORDS = ("p", "q")


class HandClock:
    ms = 1_700_000_000_000

    def now_ms(self) -> int:
        return self.ms

    def monotonic_s(self) -> float:
        return self.ms / 1000


class Seeded:
    def __init__(self) -> None:
        self._rng = random.Random(1)

    def token(self, size: int) -> bytes:
        return self._rng.randbytes(size)

    def uniform(self, low: float, high: float) -> float:
        return low


class HandLoop:
    def __init__(self) -> None:
        self.ready: list[tuple[Callable[..., object], tuple[object, ...]]] = []

    def call_soon(self, callback: Callable[..., object], *args: object) -> None:
        self.ready.append((callback, args))

    def call_later(self, _: float, callback: Callable[..., object], *args: object) -> None:
        """Never: nobody here waits for room."""

    def settle(self) -> None:
        while self.ready:
            callback, args = self.ready.pop(0)
            callback(*args)


class Node:
    def __init__(self, name: str, *, replica: bool) -> None:
        self.name, self.replica = name, replica
        self.clock, self.entropy, self.store = HandClock(), Seeded(), MemoryStore()
        self.open()

    def open(self) -> None:
        self.loop = HandLoop()
        self.log = Log.open(
            store=self.store,
            committer=InlineCommitter(self.loop),
            clock=self.clock,
            entropy=self.entropy,
            node=NodeId(self.name),
            loop=self.loop,
        )
        hasher = InlineArgon2Hasher(self.entropy)
        self.registry = Registry(self.log, hasher, self.clock, self.entropy, replica=self.replica)

    def signs_in(self, name: str, password: str) -> str | None:
        """The device, "disabled", or None."""
        coroutine = self.registry.authenticate_device(name, password)
        try:
            coroutine.send(None)
        except StopIteration as e:
            return e.value.device
        except LittoralError as e:
            return "disabled" if e.code == "littoral.forbidden" else None
        raise AssertionError("it waited")

    def table(self) -> dict[str, bytes]:
        return dict(self.log.scan("registry", limit=1000))


class Model:
    """What ought to be known; everything by search, nothing indexed."""

    def __init__(self) -> None:
        self.tenants: dict[str, tuple[tuple[str, ...], bool]] = {}
        self.devices: dict[tuple[str, str], tuple[str, bool]] = {}
        self.credentials: dict[tuple[str, str], dict[str, str]] = {}

    def copy(self) -> "Model":
        other = Model()
        other.tenants = dict(self.tenants)
        other.devices = dict(self.devices)
        other.credentials = {k: dict(v) for k, v in self.credentials.items()}
        return other

    def thing(self, tenant: str, device: str) -> str:
        spaces = self.tenants[tenant][0]
        return (
            device
            if device.partition(":")[0] in spaces and ":" in device
            else f"{spaces[0]}:{device}"
        )

    def put_tenant(self, tenant: str, spaces: tuple[str, ...], enabled: bool) -> bool:
        taken = {s for t, (owned, _) in self.tenants.items() if t != tenant for s in owned}
        given_up = set(self.tenants.get(tenant, ((), True))[0]) - set(spaces)
        in_use = {thing.partition(":")[0] for thing, _ in self.devices.values()}
        if taken & set(spaces) or given_up & in_use:
            return False
        self.tenants[tenant] = (spaces, enabled)
        return True

    def delete_tenant(self, tenant: str) -> bool:
        if tenant not in self.tenants or any(t == tenant for t, _ in self.devices):
            return False
        del self.tenants[tenant]
        return True

    def put_device(self, tenant: str, device: str, enabled: bool) -> bool:
        if tenant not in self.tenants:
            return False
        old = self.devices.get((tenant, device))
        thing = old[0] if old else self.thing(tenant, device)
        if old is None and any(t == thing for t, _ in self.devices.values()):
            return False
        self.devices[tenant, device] = (thing, enabled)
        return True

    def delete_device(self, tenant: str, device: str) -> bool:
        self.credentials.pop((tenant, device), None)
        return self.devices.pop((tenant, device), None) is not None

    def put_credentials(self, tenant: str, device: str, given: dict[str, str]) -> bool:
        if (tenant, device) not in self.devices:
            return False
        others = {
            auth_id
            for (t, d), owned in self.credentials.items()
            if t == tenant and d != device
            for auth_id in owned
        }
        if others & set(given):
            return False
        self.credentials[tenant, device] = dict(given)
        return True

    def signs_in(self, auth_id: str, tenant: str, password: str) -> str | None:
        for (t, device), owned in self.credentials.items():
            if t == tenant and owned.get(auth_id) == password:
                enabled = self.tenants[tenant][1] and self.devices[t, device][1]
                return device if enabled else "disabled"
        return None


def documents(given: dict[str, str]) -> list[object]:
    return [
        {"type": "hashed-password", "authId": a, "password": p, "hashFunction": "sha-256"}
        for a, p in given.items()
    ]


TENANT = st.sampled_from(TENANTS)
DEVICE = st.sampled_from(DEVICES)


class RegistryMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.cloud = Node("cloud", replica=False)
        self.site = Node("site", replica=True)
        self.model, self.durable = Model(), Model()
        self.sent = 0

    def check(self, accepted: bool, call: Callable[[], object]) -> None:
        try:
            call()
        except LittoralError:
            assert not accepted
        else:
            assert accepted

    @initialize(given=st.dictionaries(st.sampled_from(AUTH_IDS), st.sampled_from(PASSWORDS)))
    def begin(self, given: dict[str, str]) -> None:
        for tenant, spaces in (("T", ["a", "b"]), ("U", ["c"])):
            self.put_tenant(tenant, spaces, enabled=True)
        for device in DEVICES[:2]:
            self.put_device("T", device, enabled=True)
        self.put_credentials("T", "d1", given)

    @rule(
        tenant=TENANT,
        spaces=st.lists(st.sampled_from(NAMESPACES), min_size=1, max_size=2, unique=True),
        enabled=st.booleans(),
    )
    def put_tenant(self, tenant: str, spaces: list[str], enabled: bool) -> None:
        self.check(
            self.model.put_tenant(tenant, tuple(spaces), enabled),
            lambda: self.cloud.registry.put_tenant(tenant, namespaces=spaces, enabled=enabled),
        )

    @rule(tenant=TENANT)
    def delete_tenant(self, tenant: str) -> None:
        self.check(
            self.model.delete_tenant(tenant), lambda: self.cloud.registry.delete_tenant(tenant)
        )

    @rule(tenant=TENANT, device=DEVICE, enabled=st.booleans())
    def put_device(self, tenant: str, device: str, enabled: bool) -> None:
        self.check(
            self.model.put_device(tenant, device, enabled),
            lambda: self.cloud.registry.put_device(tenant, device, enabled=enabled),
        )

    @rule(tenant=TENANT, device=DEVICE)
    def delete_device(self, tenant: str, device: str) -> None:
        self.check(
            self.model.delete_device(tenant, device),
            lambda: self.cloud.registry.delete_device(tenant, device),
        )

    @rule(
        tenant=TENANT,
        device=DEVICE,
        given=st.dictionaries(st.sampled_from(AUTH_IDS), st.sampled_from(PASSWORDS)),
    )
    def put_credentials(self, tenant: str, device: str, given: dict[str, str]) -> None:
        self.check(
            self.model.put_credentials(tenant, device, given),
            lambda: self.cloud.registry.put_credentials(tenant, device, documents(given)),
        )

    @rule()
    def commit(self) -> None:
        self.cloud.loop.settle()
        self.durable = self.model.copy()

    @rule()
    def restart(self) -> None:
        self.cloud.store.close()
        self.cloud.open()
        self.model = self.durable.copy()

    @precondition(lambda self: self.cloud.log.head > self.cloud.log.committed)
    @rule()
    def commit_fails(self) -> None:
        self.cloud.store.capacity_bytes, capacity = 0, self.cloud.store.capacity_bytes
        self.cloud.loop.settle()
        self.cloud.store.capacity_bytes = capacity
        # A log that refuses writes probes the disk by and by; opening it anew is quicker.
        self.restart()

    @rule(ms=st.integers(-5000, 120_000))
    def time_passes(self, ms: int) -> None:
        self.cloud.clock.ms += ms

    @rule(again=st.booleans())
    def replicate(self, again: bool) -> None:
        self.commit()
        for record in self.cloud.log.read(0 if again else self.sent, limit=10_000):
            self.site.registry.apply_remote(record)
            self.sent = max(self.sent, record.seq)
        self.site.loop.settle()
        assert self.site.table() == self.cloud.table()

    @invariant()
    def who_signs_in_is_who_ought_to(self) -> None:
        for tenant in TENANTS:
            for auth_id in AUTH_IDS:
                for password in PASSWORDS:
                    expected = self.model.signs_in(auth_id, tenant, password)
                    assert self.cloud.signs_in(f"{auth_id}@{tenant}", password) == expected

    @invariant()
    def every_way_leads_back(self) -> None:
        registry = self.cloud.registry
        for tenant in TENANTS:
            known = registry.tenant(tenant)
            assert (known is None) == (tenant not in self.model.tenants)
            listed = {d.id: (d.thing_id, d.enabled) for d in registry.devices(tenant)}
            assert listed == {d: v for (t, d), v in self.model.devices.items() if t == tenant}
        for namespace in NAMESPACES:
            owners = [t for t, (spaces, _) in self.model.tenants.items() if namespace in spaces]
            owner = registry.tenant_of_namespace(namespace)
            assert ([] if owner is None else [owner.id]) == owners
        for (tenant, device), (thing, _) in self.model.devices.items():
            assert registry.identity(tenant, device).thing_id == thing
            assert registry.device_of(thing) == registry.identity(tenant, device)


TestRegistry = pytest.mark.slow(RegistryMachine.TestCase)
TestRegistry.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
