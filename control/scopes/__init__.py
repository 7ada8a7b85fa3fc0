"""Scopes: what the mesh, groups of sites, sites and nodes say of policies, and what each node is to run of it."""

from __future__ import annotations
