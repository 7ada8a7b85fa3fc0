"""The gRPC door of the nodes."""

from __future__ import annotations
