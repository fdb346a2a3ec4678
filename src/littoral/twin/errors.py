"""Why a command on a thing or policy is refused. Codes are Eclipse Ditto's."""

from littoral.kernel.errors import InvalidId, Kind, LittoralError


class OfPart(LittoralError):
    """A refusal that has, as in Ditto, a code for each part, such as ``things:attribute.notfound``.

    Args:
        code: the code of the part; the class's own is that of a whole thing.
    """

    code = "things:thing.refused"

    def __init__(self, message: str, *, code: str = "", hint: str = "", **facts: object) -> None:
        super().__init__(message, hint=hint, **facts)
        if code:
            self.code = code


class NotFound(OfPart):
    """The thing, policy or part of it does not exist, or the caller may not see it.

    ``facts['noun']`` says which part: thing, attribute, feature.property, …
    Both answers are the same so that nobody learns what exists.
    """

    code = "things:thing.notfound"
    kind = Kind.MISSING


class NotModifiable(OfPart):
    """The caller may not write this part."""

    code = "things:thing.notmodifiable"
    kind = Kind.FORBIDDEN


class ThingConflict(LittoralError):
    """A thing with this id exists already."""

    code = "things:thing.conflict"
    kind = Kind.CONFLICT


class ThingNotCreatable(LittoralError):
    """The thing names a policy that does not exist, or none could be made for it."""

    code = "things:thing.notcreatable"


class ThingIdNotSettable(LittoralError):
    """The body names another thing than the address does, or an id where none may be given."""

    code = "things:id.notsettable"


class PolicyIdNotSettable(LittoralError):
    """The body names another policy than the address does."""

    code = "policies:id.notsettable"


class PolicyIdNotDeletable(LittoralError):
    """A thing always has a policy: its policyId can be changed, not removed."""

    code = "things:policyId.notdeletable"


class InvalidThing(LittoralError):
    """The document is not a thing: a member has the wrong type or an unknown name."""

    code = "things:merge.invalid"


class InvalidDefinition(LittoralError):
    """A definition is neither ``namespace:name:version`` nor an http(s) address."""

    code = "things:definition.identifier.invalid"


class MetadataNotModifiable(LittoralError):
    """A pointer to metadata has wildcards where none may be."""

    code = "things:metadata.notmodifiable"


class HistoryNotFound(OfPart):
    """That revision is not kept any more, or has not happened yet."""

    code = "things:thing.history.notfound"
    kind = Kind.MISSING


class PreconditionFailed(OfPart):
    """If-Match or If-None-Match does not hold."""

    code = "things:precondition.failed"
    kind = Kind.PRECONDITION


class ConditionFailed(LittoralError):
    """The condition of a command does not hold, or names what the caller may not read."""

    code = "things:condition.failed"
    kind = Kind.PRECONDITION


class TooManyModifyingRequests(LittoralError):
    """So many changes of one thing wait for their commit that no more are taken."""

    code = "things:thing.toomanymodifyingrequests"
    kind = Kind.LIMIT
    retryable = True


class PolicyConflicting(LittoralError):
    """A thing is created with a policy of its own and a copy of another: only one of it goes."""

    code = "things:policy.conflicting"


class PolicyNotAllowed(LittoralError):
    """A policy comes with a thing only when the thing is created."""

    code = "things:policy.notallowed"


class PolicyInvalid(LittoralError):
    """The policy in a thing's body, or the reference to one, is none."""

    code = "things:policy.invalid"


class InvalidTransaction(LittoralError):
    """The commands of a transaction are too many, of several namespaces, or not known."""

    code = "littoral.transaction.invalid"


class ThingIdNotDeletable(LittoralError):
    """A merge would delete the thing's id."""

    code = "things:id.notdeletable"


class InvalidThingId(InvalidId):
    """The text is no id of a thing."""

    code = "things:id.invalid"


class PlaceholderNotSupported(LittoralError):
    """A reference in ``_copyPolicyFrom`` does not name the policyId of a thing."""

    code = "placeholder:placeholder.reference.notsupported"


class PlaceholderUnknownField(LittoralError):
    """A reference in ``_copyPolicyFrom`` names a field of a thing that is not its policyId."""

    code = "placeholder:placeholder.reference.unknownfield"


class FeatureDefinitionEmpty(LittoralError):
    """A feature's definition names at least one identifier."""

    code = "things:feature.definition.empty"


class NotModified(OfPart):
    """If-None-Match hit on a read: the caller has this already (HTTP 304)."""

    code = "things:precondition.notmodified"
    kind = Kind.PRECONDITION


class StateDamaged(LittoralError):
    """What is stored of a thing fails its checksum: the disk, not a program, has changed it.

    The rest of the node goes on. The records are damaged on their own, or not: the log says so.
    """

    code = "things:thing.unavailable"
    kind = Kind.UNAVAILABLE


class PolicyDamaged(StateDamaged):
    """What is stored of a policy fails its checksum; it grants nothing any more."""

    code = "policies:policy.unavailable"


class TooManyHops(LittoralError):
    """Functions answered one another too often; the chain is cut."""

    code = "littoral.function.loop"
    kind = Kind.LIMIT


class InvalidCondition(LittoralError):
    """A condition is not RQL."""

    code = "things:condition.invalid"


class HeadersConflict(LittoralError):
    """More than one of put-metadata, get-metadata and delete-metadata came with one command."""

    code = "things:metadata.headersconflict"
