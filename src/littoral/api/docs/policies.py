"""What /api/2/policies answers: policies, their entries, their imports, their actions."""

from collections.abc import Iterator

from littoral.api.docs.operation import READ_REFUSALS, WRITE_REFUSALS, Body, Operation, Reply

POLICY = "/api/2/policies/{policyId}"
ENTRY = f"{POLICY}/entries/{{label}}"
IMPORT = f"{POLICY}/imports/{{importedPolicyId}}"

_CONDITIONS = ("if-match", "if-none-match", "timeout")
_READ = (*_CONDITIONS, "at-historical-revision", "at-historical-timestamp")
_WRITE = (*_CONDITIONS, "response-required", "allow-policy-lockout")
_DONE = Reply(headers=("etag",))

_EXAMPLE = {
    "entries": {
        "owner": {
            "subjects": {"nginx:ditto": {"type": "user"}},
            "resources": {
                key: {"grant": ["READ", "WRITE"], "revoke": []}
                for key in ("thing:/", "policy:/", "message:/")
            },
        }
    }
}

_PARTS = (
    (POLICY, "a policy", "Policy", "GET PUT DELETE"),
    (f"{POLICY}/entries", "all entries", "Entries", "GET PUT"),
    (ENTRY, "an entry", "Entry", "GET PUT DELETE"),
    (f"{ENTRY}/subjects", "an entry's subjects", "Subjects", "GET PUT"),
    (f"{ENTRY}/subjects/{{subjectId}}", "a subject", "Subject", "GET PUT DELETE"),
    (f"{ENTRY}/resources", "an entry's resources", "Resources", "GET PUT"),
    (f"{ENTRY}/resources/{{resourcePath}}", "a resource", "Resource", "GET PUT DELETE"),
    (f"{ENTRY}/namespaces", "the namespaces of an entry", "Namespaces", "GET PUT"),
    (f"{ENTRY}/importable", "how an entry is imported", "Importable", "GET PUT"),
    (f"{ENTRY}/allowedAdditions", "what importers may add", "AllowedAdditions", "GET PUT"),
    (f"{ENTRY}/references", "an entry's references", "References", "GET PUT DELETE"),
    (f"{POLICY}/imports", "all imports", "Imports", "GET PUT DELETE"),
    (IMPORT, "an import", "Import", "GET PUT DELETE"),
    (f"{IMPORT}/entries", "which entries are imported", "ImportEntries", "GET PUT"),
    (f"{IMPORT}/transitiveImports", "what is imported through it", "TransitiveImports", "GET PUT"),
)


def operations() -> Iterator[Operation]:
    """Every operation on policies."""
    yield Operation(
        "POST", "/api/2/policies", "Policies", "Create a policy; the node gives it an id",
        {201: Reply("Policy", headers=("etag", "location")), 202: Reply()},
        ("namespace", "timeout", "response-required", "allow-policy-lockout"),
        Body("Policy", example=_EXAMPLE), WRITE_REFUSALS,
    )  # fmt: skip
    for path, noun, schema, methods in _PARTS:
        yield from _part(path, noun, schema, methods)
    for base, noun in ((POLICY, "all entries"), (ENTRY, "one entry")):
        for verb, what in (("activate", "Let a token into"), ("deactivate", "Take a token out of")):
            yield Operation(
                "POST", f"{base}/actions/{verb}TokenIntegration", "Policies", f"{what} {noun}",
                {202: Reply(), 204: _DONE}, ("timeout", "response-required"),
                Body("TokenActivation", required=False), WRITE_REFUSALS,
                text="The caller's own JWT is the token; it needs EXECUTE on the action.",
            )  # fmt: skip


def _part(path: str, noun: str, schema: str, methods: str) -> Iterator[Operation]:
    for method in methods.split():
        match method:
            case "GET":
                # What is selected of a policy may be any part of it, and its view may be resolved.
                more = ("fields", "policy-view") if path == POLICY else ()
                yield Operation(
                    method, path, "Policies", f"Read {noun}",
                    {200: Reply(schema, headers=("etag",)), 202: _DONE, 304: _DONE}, (*more, *_READ),
                    refusals=(*READ_REFUSALS, 403),
                )  # fmt: skip
            case "PUT":
                yield Operation(
                    method, path, "Policies", f"Create or replace {noun}",
                    {201: Reply(schema, headers=("etag", "location")), 202: Reply(), 204: _DONE},
                    (*_WRITE, "if-equal"),
                    Body(schema, example=_EXAMPLE if path == POLICY else None), WRITE_REFUSALS,
                )  # fmt: skip
            case _:
                yield Operation(
                    method, path, "Policies", f"Delete {noun}", {202: Reply(), 204: _DONE}, _WRITE,
                    refusals=WRITE_REFUSALS,
                )  # fmt: skip
