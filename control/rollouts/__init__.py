"""Roll-outs: a policy that goes to few nodes first, and back by itself when they do not bear it."""

from __future__ import annotations
