"""Worlds whose logs keep little, and whose sites come late: records are gone before they are read."""

import random
from dataclasses import dataclass

from littoral.kernel.ids import Subject
from littoral.log import Budget, RecordClass, Retention
from littoral.node import Node
from littoral.simulate.plan import CLOUD, Plan
from littoral.twin import Caller

_MANY = 1 << 40
_OWNER = Caller(frozenset((Subject("nginx:ditto"),)))
_FORGOTTEN = (RecordClass.STATE, RecordClass.TELEMETRY)
"""Events stay: each loss is one in the ledger, which would be lost, and told, for ever."""

_DEEDS = ("make", "make", "change", "change", "change", "delete", "policy", "device", "no device")


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that is done in the cloud, to what a site is to know."""

    at_s: float
    what: str
    namespace: str
    number: int

    async def do(self, node: Node) -> None:
        """Do it, durably."""
        tenant, name = f"T{self.namespace}", f"x{self.number % 4}"
        thing, policy = f"{self.namespace}:{name}", f"{self.namespace}:{name}"
        twins, registry = node.twins, node.registry
        match self.what:
            case "make":
                made = {"policyId": f"{self.namespace}:default", "attributes": {"n": 0}}
                await twins.modify(_OWNER, thing, "/", made)
            case "change":
                await twins.modify(_OWNER, thing, f"/attributes/a{self.number % 3}", self.number)
            case "delete":
                await twins.delete(_OWNER, thing, "/")
            case "policy":
                document = twins.peek_policy(f"{self.namespace}:default") or {}
                await twins.put_policy(_OWNER, policy, "/", {**document, "policyId": policy})
            case "device":
                registry.put_device(tenant, f"y{self.number % 4}")
            case _:
                registry.delete_device(tenant, f"y{self.number % 4}")
        await node.log.wait()


@dataclass(frozen=True, slots=True)
class Forgetting:
    """What nodes keep, when sites come, and what is done in the cloud meanwhile."""

    kept: dict[str, Retention]
    comes_s: dict[str, float]
    deeds: tuple[Deed, ...]


def forget(plan: Plan) -> Forgetting:
    """Draw it for a plan; from a source of its own, so that the plan stays what it is."""
    source = random.Random(f"forgetting {plan.seed}")
    kept = {}
    for host in plan.hosts:
        # What a site has not sent, no age takes; so nothing that was acknowledged is lost.
        bytes_max = source.choice((1000, 5000)) if host.name == CLOUD else _MANY
        budget = Budget(bytes_max=bytes_max, age_ms_max=source.choice((500, 3000)))
        kept[host.name] = Retention(_MANY, dict.fromkeys(_FORGOTTEN, budget))
    comes_s = {
        host.name: source.choice((0.0, source.uniform(1.0, plan.lasts_s)))
        for host in plan.hosts[1:]
    }
    deeds = [
        Deed(
            source.uniform(0.0, plan.lasts_s),
            source.choice(_DEEDS),
            source.choice(plan.hosts[1:]).namespace,
            number,
        )
        for number in range(source.randint(10, 60))
    ]
    return Forgetting(kept, comes_s, tuple(sorted(deeds, key=lambda deed: deed.at_s)))
