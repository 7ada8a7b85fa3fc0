"""Every site with its nodes and the age of their last word."""

from __future__ import annotations
