"""Sites: the places that nodes belong to."""

from __future__ import annotations
