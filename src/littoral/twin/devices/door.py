"""What one authenticated device may do with its own thing. The hot path: synchronous, per message.

A call writes into the log's open batch or raises; the caller acknowledges when the batch commits.
Nothing here makes a task, a future or a parsed document per message.
"""

from dataclasses import replace

import orjson

from littoral.kernel.errors import InvalidJson, InvalidKey, TooLarge
from littoral.kernel.limits import JSON_DEPTH_MAX, SKEW_MS_MAX, THING_BYTES_MAX
from littoral.kernel.merge import check_depth, merge_at
from littoral.kernel.pointer import parse, render
from littoral.kernel.time import Clock
from littoral.log import Log, RecordClass
from littoral.native import hot as hot_path
from littoral.policy import WRITE
from littoral.registry import DeviceIdentity, Registry
from littoral.twin.core.document import check_feature_id, check_keys
from littoral.twin.core.paths import keys_of
from littoral.twin.core.state import Hot
from littoral.twin.devices.commands import answer
from littoral.twin.entities import Engine
from littoral.twin.errors import NotModifiable
from littoral.twin.model import (
    FEATURE_ID_CHARS_MAX,
    MESSAGE_ID_CHARS_MAX,
    SNAPSHOT_EVERY,
    Caller,
)
from littoral.twin.policies import PolicyBook
from littoral.twin.things import ThingCommands

FEATURES_MAX = 1024
"""Features whose permission one device's door remembers."""

_BRACE, _BRACKET, _SLASH, _ESCAPE, _DELETE = b"{[/\\\x7f"

_TELEMETRY = int(RecordClass.TELEMETRY)


