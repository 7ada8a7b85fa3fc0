"""How far every object has come on its way to every destination, as its node tells it."""

from __future__ import annotations
