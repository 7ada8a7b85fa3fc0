"""A join token as a QR code (ISO/IEC 18004): for a terminal, and as SVG for a sheet of paper (pure)."""

from __future__ import annotations

import io

import segno

QUIET = 4
"""Modules of white around it, which the standard asks for."""


def terminal_text(token: str) -> str:
    """Half blocks, two modules to a character: about 60 columns and 30 lines."""
    out = io.StringIO()
    _code(token).terminal(out, border=QUIET // 2, compact=True)
    return out.getvalue().rstrip("\n")


def svg_text(token: str) -> str:
    """A picture of about 60 mm; a module is a millimetre."""
    out = io.BytesIO()
    _code(token).save(out, kind="svg", border=QUIET, unit="mm", scale=1, xmldecl=False)
    return out.getvalue().decode()


def _code(token: str) -> segno.QRCode:
    # M mends 15 % of it: a smudge on the paper, a reflection on the screen.
    return segno.make_qr(token, error="m")