class DeviceDoor:
    """A device and its thing.

    Invariant: a device writes its own thing only, as subject ``device:<tenant>:<id>``.
    """

    __slots__ = (
        "_book",
        "_caller",
        "_clock",
        "_engine",
        "_entity",
        "_generation",
        "_hot",
        "_log",
        "_paths",
        "_registry",
        "_things",
        "identity",
    )

    def __init__(
        self,
        engine: Engine,
        book: PolicyBook,
        things: ThingCommands,
        identity: DeviceIdentity,
        log: Log,
        registry: Registry,
        clock: Clock,
    ) -> None:
        self.identity = identity
        self._engine = engine
        self._book = book
        self._things = things
        self._caller = Caller(frozenset((identity.subject,)), own=identity.thing_id)
        self._log = log
        self._registry = registry
        self._clock = clock
        self._entity = "thing:" + identity.thing_id
        self._hot: Hot | None = None
        self._generation = -1
        self._paths: dict[str, str] = {}

    def telemetry(  # noqa: C901, PLR0912, PLR0915  # one function on purpose: a call costs 60 ns
        self,
        feature: str,
        payload: bytes,
        device_time: int | None = None,
        message_id: str | None = None,
        cls: int = _TELEMETRY,
    ) -> bool:
        """Merge a JSON object into ``features/<feature>/properties`` of the device's thing.

        Args:
            feature: the feature's id.
            payload: the JSON text of an object; null deletes (RFC 7396).
            device_time: when it was measured, ms since the epoch, as the device says.
            message_id: the device's own number of this message; a repeated one is not stored again.
            cls: `RecordClass` of the record.

        Returns:
            False if the message was stored before; it is to be acknowledged all the same.

        Raises:
            InvalidJson, InvalidKey, TooLarge, NotModifiable, LogFull.
        """
        hot = self._hot
        if hot is None or hot.gone or hot.doc is None:
            hot = self._enter()
        if self._generation != self._engine.policies_changed:
            self._paths.clear()
            self._generation = self._engine.policies_changed
        path = self._paths.get(feature)
        if path is None:
            path = self._admit(hot, feature)
        try:
            patch = orjson.loads(payload)
        except orjson.JSONDecodeError as e:
            raise InvalidJson(f"the payload is not JSON: {e}.", hint="Send one JSON object.") from e
        # A look for one byte costs 20 ns, a walk over the keys 1 µs: only texts in which a
        # forbidden key or a deep nesting can be are walked.
        flat = payload.find(_BRACE, 1) < 0
        if (
            not flat
            or (_BRACKET in payload and payload.count(b"[") > JSON_DEPTH_MAX)
            or _SLASH in payload
            or _ESCAPE in payload
            or _DELETE in payload
            or type(patch) is not dict
            or not payload.isascii()
            or "" in patch
        ):
            _check_patch(payload, patch)
        size = len(payload)
        if len(hot.doc or b"") + hot.pending_bytes + size > THING_BYTES_MAX:
            self._check_size(hot, path, patch)
        log = self._log
        revision = hot.revision + 1
        if message_id is None and device_time is None:
            seq = log.append_plain(
                cls, "thing.merged", self._entity, revision, hot.last_seq, path, payload
            )
        else:
            if message_id is not None and hot.ids is not None and message_id in hot.ids:
                self._engine.duplicates += 1
                return False
            headers = _headers_of(message_id)
            if device_time is not None:
                device_time = self._timed(hot, feature, device_time, headers)
                if "late" in headers:
                    self._keep_late(hot, cls, path, payload, device_time, headers)
                    return True
            seq = log.append(
                cls, "thing.merged", self._entity, revision, hot.last_seq, path, payload,
                device_time, headers,
            )  # fmt: skip
            if device_time is not None:
                hot.note_time(feature, device_time)
            if message_id is not None:
                hot.remember_id(message_id)
        hot.revision, hot.last_seq = revision, seq
        hot.lanes[path] = hlc = log.last_hlc
        hot.modified_ms = hlc >> 16
        hot.used = True
        earlier = hot.pending.get(path)
        if earlier is None:
            self._engine.keep_pending(hot)
            hot.pending[path] = patch
            hot.pending_bytes += size + len(path)
        elif flat:
            # A patch without objects in it always composes.
            earlier.update(patch)
            hot.pending_bytes += size
        else:
            hot.accumulate(path, patch, size)
        if hot.watched:
            self._engine.unwatch(hot)
        if not hot.dirty_since or revision % SNAPSHOT_EVERY == 0:
            self._engine.touch(hot, seq)
        return True

    def bulk(
        self,
        content_type: str | None,
        payload: bytes,
        *,
        device_time: int | None = None,
        message_id: str | None = None,
        cls: int = RecordClass.BULK,
    ) -> bool:
        """Keep a payload that is not JSON as a record of its own; the twin does not change."""
        hot = self._hot
        if hot is None or hot.gone or not hot.exists:
            hot = self._enter()
        self._admit_bulk(hot)
        if message_id is not None and hot.ids is not None and message_id in hot.ids:
            self._engine.duplicates += 1
            return False
        headers = _headers_of(message_id)
        headers["content-type"] = content_type or "application/octet-stream"
        self._log.append(cls, "device.data", self._entity, 0, 0, "/", payload, device_time, headers)
        if message_id is not None:
            self._remember(hot, message_id)
        return True

    def protocol(self, payload: bytes, message_id: str | None = None) -> bytes | None:
        """Do one Ditto Protocol command on the device's own thing.

        Args:
            payload: one envelope.
            message_id: the device's own number of the message; a change that was made for it
                before is not made again.

        Returns:
            The response envelope, or None if none was asked for. Also refusals are answered so.

        Raises:
            LittoralError: the payload is no envelope, or it is refused and wants no response.
        """
        hot = self._hot
        if hot is None or hot.gone or not hot.exists:
            hot = self._enter()
        if message_id is None:
            return answer(self._things, self._caller, payload)[0]
        _headers_of(message_id)
        is_known = hot.ids is not None and message_id in hot.ids
        caller = replace(self._caller, message_id=message_id)
        response, changed = answer(self._things, caller, payload, is_known=is_known)
        if is_known:
            self._engine.duplicates += 1
        elif changed:
            self._remember(self._engine.load(self._entity), message_id)
        return response

    # -- the slow side ------------------------------------------------------------------------

    def _enter(self) -> Hot:
        """Load the thing, or create it with its tenant's default policy."""
        hot = self._hot = self._engine.load(self._entity)
        if not hot.exists:
            tenant = self._registry.tenant(self.identity.tenant)
            policy_id = "" if tenant is None else tenant.default_policy
            body = {"thingId": hot.id, "policyId": policy_id or hot.id}
            self._engine.write(
                hot,
                RecordClass.STATE,
                "thing.created",
                "/",
                orjson.dumps(body),
                headers={"implicit": True, "by": self.identity.subject},
            )
        return hot

    def _admit(self, hot: Hot, feature: str) -> str:
        """The path of a feature, if the device may write there; remembered until a policy changes."""
        check_feature_id(feature)
        if len(feature) > FEATURE_ID_CHARS_MAX:
            raise InvalidKey(f"a feature's id has at most {FEATURE_ID_CHARS_MAX} characters.")
        path = render(("features", feature, "properties"))
        parse(path)  # too long a path would be stored, and refused whenever the thing is read
        if not self._book.may(self._caller, WRITE, "thing:" + path, hot):
            raise self._refused(hot, path)
        if len(self._paths) >= FEATURES_MAX:
            self._paths.clear()
        self._paths[feature] = path
        return path

    def _admit_bulk(self, hot: Hot) -> None:
        """Raise if the thing's policy lets the device write nothing at all of its thing."""
        if not self._book.may_partly(self._caller, "thing:/", hot, permission=WRITE):
            raise self._refused(hot, "anything")

    def _refused(self, hot: Hot, what: str) -> NotModifiable:
        return NotModifiable(
            f"the policy {hot.policy_id} does not let {self.identity.subject} write {what}.",
            code="things:feature.properties.notmodifiable",
            hint="Grant the device WRITE there, or do not name it in the policy at all.",
        )

    def _timed(
        self, hot: Hot, feature: str, device_time: int, headers: dict[str, object]
    ) -> int | None:
        """Judge the device's time: too far ahead is replaced, older than the newest is late.

        What is found is marked in ``headers``.
        """
        if device_time > self._clock.now_ms() + SKEW_MS_MAX:
            headers["clock"] = "ahead"
            return None
        times = hot.device_times
        if times is not None and device_time < times.get(feature, 0):
            headers["late"] = True
        return device_time

    def _keep_late(
        self,
        hot: Hot,
        cls: int,
        path: str,
        payload: bytes,
        device_time: int | None,
        headers: dict[str, object],
    ) -> None:
        """Store what is older than what the twin shows: in the history, not in the twin."""
        self._log.append(
            cls, "thing.merged", self._entity, 0, 0, path, payload, device_time, headers
        )
        self._engine.late += 1
        if "id" in headers:
            self._remember(hot, str(headers["id"]))

    def _remember(self, hot: Hot, message_id: str) -> None:
        """Note an id whose record does not change the twin, durably."""
        hot.remember_id(message_id)
        self._engine.touch_ids(hot)

    def _check_size(self, hot: Hot, path: str, patch: object) -> None:
        """Raise if the thing would be too large with ``patch``; only near the limit is it tried."""
        size = len(orjson.dumps(merge_at(hot.document(), keys_of(path), patch)))
        if size > THING_BYTES_MAX:
            raise TooLarge(
                f"thing {hot.id} would grow to {size} bytes with this write at {path}; the limit is "
                f"{THING_BYTES_MAX}.",
                hint="Publish smaller objects, or keep bulk data out of the twin.",
            )


if hot_path is not None:
    hot_path.bind(hot_path.DOOR, DeviceDoor)
    hot_path.bind(hot_path.HOT, Hot)
    hot_path.configure(
        thing_bytes_max=THING_BYTES_MAX,
        snapshot_every=SNAPSHOT_EVERY,
        depth_max=JSON_DEPTH_MAX,
        loads=orjson.loads,
        kind="thing.merged",
    )


def _headers_of(message_id: str | None) -> dict[str, object]:
    if message_id is None:
        return {}
    if len(message_id) > MESSAGE_ID_CHARS_MAX:
        raise InvalidKey(f"a message's id has at most {MESSAGE_ID_CHARS_MAX} characters.")
    return {"id": message_id}


def _check_patch(payload: bytes, patch: object) -> None:
    """Raise unless ``patch``, which is ``payload`` parsed, may be merged into a thing."""
    if not isinstance(patch, dict):
        raise InvalidJson(
            "the payload is JSON, but not an object.", hint="Send {…}; other data goes as bytes."
        )
    check_keys(patch)
    if payload.count(b"{") + payload.count(b"[") > JSON_DEPTH_MAX:
        check_depth(patch)
