"""Settings: read once, and what is misspelt is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import SettingsError
from edge.settings import from_json, load_settings, to_json


def test_a_flag_beats_the_environment_which_beats_the_file(tmp_path: Path) -> None:
    config = tmp_path / "edge.toml"
    config.write_text('ae_title = "FILE"\nhttp = "127.0.0.1:1"\nlisten = "0.0.0.0:1"\n')
    environment = {"SKERRY_EDGE_HTTP": "127.0.0.1:2", "SKERRY_EDGE_LISTEN": "0.0.0.0:2", "HOME": "/"}
    settings = load_settings(
        config=config, environment=environment, flags={"data_dir": tmp_path, "listen": "0.0.0.0:3", "ae_title": None}
    )
    assert (settings.ae_title, settings.http, settings.listen) == ("FILE", "127.0.0.1:2", "0.0.0.0:3")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('ae_tittle = "X"', "unknown key 'ae_tittle'"),
        ('listen = "here"', "expected HOST:PORT"),
        ('ae_title = "A TITLE THAT IS FAR TOO LONG"', "1 to 16"),
        ("max_associations = 0", "greater than or equal to 1"),
        ("listen = [", "not TOML"),
        ('allow_networks = ["10.0.0.0/33"]', "10.0.0.0/33"),
        ('proxy_from = ["balancer"]', "balancer"),
    ],
)
def test_a_wrong_file_is_refused_with_the_reason(tmp_path: Path, text: str, said: str) -> None:
    config = tmp_path / "edge.toml"
    config.write_text(text)
    with pytest.raises(SettingsError, match=said):
        load_settings(config=config, environment={}, flags={"data_dir": tmp_path})


def test_a_misspelt_environment_variable_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="SKERRY_EDGE_LISTENN") as caught:
        load_settings(config=None, environment={"SKERRY_EDGE_LISTENN": "x"}, flags={"data_dir": tmp_path})
    assert "listen" in caught.value.hint


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        load_settings(config=tmp_path / "none.toml", environment={}, flags={"data_dir": tmp_path})


def test_a_list_in_a_variable_has_commas(tmp_path: Path) -> None:
    environment = {"SKERRY_EDGE_ALLOW_CALLING": "CT1, MR1"}
    settings = load_settings(config=None, environment=environment, flags={"data_dir": tmp_path})
    assert settings.allow_calling == ("CT1", "MR1")


def test_another_process_reads_the_same_settings(tmp_path: Path) -> None:
    flags = {"data_dir": tmp_path, "allow_networks": ["10.0.0.0/8"], "retry_cap_seconds": 2.5}
    settings = load_settings(config=None, environment={}, flags=flags)
    assert from_json(to_json(settings)) == settings
