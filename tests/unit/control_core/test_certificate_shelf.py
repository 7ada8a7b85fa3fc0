"""gRPC exchanges what other handshakes use for whatever it is given: with hundreds of them at once a process ended."""

from __future__ import annotations

from typing import Any

import pytest

from control.certificate_shelf import CertificateShelf


def test_a_certificate_is_handed_to_the_handshakes_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CertificateShelf, "_configuration", lambda _self, certificate: certificate)
    first, second = _certificate("first"), _certificate("second")
    shelf = CertificateShelf(first, b"")
    assert [shelf.news() for _ in range(3)] == [None, None, None]
    shelf.put(second)
    assert [shelf.news() for _ in range(3)] == [second, None, None]


def _certificate(name: str) -> Any:
    return name
