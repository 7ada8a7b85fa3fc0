"""A box becomes a node over real HTTPS, or says in words why not; the secret never goes to a stranger."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edge.errors import EnrolmentError
from edge.sync.enrol import Waiting, enrol
from edge.sync.identity import key_matches, load_identity
from edge.sync.policy_store import PolicyStore
from edge.sync.wanted_key import FOLDER
from tests.certificates import Issued, MeshAuthority
from tests.signed_policies import bundle

MESH = MeshAuthority()
SECRET = "s3cretsecretsecret"


class Door(ThreadingHTTPServer):
    """The two paths of the control plane's HTTPS listener that an enrolment uses."""

    daemon_threads = True

    def __init__(self, folder: Path, *, mesh: MeshAuthority = MESH, certificate: Issued | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.mesh = mesh
        self.ca_pem = mesh.ca_pem
        self.bodies: list[bytes] = []
        self.problem: dict[str, object] | None = None
        self.status = 200
        self.answer_key_of: bytes | None = None
        self.before: list[str] = []
        """What comes before the answer: `waits`, `busy`, `lost` (done, and nobody hears of it), or a code."""
        self.clock = timedelta()
        self.policy = b""
        issued = certificate or mesh.server()
        pem = folder / "server.pem"
        pem.write_bytes(issued.certificate_pem + issued.key_pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def token(self, *, pin: str = "") -> str:
        return f"mesh1.localhost:{self.server_address[1]}.{pin or self.mesh.pin}.tok1.{SECRET}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up in the handshake is what some of the tests are about."""

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    server: Door

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def date_time_string(self, timestamp: float | None = None) -> str:
        return format_datetime(datetime.now(UTC) + self.server.clock, usegmt=True)

    def do_GET(self) -> None:
        self._answer(200 if self.path == "/api/v1/mesh/ca.pem" else 404, self.server.ca_pem)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(body)
        if self.server.problem is not None:
            self._answer(self.server.status, json.dumps(self.server.problem).encode())
            return
        csr = base64.b64decode(json.loads(body)["csrPem"])
        if self.server.before:
            self._before(self.server.before.pop(0), csr)
            return
        mesh = self.server.mesh
        certificate = self.server.answer_key_of or mesh.sign_request(csr)
        answer = {
            "nodeId": "node-1",
            "site": "north",
            "certificatePem": base64.b64encode(certificate).decode(),
            "caPem": base64.b64encode(mesh.ca_pem).decode(),
            "policyPublicKey": base64.b64encode(mesh.policy_public_key).decode(),
            "grpcEndpoint": "localhost:7443",
            "mqttEndpoint": "localhost:8883",
        }
        if self.server.policy:
            answer["policy"] = json.loads(self.server.policy)
        self._answer(self.server.status, json.dumps(answer).encode())

    def _before(self, what: str, csr: bytes) -> None:
        if what == "waits":
            key = x509.load_pem_x509_csr(csr).public_key()
            der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            until = "2030-01-01T00:00:00Z"
            answer = {"requestId": "r1", "keyFingerprint": sha256(der).hexdigest(), "expiresAt": until}
            self._answer(202, json.dumps(answer | {"retrySeconds": 5}).encode())
        elif what == "busy":
            self._answer(503, b"{}")
        elif what == "lost":
            self.close_connection = True
        else:
            self._answer(403, json.dumps({"code": what, "detail": "in its own words"}).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    door = Door(tmp_path)
    yield door
    door.close()


@pytest.fixture
def box(tmp_path: Path) -> Path:
    return tmp_path / "box"


def refused(box: Path, token: str) -> EnrolmentError:
    with pytest.raises(EnrolmentError) as caught:
        enrol(box, token, "ct-room")
    assert load_identity(box) is None
    assert SECRET not in str(caught.value)
    assert caught.value.hint
    return caught.value


def test_a_box_becomes_a_node_that_survives_a_restart(door: Door, box: Path) -> None:
    identity = enrol(box, door.token() + "\n", "ct-room")
    assert load_identity(box) == identity
    assert (identity.node_id, identity.site, identity.node_name) == ("node-1", "north", "ct-room")
    assert (identity.grpc_endpoint, identity.mqtt_endpoint) == ("localhost:7443", "localhost:8883")
    assert identity.policy_public_key == MESH.policy_public_key
    assert key_matches(identity.key_pem, identity.certificate_pem)
    assert b"PRIVATE" not in door.bodies[0]


def test_the_policy_of_the_answer_waits_for_the_link(door: Door, box: Path) -> None:
    from google.protobuf.json_format import MessageToJson

    door.policy = MessageToJson(bundle(MESH, 3)).encode()
    enrol(box, door.token(), "ct-room")
    store = PolicyStore(box, site="north", public_key=MESH.policy_public_key)
    assert store.load() is None
    assert store.take_candidate() == bundle(MESH, 3)


def test_a_second_enrolment_is_refused_and_spends_no_token(door: Door, box: Path) -> None:
    enrol(box, door.token(), "ct-room")
    with pytest.raises(EnrolmentError) as caught:
        enrol(box, door.token(), "ct-room")
    assert caught.value.code == "ALREADY_ENROLLED"
    assert len(door.bodies) == 1


@pytest.mark.parametrize(
    "token",
    [
        "",
        "mesh1",
        "nonsense",
        "mesh2.localhost:1." + "a" * 64 + ".id.secret",
        "mesh1.localhost:1.abc.id.secret",
        "mesh1.localhost." + "a" * 64 + ".id.secret",
        "mesh1.localhost:99999." + "a" * 64 + ".id.secret",
        "mesh1.localhost:1." + "a" * 64 + ".id.",
    ],
)
def test_a_token_that_is_not_whole(box: Path, token: str) -> None:
    with pytest.raises(EnrolmentError) as caught:
        enrol(box, token, "ct-room")
    assert caught.value.code == "TOKEN_MALFORMED"


@pytest.mark.parametrize(
    ("status", "code"),
    [(404, "TOKEN_UNKNOWN"), (409, "TOKEN_USED"), (410, "TOKEN_EXPIRED"), (409, "NAME_TAKEN")],
)
def test_what_the_centre_says_of_the_token_reaches_the_technician(
    door: Door, box: Path, status: int, code: str
) -> None:
    door.status, door.problem = status, {"title": "no", "detail": "in its own words", "code": code}
    error = refused(box, door.token())
    assert error.code == code
    assert "in its own words" in str(error)


def test_any_other_refusal_keeps_the_centres_words_and_hint(door: Door, box: Path) -> None:
    door.status, door.problem = 422, {"code": "INVALID_CSR", "detail": "A request has…", "hint": "Use P-256."}
    error = refused(box, door.token())
    assert error.code == "REFUSED"
    assert "A request has" in str(error)
    assert error.hint == "Use P-256."


def test_a_refusal_that_is_not_json_is_a_refusal(door: Door, box: Path) -> None:
    door.status, door.problem = 502, {}
    assert "HTTP 502" in str(refused(box, door.token()))


def test_a_stranger_with_another_ca_never_sees_the_secret(door: Door, box: Path) -> None:
    error = refused(box, door.token(pin=MeshAuthority().pin))
    assert error.code == "CA_PIN_MISMATCH"
    assert door.bodies == []


def test_a_proxy_that_repeats_the_ca_but_has_another_key_never_sees_the_secret(tmp_path: Path, box: Path) -> None:
    stranger = MeshAuthority("inspecting proxy")
    door = Door(tmp_path, certificate=stranger.server())
    try:
        error = refused(box, door.token())
    finally:
        door.close()
    assert error.code == "CA_PIN_MISMATCH"
    assert door.bodies == []


def test_something_that_is_no_certificate_at_all(door: Door, box: Path) -> None:
    door.ca_pem = b"<html>captive portal</html>"
    assert refused(box, door.token()).code == "CA_PIN_MISMATCH"


@pytest.mark.parametrize("minutes", [-45, 45])
def test_a_wrong_clock_is_found_before_the_token_is_spent(door: Door, box: Path, minutes: int) -> None:
    door.clock = timedelta(minutes=minutes)
    error = refused(box, door.token())
    assert error.code == "CLOCK_SKEW"
    assert "45 minutes" in str(error)
    assert ("behind" if minutes > 0 else "ahead of") in str(error)
    assert door.bodies == []


def test_a_server_certificate_that_is_not_valid_yet_speaks_of_the_clock(tmp_path: Path, box: Path) -> None:
    door = Door(tmp_path, certificate=MESH.server(begins=timedelta(days=1)))
    try:
        assert refused(box, door.token()).code == "CLOCK_SKEW"
    finally:
        door.close()


def test_nobody_answers(box: Path) -> None:
    error = refused(box, f"mesh1.127.0.0.1:1.{MESH.pin}.tok1.{SECRET}")
    assert error.code == "UNREACHABLE"
    assert "127.0.0.1:1" in error.hint


def test_a_certificate_for_another_key_is_not_kept(door: Door, box: Path) -> None:
    door.answer_key_of = MESH.client().certificate_pem
    assert refused(box, door.token()).code == "REFUSED"


def _keys(door: Door) -> list[bytes]:
    """The public keys that asked, in their order."""
    requests = [x509.load_pem_x509_csr(base64.b64decode(json.loads(body)["csrPem"])) for body in door.bodies]
    return [one.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for one in requests]


def test_a_lost_answer_is_asked_for_again_with_the_same_key(door: Door, box: Path) -> None:
    door.before = ["lost"]
    assert refused(box, door.token()).code == "UNREACHABLE"
    assert (box / FOLDER / "key.pem").stat().st_mode & 0o077 == 0
    enrol(box, door.token(), "ct-room")
    first, second = _keys(door)
    assert first == second
    assert not (box / FOLDER).exists()


def test_another_token_asks_with_another_key_and_a_damaged_key_is_made_anew(door: Door, box: Path) -> None:
    door.before = ["lost", "lost"]
    refused(box, door.token())
    refused(box, door.token().replace(SECRET, SECRET[::-1]))
    (box / FOLDER / "key.pem").write_bytes(b"no key")
    enrol(box, door.token().replace(SECRET, SECRET[::-1]), "ct-room")
    assert len(set(_keys(door))) == 3


def test_a_box_that_needs_approval_waits_over_bad_roads_and_restarts_until_it_is_a_node(door: Door, box: Path) -> None:
    door.before = ["waits"]
    error = refused(box, door.token())
    assert error.code == "WAITS_FOR_APPROVAL"
    assert "node approve r1" in error.hint
    door.before = ["waits", "busy", "lost", "waits"]
    seen: list[Waiting] = []
    identity = enrol(box, door.token(), "ct-room", wait=seen.append)
    assert load_identity(box) == identity
    assert len(set(_keys(door))) == 1
    assert len(seen) == 4
    shown = sha256(_keys(door)[0]).hexdigest()[:20]
    assert {one.fingerprint.replace("-", "") for one in seen} == {shown}
    assert seen[0].expires_at == datetime(2030, 1, 1, tzinfo=UTC)
    assert shown[:4] in str(error)


@pytest.mark.parametrize("code", ["ENROLMENT_REJECTED", "ENROLMENT_EXPIRED"])
def test_a_box_that_was_sent_away_hears_so_and_begins_anew_with_another_key(door: Door, box: Path, code: str) -> None:
    door.before = ["waits", code]
    with pytest.raises(EnrolmentError) as caught:
        enrol(box, door.token(), "ct-room", wait=lambda _: None)
    assert caught.value.code == code
    assert "in its own words" in str(caught.value)
    assert caught.value.hint
    assert not (box / FOLDER).exists()
