"""Who may do what: every route of the application, in one table.

The permission itself is a type in the route's signature (`auth.py`). This table says the same once more, for people,
for the OpenAPI document, and for a test that asks every route as every role: a route without a line here fails it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from control.principals import Role


class Scoped(StrEnum):
    """How the sites of the caller count."""

    NO = "no"
    """The route is about the mesh, or about the caller."""
    PATH = "path"
    """The role is needed at the site in the path."""
    OBJECT = "object"
    """The role is needed at the site of what the path names; what cannot be seen is unknown."""
    NARROWED = "narrowed"
    """The role is needed at some site; the answer holds what belongs to those sites."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may ask a route."""

    least: Role | None
    """None: anybody who is logged in."""
    scoped: Scoped = Scoped.NO
    open: bool = False
    """Without a login."""


OPEN = Rule(None, open=True)
ANYBODY = Rule(None)

ROUTES: Mapping[tuple[str, str], Rule] = {
    # probes and pages
    ("GET", "/livez"): OPEN,
    ("GET", "/readyz"): OPEN,
    ("GET", "/metrics"): OPEN,
    ("GET", "/"): OPEN,
    ("GET", "/static/{name}"): OPEN,
    ("GET", "/api/v1/openapi.json"): OPEN,
    # people and programs
    ("POST", "/api/v1/login"): OPEN,
    ("POST", "/api/v1/logout"): ANYBODY,
    ("GET", "/api/v1/me"): ANYBODY,
    ("POST", "/api/v1/me/password"): ANYBODY,
    ("GET", "/api/v1/sessions"): ANYBODY,
    ("POST", "/api/v1/sessions/{session_id}/end"): ANYBODY,
    ("GET", "/api/v1/api-keys"): Rule(Role.ADMIN),
    ("POST", "/api/v1/api-keys"): Rule(Role.ADMIN),
    ("POST", "/api/v1/api-keys/{name}/revoke"): Rule(Role.ADMIN),
    ("GET", "/api/v1/users"): Rule(Role.ADMIN),
    ("POST", "/api/v1/users"): Rule(Role.ADMIN),
    ("POST", "/api/v1/users/{name}/password"): Rule(Role.ADMIN),
    ("POST", "/api/v1/users/{name}/grant"): Rule(Role.ADMIN),
    ("POST", "/api/v1/users/{name}/revoke"): Rule(Role.ADMIN),
    ("POST", "/api/v1/users/{name}/disable"): Rule(Role.ADMIN),
    ("POST", "/api/v1/users/{name}/enable"): Rule(Role.ADMIN),
    # sites and nodes
    ("GET", "/api/v1/sites"): Rule(Role.VIEWER, Scoped.NARROWED),
    ("POST", "/api/v1/sites"): Rule(Role.ADMIN),
    ("POST", "/api/v1/sites/{site}/approval"): Rule(Role.SITE_ADMIN, Scoped.PATH),
    ("GET", "/api/v1/enrolments"): Rule(Role.SITE_ADMIN, Scoped.NARROWED),
    ("POST", "/api/v1/enrolments/{enrolment_id}/approve"): Rule(Role.SITE_ADMIN, Scoped.OBJECT),
    ("POST", "/api/v1/enrolments/{enrolment_id}/reject"): Rule(Role.SITE_ADMIN, Scoped.OBJECT),
    ("POST", "/api/v1/sites/{site}/tokens"): Rule(Role.SITE_ADMIN, Scoped.PATH),
    ("GET", "/api/v1/nodes"): Rule(Role.VIEWER, Scoped.NARROWED),
    ("GET", "/api/v1/nodes/{node_id}"): Rule(Role.VIEWER, Scoped.OBJECT),
    ("POST", "/api/v1/nodes/{node_id}/revoke"): Rule(Role.SITE_ADMIN, Scoped.OBJECT),
    ("GET", "/api/v1/mesh/ca.pem"): OPEN,
    ("POST", "/api/v1/enrol"): OPEN,  # a token is asked for instead
    ("POST", "/api/v1/recover"): OPEN,  # the key that is bound to the node is asked for instead
    ("GET", "/api/v1/fleet"): Rule(Role.VIEWER, Scoped.NARROWED),
    ("GET", "/api/v1/commands/kinds"): Rule(Role.VIEWER),
    ("POST", "/api/v1/nodes/{node_id}/commands"): Rule(Role.OPERATOR, Scoped.OBJECT),
    ("GET", "/api/v1/commands"): Rule(Role.VIEWER, Scoped.NARROWED),
    ("GET", "/api/v1/commands/{command_id}"): Rule(Role.VIEWER, Scoped.OBJECT),
    ("GET", "/api/v1/prometheus/targets"): Rule(Role.VIEWER, Scoped.NARROWED),
    ("GET", "/api/v1/sites/{site}/account"): Rule(Role.VIEWER, Scoped.PATH),
    # HAProxy pools
    ("GET", "/api/v1/pools"): Rule(Role.VIEWER, Scoped.NARROWED),
    ("GET", "/api/v1/sites/{site}/pools"): Rule(Role.VIEWER, Scoped.PATH),
    ("POST", "/api/v1/sites/{site}/pools/{node}/say"): Rule(Role.OPERATOR, Scoped.PATH),
    # policies
    ("POST", "/api/v1/policies/check"): Rule(Role.VIEWER),
    ("POST", "/api/v1/policies/preview"): Rule(Role.VIEWER, Scoped.NARROWED),
    ("GET", "/api/v1/sites/{site}/policies"): Rule(Role.VIEWER, Scoped.PATH),
    ("POST", "/api/v1/sites/{site}/policies"): Rule(Role.SITE_ADMIN, Scoped.PATH),
    ("GET", "/api/v1/sites/{site}/policies/{version}"): Rule(Role.VIEWER, Scoped.PATH),
    ("POST", "/api/v1/sites/{site}/policies/{version}/publish"): Rule(Role.SITE_ADMIN, Scoped.PATH),
    # roll-outs: what is started, paused or ended needs the role at all of its sites
    ("GET", "/api/v1/rollouts"): Rule(Role.VIEWER, Scoped.NARROWED),
    ("POST", "/api/v1/rollouts"): Rule(Role.SITE_ADMIN, Scoped.OBJECT),
    ("GET", "/api/v1/rollouts/{rollout_id}"): Rule(Role.VIEWER, Scoped.OBJECT),
    ("POST", "/api/v1/rollouts/{rollout_id}/pause"): Rule(Role.SITE_ADMIN, Scoped.OBJECT),
    ("POST", "/api/v1/rollouts/{rollout_id}/resume"): Rule(Role.SITE_ADMIN, Scoped.OBJECT),
    ("POST", "/api/v1/rollouts/{rollout_id}/abort"): Rule(Role.SITE_ADMIN, Scoped.OBJECT),
    # groups, layers, and what comes of them
    ("GET", "/api/v1/groups"): Rule(Role.ADMIN),
    ("POST", "/api/v1/groups"): Rule(Role.ADMIN),
    ("POST", "/api/v1/groups/{name}/add"): Rule(Role.ADMIN),
    ("POST", "/api/v1/groups/{name}/remove"): Rule(Role.ADMIN),
    ("GET", "/api/v1/layers/{kind}/{name}"): Rule(Role.ADMIN),
    ("POST", "/api/v1/layers/{kind}/{name}"): Rule(Role.ADMIN),
    ("GET", "/api/v1/layers/{kind}/{name}/diff"): Rule(Role.ADMIN),
    ("GET", "/api/v1/layers/{kind}/{name}/{version}"): Rule(Role.ADMIN),
    ("POST", "/api/v1/layers/{kind}/{name}/{version}/publish"): Rule(Role.ADMIN),
    ("GET", "/api/v1/sites/{site}/effective-policy"): Rule(Role.VIEWER, Scoped.PATH),
    ("GET", "/api/v1/nodes/{node_id}/effective-policy"): Rule(Role.VIEWER, Scoped.OBJECT),
    ("GET", "/api/v1/sites/{site}/policy-diff"): Rule(Role.VIEWER, Scoped.PATH),
    ("GET", "/api/v1/policies/drift"): Rule(Role.VIEWER, Scoped.NARROWED),
    # studies and the feed
    ("GET", "/api/v1/studies"): Rule(Role.VIEWER, Scoped.NARROWED),
    ("GET", "/api/v1/studies/{study_instance_uid}/trace"): Rule(Role.VIEWER, Scoped.NARROWED),
    ("GET", "/api/v1/instances"): Rule(Role.VIEWER, Scoped.NARROWED),
    ("GET", "/api/v1/events"): Rule(Role.VIEWER, Scoped.NARROWED),
    ("WEBSOCKET", "/api/v1/live"): Rule(Role.VIEWER, Scoped.NARROWED),
    # the trail
    ("GET", "/api/v1/audit"): Rule(Role.AUDITOR, Scoped.NARROWED),
    ("GET", "/api/v1/audit.csv"): Rule(Role.AUDITOR, Scoped.NARROWED),
    ("GET", "/api/v1/audit/check"): Rule(Role.AUDITOR),
}
"""(method, path) -> who. A WebSocket has the method WEBSOCKET."""
