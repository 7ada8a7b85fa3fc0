"""The words of the command line about people, against the real program."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.control_fixtures import control_command, running_control

PASSWORD = "correct horse battery"


def test_an_admin_manages_people_by_command(tmp_path: Path) -> None:
    with running_control(tmp_path / "data") as control:
        admin = ("--url", control.url, "--password-file", str(control.data_dir / "admin-password"))

        def run(*words: str, given: str = "", login: tuple[str, ...] = admin) -> subprocess.CompletedProcess[str]:
            command = control_command(*words, *login)
            return subprocess.run(command, input=given, capture_output=True, text=True, timeout=60, check=False)

        assert run("site", "add", "north").returncode == 0
        tried = run("user", "add", "eva", "--new-password-file", "-", "--dry-run", given=PASSWORD)
        assert tried.stdout.startswith("Nothing was changed.")
        short = run("user", "add", "eva", "--new-password-file", "-", given="short")
        assert (short.returncode, "password" in short.stderr) == (2, True)
        made = run(
            "user", "add", "eva", "--new-password-file", "-", "--role", "viewer", "--site", "north", given=PASSWORD
        )
        assert made.stdout == "eva can log in: viewer@north.\n"
        granted = json.loads(run("user", "grant", "eva", "auditor", "--json").stdout)
        assert granted["grants"] == [{"role": "viewer", "site": "north"}, {"role": "auditor", "site": None}]
        password = tmp_path / "password"
        password.write_text(PASSWORD)
        eva = ("--url", control.url, "--password-file", str(password), "--user", "eva")
        assert "north" in run("site", "list", login=eva).stdout
        assert run("site", "add", "south", login=eva).returncode == 1
        assert "user.grant" in run("audit", "list", "--action", "user.*", login=eva).stdout
        assert run("audit", "list", "--csv", login=eva).stdout.startswith("sequence,at,actor")
        assert run("audit", "check", login=eva).stdout == "The trail is whole.\n"
        assert run("user", "revoke", "admin", "admin").returncode == 4
        assert run("user", "disable", "eva").returncode == 0
        assert run("site", "list", login=eva).returncode == 1
        listed = json.loads(run("user", "list", "--json").stdout)
        assert [(one["name"], one["disabled_at"] is None) for one in listed] == [("admin", True), ("eva", False)]
        key = run("api-key", "create", "wall", "--role", "viewer", "--site", "north", "--days", "30")
        assert key.stdout.startswith("skry_")
        assert run("api-key", "create", "second").returncode == 2  # a role is not guessed
