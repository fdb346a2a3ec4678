"""Bulk apply: manifests in as NDJSON, one answer line for each, in order, as they are durable."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from enum import StrEnum

from littoral.api.administration.manifests import (
    AnyManifest,
    DeviceManifest,
    PolicyManifest,
    TenantManifest,
    ThingManifest,
    decode_manifest,
)
from littoral.api.errors import BodyLate, InvalidManifest
from littoral.api.http import LineSplitter, Request
from littoral.api.model import APPLY_BATCH_MAX, APPLY_HASHES_MAX, APPLY_LINE_BYTES_MAX
from littoral.api.parts import ApiParts
from littoral.kernel import json
from littoral.kernel.errors import LittoralError
from littoral.kernel.merge import check_depth, merge
from littoral.twin import Caller
from littoral.twin.statuses import problem


class Result(StrEnum):
    """What became of a manifest."""

    CREATED = "created"
    CHANGED = "ok"
    UNCHANGED = "unchanged"
    ERROR = "error"


class Applier:
    """Declares objects, each at most once: what is so already is not written again."""

    def __init__(self, parts: ApiParts) -> None:
        self._twins = parts.twins
        self._registry = parts.registry
        self._log = parts.log
        self._hashing = asyncio.Semaphore(APPLY_HASHES_MAX)

    async def answers(self, request: Request, caller: Caller) -> AsyncIterator[bytes]:
        """Answer lines for the lines of a request's body.

        A batch is decided, becomes durable and is answered before more is read: that is the
        back-pressure. A line that is refused does not stop those after it.
        """
        splitter = LineSplitter(APPLY_LINE_BYTES_MAX)
        more = True
        while more:
            try:
                piece, more = await request.chunk()
            except BodyLate as e:
                yield json.encode({"result": Result.ERROR.value} | problem(e)) + b"\n"
                return
            lines = [*splitter.feed(piece), *(splitter.end() if not more else ())]
            for start in range(0, len(lines), APPLY_BATCH_MAX):
                yield await self._batch(lines[start : start + APPLY_BATCH_MAX], caller)

    async def _batch(self, lines: Sequence[bytes | None], caller: Caller) -> bytes:
        # Tasks begin in order and decide before they first wait, so a policy is there for the
        # thing after it; they wait together, so the batch is one commit and not hundreds.
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(self._answer(line, caller)) for line in lines]
        return b"".join(json.encode(task.result()) + b"\n" for task in running)

    async def _answer(self, line: bytes | None, caller: Caller) -> dict[str, object]:
        about: dict[str, object] = {}
        try:
            if line is None:
                raise InvalidManifest(f"a manifest has at most {APPLY_LINE_BYTES_MAX} bytes.")
            manifest = decode_manifest(line)
            about = {"kind": type(manifest).__struct_config__.tag, "name": manifest.name}
            result = await self.apply(manifest, caller)
        except LittoralError as e:
            return about | {"result": Result.ERROR.value} | problem(e)
        return about | {"result": result.value}

    async def apply(self, manifest: AnyManifest, caller: Caller) -> Result:
        """Make one object as it is declared; return when that is durable."""
        match manifest:
            case ThingManifest():
                return await self._thing(manifest, caller)
            case PolicyManifest():
                return await self._policy(manifest, caller)
            case TenantManifest():
                return await self._tenant(manifest)
            case DeviceManifest():
                return await self._device(manifest)

    async def _thing(self, manifest: ThingManifest, caller: Caller) -> Result:
        spec = manifest.spec
        wanted: dict[str, object] = {
            "policyId": spec.policy_id,
            "definition": spec.definition,
            "attributes": spec.attributes,
            "features": spec.features,
        }
        wanted = {name: value for name, value in wanted.items() if value is not None}
        check_depth(wanted)
        now = self._twins.peek(manifest.name)
        if now is not None and merge(self._twins.peek(manifest.name), wanted) == now:
            # Maybe the same manifest, two lines above: its commit is ours.
            await self._log.wait()
            return Result.UNCHANGED
        # Merged, not replaced: what devices report is not the manifest's to remove.
        outcome = await self._twins.merge(caller, manifest.name, "/", wanted)
        return Result.CREATED if now is None or outcome.created else Result.CHANGED

    async def _policy(self, manifest: PolicyManifest, caller: Caller) -> Result:
        spec = manifest.spec
        document: dict[str, object] = {"entries": spec.entries, "imports": spec.imports}
        check_depth(document)
        wanted = self._twins.policies.as_stored(manifest.name, document)
        now = self._twins.policies.load(manifest.name).document()
        if now == wanted:
            await self._log.wait()
            return Result.UNCHANGED
        await self._twins.put_policy(caller, manifest.name, "/", wanted)
        return Result.CREATED if now is None else Result.CHANGED

    async def _tenant(self, manifest: TenantManifest) -> Result:
        spec, registry = manifest.spec, self._registry
        before = registry.tenant(manifest.name)
        after = registry.put_tenant(
            manifest.name,
            namespaces=spec.namespaces,
            default_policy=spec.default_policy,
            enabled=spec.enabled,
        )
        await self._log.wait()
        if before is None:
            return Result.CREATED
        return Result.UNCHANGED if after.version == before.version else Result.CHANGED

    async def _device(self, manifest: DeviceManifest) -> Result:
        spec, registry = manifest.spec, self._registry
        tenant, name = manifest.metadata.tenant, manifest.metadata.name
        before = registry.device(tenant, name)
        after = registry.put_device(tenant, name, enabled=spec.enabled, thing_id=spec.thing_id)
        changed = before is None or after.version != before.version
        if spec.credentials is not None:
            had = registry.credentials(tenant, name).version
            # Plain passwords wait for argon2, and only so many may wait; hashed ones never do.
            async with self._hashing:
                made = await registry.set_credentials(tenant, name, spec.credentials)
            changed = changed or made.version != had
        await self._log.wait()
        if before is None:
            return Result.CREATED
        return Result.CHANGED if changed else Result.UNCHANGED
