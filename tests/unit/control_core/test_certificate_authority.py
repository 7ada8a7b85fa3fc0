"""What the mesh's authority signs, and what it does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from control.enrolment.ca import NodeName, read_csr, read_node_uri
from control.enrolment.ca_files import load, load_or_create
from control.enrolment.own_certificates import issue_own
from control.errors import InvalidCsr, SettingsError
from control.sync.callers import certified_name
from tests.node_box import new_box_key

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAMES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True)


@given(mesh=NAMES, site=NAMES, node_id=NAMES)
def test_an_identity_is_read_as_it_was_written(mesh: str, site: str, node_id: str) -> None:
    name = NodeName(mesh=mesh, site=site, node_id=node_id)
    assert read_node_uri(name.uri()) == name
    assert certified_name({"peer_uri": [name.uri().encode()]}, mesh) == name
    assert certified_name({"peer_uri": [name.uri().encode()]}, f"{mesh}x") is None


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "spiffe://m",
        "spiffe://m/control",
        "spiffe://m/site/a/node",
        "spiffe://m/site/a/node/b/c",
        "spiffe://m/node/a/site/b",
        "https://m/site/a/node/b",
    ],
)
def test_another_uri_names_no_node(uri: str) -> None:
    assert read_node_uri(uri) is None


def test_a_certificate_with_no_or_two_names_is_nobody() -> None:
    name = NodeName(mesh="m", site="s", node_id="n").uri().encode()
    assert certified_name({}, "m") is None
    assert certified_name({"peer_uri": [name, name]}, "m") is None
    assert certified_name({"peer_uri": [b"\xff"]}, "m") is None


@given(garbage=st.binary(max_size=200))
def test_garbage_is_no_signing_request(garbage: bytes) -> None:
    with pytest.raises(InvalidCsr):
        read_csr(garbage)


def test_a_request_that_was_changed_is_refused() -> None:
    csr = x509.load_pem_x509_csr(new_box_key("abcdef").csr_pem).public_bytes(serialization.Encoding.DER)
    changed = csr.replace(b"abcdef", b"abcdeg")
    pem = x509.load_der_x509_csr(changed).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(InvalidCsr, match="not signed with its own key"):
        read_csr(pem)


@pytest.mark.parametrize("kind", ["rsa", "p384"])
def test_a_key_of_another_kind_is_refused(kind: str) -> None:
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    key = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP384R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    with pytest.raises(InvalidCsr, match="P-256"):
        read_csr(csr.public_bytes(serialization.Encoding.PEM))


def test_every_mesh_is_another_one_and_lives_ten_years(tmp_path: Path) -> None:
    one, two = (load_or_create(tmp_path / name, None, NOW) for name in "ab")
    assert one.authority.mesh != two.authority.mesh
    assert one.authority.pin != two.authority.pin
    assert one.policy_public_key != two.policy_public_key
    certificate = x509.load_pem_x509_certificate(one.authority.pem)
    assert certificate.not_valid_after_utc - NOW >= timedelta(days=3650)
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert (constraints.value.ca, constraints.value.path_length) == (True, 0)


def test_keys_are_loaded_as_they_were_made(tmp_path: Path) -> None:
    made, again = (load_or_create(tmp_path / "ca", b"secret", NOW) for _ in range(2))
    assert made.authority.pin == again.authority.pin
    assert made.policy_public_key == again.policy_public_key
    for wrong in (None, b"other"):
        with pytest.raises(SettingsError):
            load(tmp_path / "ca", wrong)


@pytest.mark.parametrize("crime", ["remove", "truncate", "swap"])
def test_damaged_keys_stop_the_start_and_are_never_made_anew(tmp_path: Path, crime: str) -> None:
    load_or_create(tmp_path / "ca", None, NOW)
    key = tmp_path / "ca" / "ca-key.pem"
    if crime == "remove":
        key.unlink()
    elif crime == "truncate":
        key.write_bytes(key.read_bytes()[:50])
    else:
        load_or_create(tmp_path / "other", None, NOW)
        key.write_bytes((tmp_path / "other" / "ca-key.pem").read_bytes())
    with pytest.raises(SettingsError):
        load_or_create(tmp_path / "ca", None, NOW)


def test_a_first_start_that_was_cut_short_is_done_again(tmp_path: Path) -> None:
    (tmp_path / "ca.new").mkdir()
    (tmp_path / "ca.new" / "ca-key.pem").write_bytes(b"half")
    load_or_create(tmp_path / "ca", None, NOW)
    assert not (tmp_path / "ca.new").exists()


@pytest.mark.parametrize("host", ["control.clinic.example", "10.1.2.3", "fd00::1"])
def test_the_centre_shows_its_public_name_and_this_machine(tmp_path: Path, host: str) -> None:
    authority = load_or_create(tmp_path / "ca", None, NOW).authority
    own = issue_own(tmp_path / "tls", authority, host, NOW)
    certificate = x509.load_pem_x509_certificate(own.server.certificate_pem)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    shown = {str(one.value) for one in names}
    assert shown == {host, "127.0.0.1", "localhost"}
    assert own.server.key_file.stat().st_mode & 0o777 == 0o600
    assert not own.server.is_due(NOW + timedelta(days=59))
    assert own.server.is_due(NOW + timedelta(days=61))
