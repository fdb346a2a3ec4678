"""The demo's nodes: one cloud, two sites, a cable that can be cut, and who may connect."""

import json
from dataclasses import dataclass
from pathlib import Path

from littoral.app.bench.node import (
    NodeProcess,
    apply,
    call,
    cloud_process,
    device,
    site_process,
    tenant,
)
from littoral.app.demo.model import DeviceSpec
from littoral.app.demo.proxy import Cable

SITE_ONE = "site-one"
SITE_TWO = "site-two"
RETRY_S_MAX = "1.0"
"""How long sites wait between attempts at the most: the audience is watching."""


@dataclass(frozen=True, slots=True)
class Cast:
    """What lives at one site."""

    site: str
    tenant: str
    namespace: str
    kind: str


CASTS = (
    Cast(SITE_ONE, "shuttle", "org.shuttle", "shuttle"),
    Cast(SITE_TWO, "robots", "org.robots", "robot"),
)


@dataclass(slots=True)
class Stage:
    """All processes and the cable; built by `build`, started by the director."""

    cloud: NodeProcess
    sites: dict[str, NodeProcess]
    cable: Cable

    @property
    def nodes(self) -> list[NodeProcess]:
        return [self.cloud, *self.sites.values()]


def build(directory: Path) -> Stage:
    """Choose ports and command lines; nothing is started yet."""
    cloud = cloud_process(directory / "cloud")
    return Stage(cloud, {}, Cable(cloud.link_port))


def add_site(stage: Stage, directory: Path, cast: Cast, functions: Path | None) -> NodeProcess:
    """Ask the cloud for a token and make the site's node, which enrols itself with it."""
    port = stage.cable.port if cast.site == SITE_ONE else stage.cloud.link_port
    environment = {
        "LITTORAL_LINK__RETRY_S_MAX": RETRY_S_MAX,
        "LITTORAL_LINK__URL": f"wss://127.0.0.1:{port}",
    }
    if functions is not None:
        environment["LITTORAL_FUNCTIONS__FILES"] = str(functions)
    token = issue_token(stage.cloud, cast)
    node = site_process(directory / cast.site, "--dev", "--token", token)
    node.environment = environment
    stage.sites[cast.site] = node
    return node


def issue_token(cloud: NodeProcess, cast: Cast) -> str:
    """A one-time token for the site, for the tenant that lives there."""
    answer = call(
        cloud,
        "POST",
        "/api/littoral/v1/tokens",
        json.dumps({"site": cast.site, "tenants": [cast.tenant]}).encode(),
    )
    return str(json.loads(answer)["token"])


def names(cast: Cast, count: int) -> list[str]:
    """The devices of one site."""
    return [f"{cast.kind}-{number:03d}" for number in range(count)]


def populate(cloud: NodeProcess, counts: dict[str, int]) -> None:
    """Declare tenants and devices in the cloud; the link brings them to their sites."""
    apply(cloud, [tenant(cast.tenant, cast.namespace) for cast in CASTS])
    apply(
        cloud,
        [
            device(cast.tenant, name, secret_of(name))
            for cast in CASTS
            for name in names(cast, counts[cast.site])
        ],
    )


def secret_of(name: str) -> str:
    """A device's password in the demo."""
    return f"secret-of-{name}"


def specs(stage: Stage, counts: dict[str, int]) -> tuple[DeviceSpec, ...]:
    """The fleet, half of it speaking MQTT 5 and half 3.1.1, the sites' devices taking turns."""
    made = [
        DeviceSpec(
            site=cast.site,
            name=name,
            thing_id=f"{cast.namespace}:{name}",
            username=f"{name}@{cast.tenant}",
            password=secret_of(name),
            port=stage.sites[cast.site].mqtt_port,
            version=5 if number % 2 else 4,
            kind=cast.kind,
            seed=number,
        )
        for cast in CASTS
        for number, name in enumerate(names(cast, counts[cast.site]))
    ]
    return tuple(sorted(made, key=lambda spec: spec.seed))
