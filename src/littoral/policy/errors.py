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
    """The expiry of a subject is not an RFC 3339 instant."""

    code = "policies:subjectexpiry.invalid"


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


class PolicyFeatureUnsupported(InvalidPolicy):
    """The policy uses a member whose meaning this release does not enforce.

    It is refused, not ignored: a rule that is kept but not applied would be relied upon.
    """

    code = "policies:feature.unsupported"
    kind = Kind.UNSUPPORTED
