"""What a node is told about itself. Values only; where they come from is `app`'s business."""

from typing import Literal

import msgspec

MIB = 1024 * 1024


class RetentionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of the log is kept, in bytes and days. What is over it is thinned, lowest class first."""

    total_mib: int = 8192
    alarm_days: int = 3650
    event_days: int = 365
    state_days: int = 3650
    telemetry_days: int = 30
    bulk_days: int = 7


class MqttConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The MQTT door."""

    listen: str = "127.0.0.1:1883"
    connections_max: int = 50_000
    packet_bytes_max: int = 65_536


class HttpConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The HTTP door: API, WebSocket, health and metrics."""

    listen: str = "127.0.0.1:8080"
    cors_origins: tuple[str, ...] = ()
    """Origins (``https://host:port``) whose pages may use the API in a browser; ``*`` is any."""


class LinkConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The link between a site and its cloud."""

    listen: str = "127.0.0.1:8883"
    """Where a cloud takes the connections of its sites (TLS)."""
    url: str = ""
    """Where a site finds its cloud: ``wss://host:port``. Empty: as its enrolment said."""
    names: tuple[str, ...] = ("localhost", "127.0.0.1")
    """Names and addresses in the certificate of the cloud's listener."""
    public_url: str = ""
    """How sites reach the listener, for their tokens: ``wss://host:port``. Empty: as it listens."""
    retry_s_max: float = 30.0


class FunctionsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Functions that run beside the node."""

    files: tuple[str, ...] = ()
    handler_s_max: float = 30.0


class IssuerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An OpenID provider whose tokens are taken; its name is the key in ``auth.issuers``."""

    issuers: tuple[str, ...] = ()
    """Values of ``iss``, with or without ``https://``."""
    subjects: tuple[str, ...] = ("{{ jwt:sub }}",)
    """What stands behind ``<name>:`` in subjects; a claim that is a list gives several."""
    audiences: tuple[str, ...] = ()
    condition: str = ""
    """RQL over the claims that must hold."""
    jwks_url: str = ""
    """Where its keys are; empty: as ``/.well-known/openid-configuration`` says."""


class AuthConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may ask over HTTP and WebSocket, besides the node's own users and API keys."""

    issuers: dict[str, IssuerConfig] = {}
    keys_s: int = 3600
    """How long an issuer's public keys are good."""
    pre_authenticated: bool = False
    """Believe ``x-ditto-pre-authenticated``: only behind a proxy that sets and strips it."""
    admin_subjects: tuple[str, ...] = ()
    devops_subjects: tuple[str, ...] = ()
    status_subjects: tuple[str, ...] = ()


class CreationConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Entities that may, or may not, be created; ``*`` and ``?`` are wildcards, empty lists fit all."""

    resource_types: tuple[Literal["thing", "policy"], ...] = ()
    namespaces: tuple[str, ...] = ()
    auth_subjects: tuple[str, ...] = ()
    thing_definitions: tuple[str, ...] = ()


class PoliciesConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the operator decides about policies."""

    subject_expiry_granularity_s: int = 3600
    """Expiries of subjects are rounded up to a multiple of it."""
    namespace_roots: dict[str, tuple[str, ...]] = {}
    """Namespace, ``x.*`` or ``*`` to policies whose entries hold in every policy there."""
    creation_grants: tuple[CreationConfig, ...] = (CreationConfig(),)
    """Who may create what; at least one has to fit."""
    creation_revokes: tuple[CreationConfig, ...] = ()
    """Who may not, even if one of ``creation_grants`` fits."""
    token_subject: str = "integration:{{policy-entry:label}}:{{jwt:aud}}"  # noqa: S105  # a template
    """Who is added to an entry by activateTokenIntegration."""


class ThingsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the operator decides about things."""

    historical_headers_to_persist: tuple[str, ...] = ()
    """Headers of commands that are kept with what they changed, for reads of the history."""
    merge_drops_emptied_objects: bool = False
    """Leave out objects of a merge patch that lost all members to a false condition."""


class SearchConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The search index: a file of its own beside the log, made anew whenever it is missing."""

    enabled: bool = True
    cache_mib: int = 64
    """Memory for its pages."""


class NodeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One node, whole."""

    name: str = "cloud"
    role: Literal["cloud", "site"] = "cloud"
    data_dir: str = "data"
    hot_things_max: int = 100_000
    http: HttpConfig = HttpConfig()
    auth: AuthConfig = AuthConfig()
    mqtt: MqttConfig = MqttConfig()
    link: LinkConfig = LinkConfig()
    search: SearchConfig = SearchConfig()
    retention: RetentionConfig = RetentionConfig()
    functions: FunctionsConfig = FunctionsConfig()
    policies: PoliciesConfig = PoliciesConfig()
    things: ThingsConfig = ThingsConfig()
