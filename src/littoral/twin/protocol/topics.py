"""Topics of the Ditto Protocol: what a signal is about, and what kind of signal it is. Pure.

Spec: Ditto Protocol 2; policies and connections have no channel, and each criterion belongs to
certain groups and channels only.
"""

from collections.abc import Mapping
from functools import lru_cache

import msgspec

from littoral.twin.protocol.errors import UnknownChannel, UnknownTopic

TOPIC_CHARS_MAX = 1024
"""Length of a topic: an id, a subject or label, and the words between them."""

_CRITERIA: Mapping[str, Mapping[str, frozenset[str]]] = {
    "things": {
        "commands": frozenset(("twin", "live")),
        "events": frozenset(("twin", "live")),
        "search": frozenset(("twin",)),
        "messages": frozenset(("live",)),
        "streaming": frozenset(("twin",)),
        "acks": frozenset(("twin", "live")),
        "errors": frozenset(("twin", "live")),
    },
    "policies": dict.fromkeys(
        ("commands", "streaming", "acks", "errors", "announcements", "events"), frozenset(("",))
    ),
    "connections": dict.fromkeys(
        ("commands", "streaming", "errors", "announcements"), frozenset(("",))
    ),
}
"""Group to criterion to the channels that it exists on."""

_WITHOUT_ACTION = frozenset(("errors", "acks"))
"""Criteria whose topic may end with themselves."""


class Topic(msgspec.Struct, frozen=True, gc=False):
    """What a signal is about. ``channel`` is empty for policies; ``_`` is kept as it came."""

    namespace: str
    name: str
    group: str
    channel: str
    criterion: str
    action: str = ""

    def __str__(self) -> str:
        parts = (self.namespace, self.name, self.group, self.channel, self.criterion, self.action)
        return "/".join(part for part in parts if part)

    @property
    def entity_id(self) -> str:
        """``namespace:name``, not yet checked."""
        return f"{'' if self.namespace == '_' else self.namespace}:{self.name}"

    @property
    def subject(self) -> str:
        """What stands behind the criterion ``messages`` or ``acks``; else empty."""
        return self.action if self.criterion in {"messages", "acks"} else ""


@lru_cache(maxsize=4096)
def parse_topic(text: str) -> Topic:
    """Read a topic.

    Raises:
        UnknownTopic: not of the grammar; `UnknownChannel` if only the channel is wrong.
    """
    parts = text.split("/", 3)
    if len(text) > TOPIC_CHARS_MAX or len(parts) < 4 or not parts[0] or not parts[1]:
        raise UnknownTopic(
            f"the topic {text[:200]!r} is not known.",
            hint="Write <namespace>/<name>/things/twin/commands/<action>.",
        )
    namespace, name, group, rest = parts
    criteria = _CRITERIA.get(group)
    if criteria is None:
        raise UnknownTopic(
            f"the topic {text[:200]!r} names no group.",
            hint="Groups are things, policies and connections.",
        )
    channel = ""
    if group == "things":
        channel, _, rest = rest.partition("/")
        if channel not in {"twin", "live"}:
            raise UnknownChannel(f"the channel {channel[:80]!r} is neither twin nor live.")
    criterion, _, action = rest.partition("/")
    channels = criteria.get(criterion)
    if channels is None:
        raise UnknownTopic(
            f"the topic {text[:200]!r} has no criterion that {group} have.",
            hint=f"They have {', '.join(sorted(criteria))}.",
        )
    if channel not in channels:
        raise UnknownTopic(
            f"{criterion} are not on the channel {channel!r}.",
            hint=f"They are on {' and '.join(sorted(channels))}.",
        )
    if not action and criterion not in _WITHOUT_ACTION:
        raise UnknownTopic(f"the topic {text[:200]!r} ends too early.")
    return Topic(namespace, name, group, channel, criterion, action)


def topic_of(
    entity_id: str, group: str, criterion: str, action: str = "", *, channel: str = "twin"
) -> Topic:
    """The topic of a signal about ``namespace:name``."""
    namespace, _, name = entity_id.partition(":")
    channel = channel if group == "things" else ""
    return Topic(namespace or "_", name, group, channel, criterion, action)


@lru_cache(maxsize=4096)
def event_topic(thing_id: str, action: str) -> str:
    """The topic of a twin event as text: the same things change again and again."""
    return str(topic_of(thing_id, "things", "events", action))


NOTHING = Topic("unknown", "unknown", "things", "twin", "errors")
"""What an error is about if the frame did not say."""

SEARCH_ERRORS = Topic("_", "_", "things", "twin", "search", "errors")
