"""Why a policy document is refused. The codes are Ditto's where Ditto has one."""

from littoral.kernel.errors import Kind, LittoralError


class InvalidPolicy(LittoralError):
    """An entry of a policy does not have the form that it must have.

    Every other refusal of a policy document is a subclass, so a caller may catch this one.
    """

    code = "policies:entry.invalid"


class InvalidLabel(InvalidPolicy):
    """The label of an entry is empty, reserved, or has a slash or control character in it."""

    code = "policies:label.invalid"


class InvalidSubject(InvalidPolicy):
    """A subject is not of the form ``issuer:name``."""

    code = "policies:subjectid.invalid"


class InvalidExpiry(InvalidPolicy):
    """The expiry of a subject is not an RFC 3339 instant, or it has passed already."""

    code = "policies:subjectexpiry.invalid"


class InvalidAnnouncement(InvalidPolicy):
    """The announcement settings of a subject cannot be read."""

    code = "policies:subjectannouncement.invalid"


class InvalidImport(InvalidPolicy):
    """An import cannot be read, or a policy would import itself."""

    code = "policies:import.invalid"


class TooManyImports(InvalidPolicy):
    """The policy imports more policies than it may."""

    code = "policies:imports.toolarge"


class InvalidPolicyId(InvalidPolicy):
    """The id of a policy is missing or not of the form ``namespace:name``."""

    code = "policies:id.invalid"


class PolicyIdFixed(InvalidPolicy):
    """The document names another policy than the one it was sent to."""

    code = "policies:id.notsettable"


class PolicyTooLarge(InvalidPolicy):
    """The policy's JSON is over its size limit."""

    code = "policies:policy.toolarge"
    kind = Kind.TOO_LARGE


class PolicyLockedOut(InvalidPolicy):
    """Nobody could ever change this policy again: no lasting subject has WRITE on ``policy:/``."""

    code = "policies:policy.modificationinvalid"
    kind = Kind.FORBIDDEN


class EntryLockedOut(PolicyLockedOut):
    """The same, said of a change of one entry."""

    code = "policies:entry.modificationinvalid"
