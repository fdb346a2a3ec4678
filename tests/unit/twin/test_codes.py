"""Ditto's table of codes of things: what each refusal of this package is in HTTP's numbers."""

import pytest

from littoral.twin import errors, fields
from littoral.twin.statuses import problem, status_of

CLASSES = {
    "things:condition.failed": (errors.ConditionFailed, 412),
    "things:definition.identifier.invalid": (errors.InvalidDefinition, 400),
    "things:feature.definition.empty": (errors.FeatureDefinitionEmpty, 400),
    "things:field.selection.invalid": (fields.UnknownFields, 400),
    "things:id.invalid": (errors.InvalidThingId, 400),
    "things:id.notdeletable": (errors.ThingIdNotDeletable, 400),
    "things:id.notsettable": (errors.ThingIdNotSettable, 400),
    "things:merge.invalid": (errors.InvalidThing, 400),
    "things:metadata.notmodifiable": (errors.MetadataNotModifiable, 400),
    "things:policy.conflicting": (errors.PolicyConflicting, 400),
    "things:policy.invalid": (errors.PolicyInvalid, 400),
    "things:policy.notallowed": (errors.PolicyNotAllowed, 400),
    "things:policyId.notdeletable": (errors.PolicyIdNotDeletable, 400),
    "things:precondition.failed": (errors.PreconditionFailed, 412),
    "things:precondition.notmodified": (errors.NotModified, 304),
    "things:thing.conflict": (errors.ThingConflict, 409),
    "things:thing.history.notfound": (errors.HistoryNotFound, 404),
    "things:thing.notcreatable": (errors.ThingNotCreatable, 400),
    "things:thing.notfound": (errors.NotFound, 404),
    "things:thing.notmodifiable": (errors.NotModifiable, 403),
    "things:thing.toomanymodifyingrequests": (errors.TooManyModifyingRequests, 429),
    "json.fieldselector.invalid": (fields.InvalidFields, 400),
}


@pytest.mark.parametrize("code", CLASSES)
def test_a_refusal_has_the_code_and_status_of_the_table(code):
    cls, status = CLASSES[code]
    error = cls("why.", hint="what to do.")
    assert (error.code, status_of(error)) == (code, status)
    body = problem(error)
    assert body == {
        "status": status,
        "error": code,
        "message": "why.",
        "description": "what to do.",
    }
