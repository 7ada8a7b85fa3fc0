"""A control plane comes back from its backup with its mesh, and the doctor says what is wrong before people call."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from control.backups.archive import KEY_FILES, check_archive, take_out, write_archive
from control.errors import SettingsError
from tests.control_fixtures import RunningControl, control_command, running_control
from tests.node_box import enrol_box
from tests.postgres_server import drop_database, make_database


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(control_command(*words), capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningControl]:
    with running_control(tmp_path_factory.mktemp("program") / "data") as running:
        api = running.client()
        api.post("/api/v1/sites", json={"name": "north"}).raise_for_status()
        enrol_box(api, "north", "box-1")
        yield running


def test_a_backup_of_a_running_program_brings_the_mesh_back(program: RunningControl, tmp_path: Path) -> None:
    out, again = tmp_path / "kept" / "backup.tar.gz", tmp_path / "again"
    made = run("backup", str(out), "--data-dir", str(program.data_dir), "--json")
    assert made.returncode == 0, made.stderr
    assert out.stat().st_mode & 0o077 == 0
    assert [one.name for one in out.parent.iterdir()] == [out.name], "nothing is left beside it"
    tried = run("restore", str(out), "--data-dir", str(again), "--dry-run")
    assert tried.returncode == 0, tried.stderr
    assert not again.exists()
    assert run("restore", str(out), "--data-dir", str(again)).returncode == 0
    assert (again / "ca" / "ca-key.pem").stat().st_mode & 0o077 == 0
    with running_control(again) as back:
        (again / "admin-password").write_text(program.password)  # the users are those of the backup
        assert [one["name"] for one in back.client().get("/api/v1/sites").json()["items"]] == ["north"]
        assert [one["name"] for one in back.client().get("/api/v1/nodes").json()["items"]] == ["box-1"]
        assert back.client().get("/api/v1/mesh/ca.pem").content == (program.data_dir / "ca" / "ca.pem").read_bytes()


def test_nothing_is_overwritten(program: RunningControl, tmp_path: Path) -> None:
    out = tmp_path / "backup.tar.gz"
    assert run("backup", str(out), "--data-dir", str(program.data_dir), "--keys-only").returncode == 0
    twice = run("backup", str(out), "--data-dir", str(program.data_dir))
    assert twice.returncode == 2
    assert "is there already" in twice.stderr
    onto = run("restore", str(out), "--data-dir", str(program.data_dir))
    assert onto.returncode == 2
    assert "is there already" in onto.stderr


def test_a_postgresql_goes_along_as_a_dump(postgres_server: str, tmp_path: Path) -> None:
    url = make_database(postgres_server, "backup_of_control")
    url_file = tmp_path / "url"
    url_file.write_text(url)
    try:
        with running_control(tmp_path / "data", "--database-url-file", str(url_file)):
            out = tmp_path / "backup.tar.gz"
            made = run("backup", str(out), "--data-dir", str(tmp_path / "data"), "--database-url-file", str(url_file))
            assert made.returncode == 0, made.stderr
            assert "postgresql.dump" in check_archive(out).files
            back = run("restore", str(out), "--data-dir", str(tmp_path / "again"))
            assert "pg_restore" in back.stdout
            assert (tmp_path / "again" / "postgresql.dump").read_bytes().startswith(b"PGDMP")
            healthy = run(
                "doctor", "--data-dir", str(tmp_path / "data"), "--database-url-file", str(url_file), "--json"
            )
            found = {one["what"]: one["verdict"] for one in json.loads(healthy.stdout)}
            assert (found["database"], found["keys"]) == ("ok", "ok")
    finally:
        drop_database(postgres_server, "backup_of_control")


def _archive(folder: Path) -> Path:
    files = {}
    for name in KEY_FILES:
        files[name] = folder / name.replace("/", "-")
        files[name].write_bytes(name.encode() * 100)
    write_archive(folder / "a.tar.gz", files, created_at="2026-01-01T00:00:00", version="0", mesh="m")
    return folder / "a.tar.gz"


def test_a_damaged_archive_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    path = _archive(tmp_path)
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        broken = bytearray(whole)
        broken[at] ^= 0xFF
        path.write_bytes(broken)
        try:
            manifest = check_archive(path)
        except SettingsError:
            continue
        for name in manifest.files:  # the damage lies where nothing is read: a time, a checksum of padding
            to = tmp_path / "out" / f"{at}-{name}"
            take_out(path, name, to)
            assert to.read_bytes() == name.encode() * 100
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SettingsError):
        check_archive(path)


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "ca/../../x", "tls/server-key.pem"])
def test_a_name_that_is_not_one_of_ours_is_not_taken_out(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.tar.gz"
    manifest = {"format": 1, "created_at": "", "version": "9", "mesh": "", "files": {name: "0" * 64}}
    with tarfile.open(path, "w:gz") as archive:
        for member, content in (("manifest.json", json.dumps(manifest).encode()), (name, b"x")):
            entry = tarfile.TarInfo(member)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    with pytest.raises(SettingsError, match="another version"):
        check_archive(path)


def test_the_doctor_finds_nothing_wrong_with_a_program_that_runs(program: RunningControl) -> None:
    host = ("--data-dir", str(program.data_dir))
    config = program.data_dir / "doctor.toml"
    config.write_text(f'http = "{program.http}"\nhttps = "{program.https}"\ngrpc = "{program.grpc}"\n')
    found = run("doctor", *host, "--config", str(config), "--json")
    assert found.returncode == 0, found.stdout
    assert {one["verdict"] for one in json.loads(found.stdout)} == {"ok"}, found.stdout


def test_the_doctor_says_what_to_do(tmp_path: Path) -> None:
    gone = run("doctor", "--data-dir", str(tmp_path / "gone"))
    assert gone.returncode == 1
    assert "is not there" in gone.stdout
    data = tmp_path / "data"
    with running_control(data) as control:
        taken = control.http
    data.chmod(0o755)
    (data / "ca" / "ca-key.pem").chmod(0o644)
    config = tmp_path / "c.toml"
    config.write_text(f'http = "{taken}"\nhttps = "127.0.0.1:0"\ngrpc = "127.0.0.1:0"\nmqtt = "127.0.0.1:1"\n')
    found = run("doctor", "--data-dir", str(data), "--config", str(config), "--json")
    assert found.returncode == 1
    words = {one["what"]: one for one in json.loads(found.stdout)}
    assert words["data directory"]["hint"].startswith("chmod 700")
    assert words["keys"]["hint"].startswith("chmod 600")
    assert words["broker"]["verdict"] == "warn"
    assert "no control plane runs" in words["port http"]["text"]
