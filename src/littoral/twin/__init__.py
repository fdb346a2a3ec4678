"""Digital twins: things and policies, who may read and write them, and what they were before.

`Twins` is the front door for people and functions, `DeviceDoor` the hot path of one device.
`littoral.twin.protocol` is the Ditto Protocol as text.

Invariant: a policy is enforced here, for reads as for writes, and nowhere else.
Invariant: no command returns before what it did is durable; a `DeviceDoor` leaves that to its caller.
"""

from littoral.twin.devices import DeviceDoor
from littoral.twin.entities import Adoption, Telling, etag_of
from littoral.twin.errors import NotFound, PolicyIdNotSettable, ThingIdNotSettable
from littoral.twin.headers import (
    conditions_of,
    flag_header,
    parse_condition,
    query_header,
    text_header,
)
from littoral.twin.model import (
    NO_CONDITIONS,
    Caller,
    Conditions,
    IfEqual,
    MetadataPut,
    Outcome,
    TwinSettings,
    TwinStatistics,
    View,
)
from littoral.twin.policies import CreationRule, PolicySettings, SubjectDeletion, policy_methods
from littoral.twin.service import Twins
from littoral.twin.things import Standing, Standings, Step
from littoral.twin.watching import Change, action_of

__all__ = [
    "NO_CONDITIONS",
    "Adoption",
    "Caller",
    "Change",
    "Conditions",
    "CreationRule",
    "DeviceDoor",
    "IfEqual",
    "MetadataPut",
    "NotFound",
    "Outcome",
    "PolicyIdNotSettable",
    "PolicySettings",
    "Standing",
    "Standings",
    "Step",
    "SubjectDeletion",
    "Telling",
    "ThingIdNotSettable",
    "TwinSettings",
    "TwinStatistics",
    "Twins",
    "View",
    "action_of",
    "conditions_of",
    "etag_of",
    "flag_header",
    "parse_condition",
    "policy_methods",
    "query_header",
    "text_header",
]
