# Written by docs/unasync.py from littoral.client.aio; change that, then run `make docs`.
"""Who may read and write what."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Unpack

from littoral.client.answers import converted, read, written
from littoral.client.http import HttpTransport
from littoral.client.model import Read, Written
from littoral.client.requests import (
    NOTHING,
    V1,
    Json,
    ReadOptions,
    Request,
    WriteOptions,
    pointer,
    policy_address,
    reading,
    writing,
)

POLICIES = "/api/2/policies"
PAGE = 200


class Policies:
    """``/api/2/policies``. A ``path`` is a JSON pointer into the policy."""

    def __init__(self, node: HttpTransport) -> None:
        self._node = node

    def get(self, policy_id: str, path: str = "/", **options: Unpack[ReadOptions]) -> Any:
        """What is at ``path``, as JSON."""
        return (self.read(policy_id, path, **options)).value

    def read(self, policy_id: str, path: str = "/", **options: Unpack[ReadOptions]) -> Read:
        """What is at ``path``, with its entity tag."""
        request = reading(policy_address(policy_id, path), options)
        return read(self._node.send(request))

    def ids(self, *, namespaces: Sequence[str] = ()) -> Iterator[str]:
        """Ids of all policies that the user may see, in order, page by page."""
        after = ""
        while True:
            params: dict[str, str | int] = {"after": after, "limit": PAGE}
            if namespaces:
                params["namespaces"] = ",".join(namespaces)
            answer = self._node.send(Request("GET", f"{V1}/policies", params))
            page = answer.json()
            for one in converted(answer.url, page["items"], list[str]):
                yield one
            after = page.get("next") or ""
            if not after:
                return

    def resolved(self, policy_id: str) -> Any:
        """The policy with everything that it imports folded in."""
        headers = {"policy-view": "resolved"}
        request = Request("GET", policy_address(policy_id), headers=headers)
        return (self._node.send(request)).json()

    def create(self, document: Json, **options: Unpack[WriteOptions]) -> Written:
        """Create a policy with an id of the node's; it is in the ``value``."""
        return written(self._node.send(writing("POST", POLICIES, document, options)))

    def put(
        self, policy_id: str, value: Json, path: str = "/", **options: Unpack[WriteOptions]
    ) -> Written:
        """Create or replace a policy, or what is at ``path`` of it."""
        request = writing("PUT", policy_address(policy_id, path), value, options)
        return written(self._node.send(request))

    def delete(self, policy_id: str, path: str = "/", **options: Unpack[WriteOptions]) -> Written:
        """Delete a policy, or what is at ``path`` of it."""
        request = writing("DELETE", policy_address(policy_id, path), NOTHING, options)
        return written(self._node.send(request))

    def put_entry(
        self,
        policy_id: str,
        label: str,
        *,
        subjects: Mapping[str, str] | Sequence[str],
        grant: Mapping[str, Sequence[str]],
        revoke: Mapping[str, Sequence[str]] | None = None,
        **options: Unpack[WriteOptions],
    ) -> Written:
        """Create or replace an entry.

        Args:
            policy_id: the policy.
            label: the entry's name.
            subjects: who; with a mapping, each with its type, which is a remark only.
            grant: resource (``thing:/features/lamp``) to rights (``["READ", "WRITE"]``).
            revoke: the same, for what is taken away.
            options: as for `put`.
        """
        types = subjects if isinstance(subjects, Mapping) else dict.fromkeys(subjects, "")
        taken = revoke or {}
        entry = {
            "subjects": {subject: {"type": kind} for subject, kind in types.items()},
            "resources": {
                key: {"grant": list(grant.get(key, ())), "revoke": list(taken.get(key, ()))}
                for key in (*grant, *(k for k in taken if k not in grant))
            },
        }
        return self.put(policy_id, entry, pointer("entries", label), **options)

    def put_subject(
        self,
        policy_id: str,
        label: str,
        subject: str,
        *,
        kind: str = "",
        expiry: str | None = None,
        announcement: Mapping[str, Json] | None = None,
        **options: Unpack[WriteOptions],
    ) -> Written:
        """Let a subject into an entry, until ``expiry`` if one is named."""
        value: dict[str, Json] = {"type": kind}
        if expiry is not None:
            value["expiry"] = expiry
        if announcement is not None:
            value["announcement"] = announcement
        return self.put(policy_id, value, pointer("entries", label, "subjects", subject), **options)

    def delete_subject(
        self, policy_id: str, label: str, subject: str, **options: Unpack[WriteOptions]
    ) -> Written:
        """Take a subject out of an entry."""
        return self.delete(policy_id, pointer("entries", label, "subjects", subject), **options)

    def put_resource(
        self,
        policy_id: str,
        label: str,
        resource: str,
        *,
        grant: Sequence[str],
        revoke: Sequence[str] = (),
        **options: Unpack[WriteOptions],
    ) -> Written:
        """Say what an entry grants and revokes on a resource such as ``thing:/features/lamp``."""
        value = {"grant": list(grant), "revoke": list(revoke)}
        return self.put(policy_id, value, f"/entries/{label}/resources/{resource}", **options)

    def import_from(
        self,
        policy_id: str,
        imported: str,
        *,
        entries: Sequence[str] | None = None,
        **options: Unpack[WriteOptions],
    ) -> Written:
        """Import another policy: its implicit entries, and the explicit ones that are named."""
        value: dict[str, Json] = {} if entries is None else {"entries": list(entries)}
        return self.put(policy_id, value, pointer("imports", imported), **options)

    def activate_token(self, policy_id: str, *, label: str | None = None) -> None:
        """Let the caller's own JWT into all entries that want it, or into one."""
        self._action(policy_id, label, "activateTokenIntegration")

    def deactivate_token(self, policy_id: str, *, label: str | None = None) -> None:
        """Take the caller's own JWT out again."""
        self._action(policy_id, label, "deactivateTokenIntegration")

    def _action(self, policy_id: str, label: str | None, name: str) -> None:
        entry = pointer("entries", label) if label is not None else ""
        self._node.send(Request("POST", policy_address(policy_id, f"{entry}/actions/{name}")))
