"""What devices saw acknowledged against what the cloud holds. Pure; it must be able to fail."""

from collections.abc import Iterable, Sequence

from littoral.app.demo.model import Acknowledged, Counts, Quantiles, Stored

EXAMPLES_MAX = 20


class _Examples:
    def __init__(self) -> None:
        self.sentences: list[str] = []

    def add(self, sentence: str) -> None:
        if len(self.sentences) < EXAMPLES_MAX:
            self.sentences.append(sentence)


def compare(acknowledged: Iterable[Acknowledged], stored: Iterable[Stored]) -> Counts:
    """Count what is lost, duplicated and out of order.

    Args:
        acknowledged: per device, the numbers of the messages for which a PUBACK came.
        stored: the cloud's log in the order of its seqs.

    Returns:
        ``lost``: acknowledged and not stored. ``duplicated``: one (origin, oseq) stored again, or
        a device's number stored again. ``out_of_order``: a record that stands behind a younger one
        of the same thing and class, by oseq within one origin or by the device's number.
    """
    examples = _Examples()
    identities: set[tuple[str, int]] = set()
    numbers: dict[str, set[int]] = {}
    newest_oseq: dict[tuple[str, int, str], int] = {}
    newest_number: dict[tuple[str, int], int] = {}
    duplicated = out_of_order = 0
    for record in stored:
        identity = (record.origin, record.oseq)
        again = identity in identities
        identities.add(identity)
        number = record.number
        if number is not None:
            known = numbers.setdefault(record.thing_id, set())
            again = again or number in known
            known.add(number)
        if again:
            duplicated += 1
            examples.add(f"{record.thing_id} message {number} is stored twice: {identity}")
            continue
        if _is_behind(record, newest_oseq, newest_number):
            out_of_order += 1
            examples.add(f"{record.thing_id} message {number} at seq {record.seq} is out of order")
    total = in_cloud = 0
    for device in acknowledged:
        mine = set(device.numbers)
        total += len(mine)
        missing = mine - numbers.get(device.thing_id, set())
        in_cloud += len(mine) - len(missing)
        for number in sorted(missing)[:3]:
            examples.add(f"{device.thing_id} message {number} was acknowledged and is not stored")
    return Counts(
        acknowledged=total,
        in_cloud=in_cloud,
        lost=total - in_cloud,
        duplicated=duplicated,
        out_of_order=out_of_order,
        examples=tuple(examples.sentences),
    )


def _is_behind(
    record: Stored,
    newest_oseq: dict[tuple[str, int, str], int],
    newest_number: dict[tuple[str, int], int],
) -> bool:
    behind = False
    lane = (record.thing_id, record.cls, record.origin)
    if record.oseq < newest_oseq.get(lane, 0):
        behind = True
    else:
        newest_oseq[lane] = record.oseq
    if record.number is not None:
        thing = (record.thing_id, record.cls)
        if record.number < newest_number.get(thing, 0):
            behind = True
        else:
            newest_number[thing] = record.number
    return behind


def quantiles(values: Sequence[float]) -> Quantiles:
    """Median and 99th percentile by nearest rank."""
    if not values:
        return Quantiles(None, None, 0)
    ordered = sorted(values)
    return Quantiles(_rank(ordered, 0.5), _rank(ordered, 0.99), len(ordered))


def _rank(ordered: Sequence[float], quantile: float) -> float:
    return round(ordered[min(len(ordered) - 1, int(quantile * len(ordered)))], 3)
