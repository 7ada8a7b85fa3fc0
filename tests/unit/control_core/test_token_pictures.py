"""A token as a picture: it can be printed, and shown in a terminal of eighty columns."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from control.token_pictures import svg_text, terminal_text

TOKEN = f"mesh1.control.of-a-large-hospital.example:8443.{'a' * 64}.{'b' * 16}.{'c' * 40}"


def test_it_fits_into_a_terminal() -> None:
    lines = terminal_text(TOKEN).splitlines()
    assert {len(line) for line in lines} == {len(lines[0])}
    assert len(lines[0]) <= 80
    assert set("".join(lines)) <= set(" ▀▄█")


def test_it_is_a_picture_with_a_size_and_a_white_rim() -> None:
    picture = ElementTree.fromstring(svg_text(TOKEN))
    assert picture.attrib["width"].endswith("mm")
    assert picture.attrib["width"] == picture.attrib["height"]


def test_another_token_is_another_picture() -> None:
    assert terminal_text(TOKEN) != terminal_text(TOKEN.replace("a", "d"))
