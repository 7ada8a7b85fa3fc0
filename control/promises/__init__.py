"""What every route that changes something promises: it can be tried, and sent again, without harm."""

from __future__ import annotations
