"""What a command's headers ask of a twin, read once for all doors: conditions and metadata.

Pure: texts as in HTTP, or JSON as in an envelope, under lower-case names.
"""

from collections.abc import Mapping

from littoral import rql
from littoral.kernel import json
from littoral.kernel.errors import InvalidHeader, InvalidJson
from littoral.twin.errors import HeadersConflict, InvalidCondition
from littoral.twin.model import METADATA_MAX, NO_CONDITIONS, Conditions, IfEqual, MetadataPut

_ASKING = frozenset(
    (
        "if-match",
        "if-none-match",
        "if-equal",
        "condition",
        "merge-thing-patch-conditions",
        "put-metadata",
        "get-metadata",
        "delete-metadata",
        "allow-policy-lockout",
    )
)


def conditions_of(raw: Mapping[str, object]) -> Conditions:
    """What of ``raw`` a command depends on, and what it does to metadata.

    Raises:
        InvalidHeader, InvalidCondition, HeadersConflict.
    """
    if _ASKING.isdisjoint(raw):
        return NO_CONDITIONS
    put, get, delete = (raw.get(f"{what}-metadata") for what in ("put", "get", "delete"))
    if (put is not None) + (get is not None) + (delete is not None) > 1:
        raise HeadersConflict(
            "metadata is put, got or deleted; one request does only one of it.",
            hint="Send one of put-metadata, get-metadata and delete-metadata.",
        )
    merge_conditions = raw.get("merge-thing-patch-conditions")
    return Conditions(
        if_match=text_header(raw, "if-match"),
        if_none_match=text_header(raw, "if-none-match"),
        if_equal=IfEqual.of(text_header(raw, "if-equal")),
        condition=query_header(raw, "condition"),
        merge_conditions={} if merge_conditions is None else _merge_conditions(merge_conditions),
        put_metadata=() if put is None else _put_metadata(put),
        delete_metadata=() if delete is None else _pointers("delete-metadata", delete),
        get_metadata=() if get is None else _pointers("get-metadata", get),
        allow_policy_lockout=flag_header(raw, "allow-policy-lockout") or False,
    )


def parse_condition(text: str) -> rql.Query:
    """Read a condition; raise `InvalidCondition` if it is no RQL."""
    try:
        return rql.parse(text)
    except rql.InvalidExpression as e:
        raise InvalidCondition(
            f"the condition {text[:200]!r} is not RQL: {e.message}", hint=e.hint
        ) from e


def query_header(raw: Mapping[str, object], name: str) -> rql.Query | None:
    """A header that is RQL, or None; raise `InvalidCondition` if it is something else."""
    text = text_header(raw, name)
    return None if text is None else parse_condition(text)


def _merge_conditions(value: object) -> dict[str, rql.Query]:
    name = "merge-thing-patch-conditions"
    conditions = _decoded(name, value) if isinstance(value, str) else value
    if not isinstance(conditions, dict):
        raise InvalidHeader(f"{name} is no JSON object of pointers and conditions.")
    parsed: dict[str, rql.Query] = {}
    for pointer, text in conditions.items():
        if not isinstance(text, str):
            raise InvalidHeader(f"{name}: the condition at {pointer[:80]!r} is no string.")
        parsed[pointer] = parse_condition(text)
    return parsed


def _put_metadata(value: object) -> tuple[MetadataPut, ...]:
    items = _decoded("put-metadata", value) if isinstance(value, str) else value
    if not isinstance(items, list) or len(items) > METADATA_MAX:
        raise InvalidHeader(
            f"put-metadata is no JSON array of at most {METADATA_MAX} items.",
            hint='Write [{"key":"features/lamp/properties/on/unit","value":"none"}].',
        )
    puts: list[MetadataPut] = []
    for item in items:
        if (
            not isinstance(item, dict)
            or item.keys() != {"key", "value"}
            or not isinstance(item["key"], str)
            or not item["key"].strip("/")
        ):
            raise InvalidHeader(
                "an item of put-metadata has a key, which is a pointer, and a value."
            )
        puts.append(MetadataPut(item["key"], item["value"]))
    return tuple(puts)


def _pointers(name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        value = _decoded(name, value) if value[:1] == "[" else value.split(",")
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise InvalidHeader(f"{name} is no list of pointers.")
    found = tuple(one.strip() for one in value if one.strip())
    if not found or len(found) > METADATA_MAX:
        raise InvalidHeader(f"{name} names 1 to {METADATA_MAX} pointers.")
    return found


def text_header(headers: Mapping[str, object], name: str) -> str | None:
    """A header that is text, or None; raise `InvalidHeader` if it is something else."""
    value = headers.get(name)
    if value is None or isinstance(value, str):
        return value
    raise InvalidHeader(f"the header {name!r} is not a string.")


def flag_header(raw: Mapping[str, object], name: str) -> bool | None:
    """A header that is true or false, or None; raise `InvalidHeader` if it is something else."""
    value = raw.get(name)
    if value is None or isinstance(value, bool):
        return value
    if value in {"true", "false"}:
        return value == "true"
    raise InvalidHeader(f"{name} is {str(value)[:40]!r}; true or false is wanted.")


def _decoded(name: str, text: str) -> object:
    try:
        return json.decode(text)
    except InvalidJson as e:
        raise InvalidHeader(f"{name} is no JSON: {e.message}") from e
