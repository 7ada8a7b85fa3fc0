"""Callers as values: who asks, what they may do, and at which sites. Nothing of HTTP here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from control.errors import Forbidden


class Role(StrEnum):
    """What a caller may do, at one site or everywhere."""

    VIEWER = "viewer"
    """See studies, nodes, policies and the feed."""
    OPERATOR = "operator"
    """Also act on what runs: retry, re-route, hold."""
    SITE_ADMIN = "site-admin"
    """Also change a site: its policies, its nodes, its tokens."""
    ADMIN = "admin"
    """Also sites, users and keys, and the audit trail. Always everywhere."""
    AUDITOR = "auditor"
    """Read the audit trail, and nothing of patients."""


INCLUDED: Mapping[Role, frozenset[Role]] = {
    Role.VIEWER: frozenset({Role.VIEWER}),
    Role.OPERATOR: frozenset({Role.VIEWER, Role.OPERATOR}),
    Role.SITE_ADMIN: frozenset({Role.VIEWER, Role.OPERATOR, Role.SITE_ADMIN}),
    Role.ADMIN: frozenset(Role),
    Role.AUDITOR: frozenset({Role.AUDITOR}),
}
"""Role -> every role whose rights it has."""

RANK = (Role.ADMIN, Role.SITE_ADMIN, Role.OPERATOR, Role.AUDITOR, Role.VIEWER)
"""The first of these that somebody has is what a page shows as their role."""

Scope = frozenset[str] | None
"""Names of sites; None is every site, also those that are added later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A role at one site, or everywhere."""

    role: Role
    site: str | None = None
    """None: everywhere."""

    def document(self) -> dict[str, Any]:
        """As it is stored and shown."""
        return {"role": self.role.value, "site": self.site}

    def __str__(self) -> str:
        """As people read it: `viewer@north`, `admin@*`."""
        return f"{self.role.value}@{self.site or '*'}"


def read_grants(documents: Iterable[Mapping[str, Any]]) -> tuple[Grant, ...]:
    """Grants as they were stored."""
    return tuple(Grant(role=Role(one["role"]), site=one["site"]) for one in documents)


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks."""

    actor: str
    """As it stands in the audit trail: `user:admin`, `key:nightly-report`."""
    name: str
    grants: tuple[Grant, ...]

    @property
    def role(self) -> Role | None:
        """The most that this caller may do anywhere; None: nothing."""
        held = {one.role for one in self.grants}
        return next((one for one in RANK if one in held), None)

    def sites(self, least: Role = Role.VIEWER) -> Scope:
        """Where this caller has at least this role."""
        fitting = [one for one in self.grants if least in INCLUDED[one.role]]
        if any(one.site is None for one in fitting):
            return None
        return frozenset(one.site for one in fitting if one.site is not None)

    def may(self, least: Role, site: str | None) -> bool:
        """Whether this caller has at least this role at a site; None asks for everywhere."""
        scope = self.sites(least)
        return scope is None or (site is not None and site in scope)

    def require(self, least: Role, site: str | None) -> None:
        """Let only those pass who have at least this role there.

        Raises:
            Forbidden: with the role and the place that would be needed.
        """
        if not self.may(least, site):
            where = f"at site {site}" if site is not None else "for every site"
            raise Forbidden(f"This needs the role {least.value} {where}.")


def within(scope: Scope, site: str) -> bool:
    """Whether a site is in a scope."""
    return scope is None or site in scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticator:
    """The ways to be known. Each gives None for a secret that opens nothing.

    Single sign-on has its place here: a third way, `by_token`, that checks a token of an identity provider (OpenID
    Connect) and gives a `Principal` whose grants follow from the provider's groups. Routes and services know
    principals only, so nothing else would change.
    """

    by_session: Callable[[str], Awaitable[Principal | None]]
    by_api_key: Callable[[str], Awaitable[Principal | None]]
