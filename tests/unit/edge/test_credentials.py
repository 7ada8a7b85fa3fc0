"""Secrets of destinations are read from files that only their owner may read."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.durable import write_durably
from edge.forward.base import DestinationDown
from edge.forward.credentials import Credentials

KEYS = ("username", "password")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    made = tmp_path / "credentials"
    made.mkdir()
    return made


def _write(path: Path, text: str, mode: int = 0o600) -> None:
    write_durably(path, text.encode())
    path.chmod(mode)


def test_a_file_of_the_data_directory_is_read(folder: Path) -> None:
    _write(folder / "pacs", '{"username": "u", "password": "p"}')
    assert Credentials(folder.parent).read("pacs", ("bearer_token",), KEYS)["password"] == "p"


def test_what_systemd_hands_over_comes_first(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handed = tmp_path / "handed"
    handed.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(handed))
    _write(folder / "pacs", '{"username": "u", "password": "own"}')
    _write(handed / "pacs", '{"username": "u", "password": "handed"}', 0o440)
    assert Credentials(folder.parent).read("pacs", KEYS)["password"] == "handed"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622])
def test_a_file_that_others_may_use_is_not_used(folder: Path, mode: int) -> None:
    _write(folder / "pacs", '{"username": "u", "password": "p"}', mode)
    with pytest.raises(DestinationDown, match="others may read") as caught:
        Credentials(folder.parent).read("pacs", KEYS)
    assert "chmod 600" in caught.value.hint


@pytest.mark.parametrize("text", ["", "secret", "[]", '{"username": "u"}', '{"username": "u", "password": 7}', "\x00"])
def test_a_file_without_what_is_needed_says_what_is_needed_and_shows_nothing(folder: Path, text: str) -> None:
    _write(folder / "pacs", text)
    with pytest.raises(DestinationDown, match="do not hold what is needed") as caught:
        Credentials(folder.parent).read("pacs", KEYS)
    assert '"password"' in caught.value.hint
    assert caught.value.__cause__ is None
    assert "secret" not in f"{caught.value} {caught.value.hint}"


def test_a_file_that_is_not_there_says_where_it_belongs(folder: Path) -> None:
    with pytest.raises(DestinationDown, match="no file `pacs`") as caught:
        Credentials(folder.parent).read("pacs", KEYS)
    assert str(folder) in caught.value.hint
