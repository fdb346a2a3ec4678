"""The members of a thing that Ditto shows only if they are asked for by name."""

from littoral.kernel import time as instants
from littoral.kernel.ids import namespace_of
from littoral.twin import View


def special_members(thing_id: str, view: View) -> dict[str, object]:
    """``_namespace``, ``_revision``, ``_created`` and ``_modified`` of a thing."""
    return {
        "_namespace": namespace_of(thing_id),
        "_revision": view.revision,
        "_created": instants.render(view.created_ms),
        "_modified": instants.render(view.modified_ms),
    }
