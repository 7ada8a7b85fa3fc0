"""The program from outside: its line, its end, what it refuses, and the commands against it."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from control.cli import main
from mesh.v1 import sync_pb2
from tests.control_fixtures import BROKEN_POLICY, GOOD_POLICY, RunningControl, control_command, running_control
from tests.node_box import enrol_box

ANYWHERE = ("--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--grpc", "127.0.0.1:0")


def run(*words: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        control_command(*words),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=dict(os.environ) | dict(environment or {}),
    )


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningControl]:
    folder = tmp_path_factory.mktemp("program")
    with running_control(folder / "data") as running:
        yield running


def test_sigterm_ends_it_in_time_also_with_a_node_that_waits(tmp_path: Path) -> None:
    with running_control(tmp_path / "data") as control:
        api = control.client()
        api.post("/api/v1/sites", json={"name": "north"}).raise_for_status()
        box = enrol_box(api, "north", "box-1")
        poll = box.sync().PullPolicy.future(sync_pb2.PullPolicyRequest(wait_seconds=50), timeout=60)
        time.sleep(1)
        began = time.monotonic()
        control.process.send_signal(signal.SIGTERM)
        assert control.process.wait(timeout=10) == 0
        assert time.monotonic() - began < 8
        poll.exception()


def test_identity_and_content_survive_a_restart(tmp_path: Path) -> None:
    with running_control(tmp_path / "data") as control:
        password, ca = control.password, control.visitor().get("/api/v1/mesh/ca.pem").content
        control.client().post("/api/v1/sites", json={"name": "north"}).raise_for_status()
    with running_control(tmp_path / "data") as control:
        assert control.password == password
        assert control.visitor().get("/api/v1/mesh/ca.pem").content == ca
        assert [one["name"] for one in control.client().get("/api/v1/sites").json()["items"]] == ["north"]


def test_the_https_listener_shows_a_certificate_of_the_mesh(program: RunningControl) -> None:
    context = ssl.create_default_context(cafile=program.data_dir / "ca" / "ca.pem")
    answer = httpx2.get(f"https://{program.https}/livez", verify=context, trust_env=False)
    assert answer.json() == {"status": "alive"}


def test_keys_and_database_are_for_the_owner_only(program: RunningControl) -> None:
    assert program.data_dir.stat().st_mode & 0o077 == 0
    for name in ("admin-password", "control.db", "ca/ca-key.pem", "ca/policy-key.pem", "tls/server-key.pem"):
        assert (program.data_dir / name).stat().st_mode & 0o077 == 0, name


def test_a_second_process_on_the_same_data_directory_is_refused(program: RunningControl) -> None:
    second = run("run", "--data-dir", str(program.data_dir), *ANYWHERE)
    assert second.returncode == 2
    assert "Another skerry-control uses the data directory" in second.stderr


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for option in ("--http", "--https", "--grpc"):
            refused = run("run", "--data-dir", str(tmp_path / "data"), *ANYWHERE, option, address)
            assert refused.returncode == 2, option
            assert address in refused.stderr


@pytest.mark.parametrize(
    ("words", "environment", "expected"),
    [
        (("--http", "0.0.0.0:0"), {}, "would send passwords in the clear"),
        (("--http", "nonsense"), {}, "HOST:PORT"),
        (("--public-host", "https://mesh:1"), {}, "a host name or an IP address"),
        (("--http", "127.0.0.1:99999"), {}, "http.port"),
        ((), {"SKERRY_CONTROL_HTP": "127.0.0.1:0"}, "SKERRY_CONTROL_HTP"),
        (("--config", "{folder}/unknown.toml"), {}, "a key that is not known: htp"),
        (("--config", "{folder}/broken.toml"), {}, "is not TOML"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_in_words(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    environment: dict[str, str],
    expected: str,
) -> None:
    """In this process: they are refused before anything of the program begins."""
    (tmp_path / "unknown.toml").write_text('htp = "127.0.0.1:0"')
    (tmp_path / "broken.toml").write_text("= x")
    given = [word.format(folder=tmp_path) for word in words]
    monkeypatch.setattr("sys.argv", ["skerry-control", "run", "--data-dir", str(tmp_path / "data"), *ANYWHERE, *given])
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as refused:
        main()
    assert refused.value.code == 2
    said = capsys.readouterr().err
    assert expected in said
    assert "Traceback" not in said
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("words", "environment", "expected"),
    [
        (("--database-url-file", "{folder}/missing"), {}, "--database-url-file cannot be read"),
        (("--database-url-file", "{folder}/mysql"), {}, "names a database that is not known"),
        ((), {"SKERRY_CA_PASSPHRASE_FILE": "/nonexistent"}, "SKERRY_CA_PASSPHRASE_FILE"),
    ],
)
def test_files_that_cannot_be_used_are_refused_in_words(
    tmp_path: Path, words: tuple[str, ...], environment: dict[str, str], expected: str
) -> None:
    (tmp_path / "mysql").write_text("mysql://user:hunter2@host/name")
    given = [word.format(folder=tmp_path) for word in words]
    refused = run("run", "--data-dir", str(tmp_path / "data"), *ANYWHERE, *given, environment=environment)
    assert refused.returncode == 2
    assert expected in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "hunter2" not in refused.stderr


def test_a_file_and_the_environment_set_what_no_flag_sets(tmp_path: Path) -> None:
    config = tmp_path / "control.toml"
    config.write_text('public_host = "from-the-file"\nmqtt = "broker.example:8883"\n')
    with running_control(tmp_path / "data", "--config", str(config)) as control:
        api = control.client()
        api.post("/api/v1/sites", json={"name": "north"}).raise_for_status()
        token = api.post("/api/v1/sites/north/tokens").json()["token"]
        box = enrol_box(api, "north", "box-1")
    assert token.startswith(f"mesh1.from-the-file:{control.https.rpartition(':')[2]}.")
    assert box.answer.mqtt_endpoint == "broker.example:8883"


def test_keys_under_a_passphrase_open_with_it_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("correct horse\n")
    monkeypatch.setenv("SKERRY_CA_PASSPHRASE_FILE", str(passphrase))
    with running_control(tmp_path / "data"):
        pass
    assert b"ENCRYPTED" in (tmp_path / "data" / "ca" / "ca-key.pem").read_bytes()
    with running_control(tmp_path / "data"):
        pass
    passphrase.write_text("wrong\n")
    refused = run("run", "--data-dir", str(tmp_path / "data"), *ANYWHERE)
    assert refused.returncode == 2
    assert "another passphrase" in refused.stderr


def test_a_broker_certificate_is_of_the_mesh_and_made_without_the_program(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "broker"
    for _ in range(2):
        made = run("issue-broker-certificate", "--data-dir", str(data), "--host", "broker.example", "--out", str(out))
        assert made.returncode == 0, made.stderr
    ca = x509.load_pem_x509_certificate((out / "ca.pem").read_bytes())
    certificate = x509.load_pem_x509_certificate((out / "broker.pem").read_bytes())
    certificate.verify_directly_issued_by(ca)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["broker.example", "localhost"]
    key = serialization.load_pem_private_key((out / "broker-key.pem").read_bytes(), None)
    assert key.public_key() == certificate.public_key()
    with running_control(data) as control:
        assert control.visitor().get("/api/v1/mesh/ca.pem").content == (out / "ca.pem").read_bytes()


def _changed_once(folder: Path, good: Path, robot: Sequence[str]) -> str:
    """What `policy diff` says of two versions, one of them with another address."""
    other = folder / "other.yaml"
    other.write_bytes(good.read_bytes().replace(b"10.0.0.5", b"10.0.0.6"))
    assert run("policy", "publish", "west", str(other), *robot).returncode == 0
    return run("policy", "diff", "west", "1", "2", *robot).stdout


def test_the_commands_manage_a_mesh(program: RunningControl, tmp_path: Path) -> None:
    login = ("--url", program.url, "--password-file", str(program.data_dir / "admin-password"))
    good, broken = tmp_path / "good.yaml", tmp_path / "broken.yaml"
    good.write_bytes(GOOD_POLICY)
    broken.write_bytes(BROKEN_POLICY)
    assert run("site", "add", "west", *login).returncode == 0
    assert run("site", "add", "west", *login).returncode == 4
    assert "west" in run("site", "list", *login).stdout
    assert json.loads(run("token", "create", "west", "--json", *login).stdout)["token"].startswith("mesh1.")
    picture = tmp_path / "token.svg"
    shown = run("token", "create", "west", "--qr", "--svg", str(picture), *login).stdout.splitlines()
    assert shown[0].startswith("mesh1.")
    assert {len(line) for line in shown[1:]} == {len(shown[1])}, "a square of half blocks"
    assert len(shown[1]) < 80
    assert picture.read_text().startswith("<svg")
    assert picture.stat().st_mode & 0o077 == 0
    assert run("token", "create", "nowhere", *login).returncode == 3
    key_file = tmp_path / "key"
    key_file.write_text(run("api-key", "create", "robot", "--role", "admin", *login).stdout)
    robot = ("--url", program.url, "--api-key-file", str(key_file))
    checked = run("policy", "check", str(broken), *robot)
    assert checked.returncode == 1
    assert f"{broken}:6:" in checked.stdout
    refused = run("policy", "publish", "west", str(broken), *robot)
    assert refused.returncode == 1
    assert f"{broken}:6:" in refused.stderr
    assert json.loads(run("policy", "publish", "west", str(good), "--json", *robot).stdout)["generation"] == 1
    assert json.loads(run("policy", "list", "west", "--json", *robot).stdout)[0]["active"] is True
    assert "changed  destinations/pacs" in _changed_once(tmp_path, good, robot)
    assert run("policy", "drift", *robot).stdout.strip() == "Every node runs what it shall."
    assert json.loads(run("node", "list", "--json", *robot).stdout) == []
    day = run("report", "day", "--site", "west", *robot)
    assert day.returncode == 0
    assert "Nothing was received." in day.stdout
    assert "release" in run("command", "kinds", *robot).stdout
    assert run("command", "ask", "nobody", "support-bundle", *robot).returncode == 3
    assert run("command", "ask", "nobody", "release", "pacs", *robot).returncode == 2
    assert json.loads(run("command", "list", "--json", *robot).stdout) == []
    assert run("audit", "check", *robot).stdout.strip() == "The trail is whole."
    rows = json.loads(run("audit", "list", "--json", *robot).stdout)
    assert rows[0]["actor"] == "key:robot"


def test_a_command_without_a_way_in_or_without_a_server_says_so(tmp_path: Path) -> None:
    assert run("site", "list").returncode == 2
    password = tmp_path / "password"
    password.write_text("x")
    unreachable = run("site", "list", "--url", "http://127.0.0.1:9", "--password-file", str(password))
    assert unreachable.returncode == 5
    assert "does not answer" in unreachable.stderr
