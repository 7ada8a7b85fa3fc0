"""`python -m haproxy` is `skerry-haproxy`."""

from __future__ import annotations

from haproxy.cli import main

main()
