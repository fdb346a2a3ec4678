"""This log was restored or copied: say so once, and find out what to ask back."""

from collections.abc import Iterable

from littoral.edge.blocked import SPACE
from littoral.edge.core import Lost
from littoral.edge.ports import LinkLog
from littoral.kernel import json
from littoral.kernel.ids import NodeId, Origin
from littoral.log import RecordClass

KIND = "link.rollback"


def recover(log: LinkLog, peer: NodeId, lost: Iterable[Lost]) -> list[Lost]:
    """What of ``lost`` is still missing here; what is news is reported as an event record."""
    missing, news = [], []
    for gap in lost:
        held = max(gap.after, log.high_water(Origin(gap.origin), gap.cls))
        if held >= gap.upto:
            continue
        missing.append(Lost(gap.origin, gap.cls, held, gap.upto))
        key = f"rollback/{gap.origin}/{gap.cls}"
        reported = log.get(SPACE, key)
        if reported is None or int(reported) < gap.upto:
            log.put(SPACE, key, str(gap.upto).encode())
            name = RecordClass(gap.cls).name.lower()
            news.append(
                {"origin": gap.origin, "class": name, "from": gap.after + 1, "to": gap.upto}
            )
    if news:
        report = json.encode({"peer": peer, "lost": news})
        log.append(RecordClass.EVENT, KIND, f"log:{log.node}", 0, 0, "/", report)
    return missing
