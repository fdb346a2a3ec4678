"""Manifests on the wire: ``apiVersion, kind, metadata, spec`` as strict structs.

Every unknown key is an error that names the nearest known one; what a spec means is decided by the
part that owns it (`registry` for credentials, `policy` for entries, `twin` for things).
"""

from difflib import get_close_matches
from typing import Annotated, ClassVar

import msgspec

from littoral.api.errors import InvalidManifest
from littoral.api.model import CREDENTIALS_MAX

API_VERSION = "littoral/v1"

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Object = dict[str, object]


class NamedMetadata(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True
):
    """Who it is: a tenant's id, or ``namespace:name``."""

    name: Name


class DeviceMetadata(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True
):
    """Who it is: a device of a tenant."""

    tenant: Name
    name: Name


class TenantSpec(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True
):
    """A tenant: the namespaces of its things, and the policy of things that its devices make."""

    namespaces: Annotated[list[Name], msgspec.Meta(min_length=1, max_length=64)]
    default_policy: Name | None = None
    enabled: bool = True


class DeviceSpec(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True
):
    """A device. Credentials are `registry`'s to read; without them those it has are kept."""

    enabled: bool = True
    thing_id: Name | None = None
    credentials: Annotated[list[Object], msgspec.Meta(max_length=CREDENTIALS_MAX)] | None = None


class ThingSpec(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True
):
    """What a thing shall have; what it has besides is kept."""

    policy_id: Name | None = None
    definition: str | None = None
    attributes: Object | None = None
    features: Object | None = None


class PolicySpec(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True
):
    """A whole policy: entries that are not named are removed."""

    entries: Object
    imports: Object = {}


class Manifest(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    rename="camel",
    kw_only=True,
    tag_field="kind",
):
    """One declared object."""

    api_version: str

    @property
    def name(self) -> str:
        """As it is shown in answers."""
        raise AssertionError("every kind names itself")


class TenantManifest(
    Manifest, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True, tag="Tenant"
):
    """``kind: Tenant``."""

    parts: ClassVar = (NamedMetadata, TenantSpec)
    metadata: NamedMetadata
    spec: TenantSpec

    @property
    def name(self) -> str:
        return self.metadata.name


class DeviceManifest(
    Manifest, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True, tag="Device"
):
    """``kind: Device``."""

    parts: ClassVar = (DeviceMetadata, DeviceSpec)
    metadata: DeviceMetadata
    spec: DeviceSpec = DeviceSpec()

    @property
    def name(self) -> str:
        return f"{self.metadata.tenant}/{self.metadata.name}"


class ThingManifest(
    Manifest, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True, tag="Thing"
):
    """``kind: Thing``."""

    parts: ClassVar = (NamedMetadata, ThingSpec)
    metadata: NamedMetadata
    spec: ThingSpec = ThingSpec()

    @property
    def name(self) -> str:
        return self.metadata.name


class PolicyManifest(
    Manifest, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True, tag="Policy"
):
    """``kind: Policy``."""

    parts: ClassVar = (NamedMetadata, PolicySpec)
    metadata: NamedMetadata
    spec: PolicySpec

    @property
    def name(self) -> str:
        return self.metadata.name


AnyManifest = TenantManifest | DeviceManifest | ThingManifest | PolicyManifest
KINDS: dict[str, type[AnyManifest]] = {
    "Tenant": TenantManifest,
    "Device": DeviceManifest,
    "Thing": ThingManifest,
    "Policy": PolicyManifest,
}
_decoder: msgspec.json.Decoder[AnyManifest] = msgspec.json.Decoder(AnyManifest)


def decode_manifest(line: bytes) -> AnyManifest:
    """Read one manifest from JSON.

    Raises:
        InvalidManifest: not JSON, an unknown kind or key, or a value of the wrong type.
    """
    try:
        manifest = _decoder.decode(line)
    except msgspec.ValidationError as e:
        raise _explained(line, e) from e
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as e:
        raise InvalidManifest(f"this is not a JSON object: {e}.") from e
    if manifest.api_version != API_VERSION:
        raise InvalidManifest(
            f"apiVersion is {manifest.api_version[:40]!r}.", hint=f"Write {API_VERSION}."
        )
    return manifest


def _explained(line: bytes, error: msgspec.ValidationError) -> InvalidManifest:
    """The slow way to a good sentence: look for the first key that nobody knows."""
    try:
        document = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        document = None
    if isinstance(document, dict):
        kind = document.get("kind")
        if not isinstance(kind, str) or kind not in KINDS:
            return InvalidManifest(
                f"the kind {str(kind)[:40]!r} is not known.",
                hint=_nearest(str(kind), tuple(KINDS)),
            )
        metadata, spec = KINDS[kind].parts
        levels = (
            ("", document, ("apiVersion", "kind", "metadata", "spec")),
            ("metadata.", document.get("metadata"), metadata.__struct_encode_fields__),
            ("spec.", document.get("spec"), spec.__struct_encode_fields__),
        )
        for where, level, known in levels:
            for key in level if isinstance(level, dict) else ():
                if key not in known:
                    return InvalidManifest(
                        f"{kind} has no field '{where}{str(key)[:80]}'.",
                        hint=_nearest(str(key), known),
                    )
    return InvalidManifest(f"this manifest is invalid: {str(error)[:300]}.")


def _nearest(word: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(word[:80], known, n=1, cutoff=0.5)
    return f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known)}."
