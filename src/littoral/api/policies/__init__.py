"""Ditto's /api/2/policies in `routes`; who one is and what one may do in `permissions`.

Invariant: nothing here decides about permissions; every command goes through the pipeline.
"""

from littoral.api.policies.permissions import PermissionRoutes, WhoAmI
from littoral.api.policies.routes import PolicyRoutes

__all__ = ["PermissionRoutes", "PolicyRoutes", "WhoAmI"]
