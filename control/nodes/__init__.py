"""Nodes: the boxes of a site, what they last said, and whether they may speak."""

from __future__ import annotations
