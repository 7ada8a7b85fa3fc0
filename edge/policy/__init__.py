"""What goes where, and what may be told of it: a pure function of a policy document, an association and its tags."""

from __future__ import annotations
