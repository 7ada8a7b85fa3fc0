"""The fleet at a glance: sites, nodes, the age of their last word."""

from __future__ import annotations
