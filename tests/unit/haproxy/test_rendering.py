"""Every document becomes a file that HAProxy takes, and nothing from outside gets a line in it."""

from __future__ import annotations

import subprocess
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pydicom import dcmread
from pynetdicom.pdu import A_ASSOCIATE_RQ, A_RELEASE_RQ, P_DATA_TF

from haproxy.pool.echo_check import associate_request, echo_request, release_request
from haproxy.pool.findings import findings
from haproxy.pool.keepalived import render_keepalived
from haproxy.pool.render import Surroundings, render
from mesh.pools import ListenerModel, MemberModel, PoolModel, PoolsDocument, SharedAddressModel
from tests.real_programs import require

NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,10}[a-z0-9]", fullmatch=True)
TITLES = st.from_regex(r"[!-\[\]-~](?:[ -\[\]-~]{0,14}[!-\[\]-~])?", fullmatch=True)
PORTS = st.integers(1, 65535)
HOSTS = st.sampled_from(["10.0.0.5", "[fd00::5]", "127.0.0.1"])
ENDPOINTS = st.builds(lambda host, port: f"{host}:{port}", HOSTS, PORTS)
ADDRESSES = st.fixed_dictionaries(
    {"dicom": ENDPOINTS}, optional={"agent": ENDPOINTS, "dicomweb": ENDPOINTS, "dicom_tls": ENDPOINTS}
)
LISTENERS = st.fixed_dictionaries(
    {
        "name": NAMES,
        "kind": st.sampled_from(["dicom", "dicom-tls", "dicomweb"]),
        "bind": ENDPOINTS,
        "called_ae_title": TITLES,
        "calling_ae_title": TITLES,
        "networks": st.lists(st.sampled_from(["10.1.0.0/16", "fd00::/8", "192.0.2.7/32"]), max_size=3),
        "max_connections": st.integers(1, 2000),
        "proxy_protocol": st.booleans(),
    }
)
MEMBERS = st.fixed_dictionaries(
    {"node": NAMES, "weight": st.integers(0, 256), "addresses": ADDRESSES},
    optional={"max_connections": st.integers(1, 500)},
)
POOLS = st.fixed_dictionaries(
    {
        "name": NAMES,
        "listeners": st.lists(LISTENERS, min_size=1, max_size=3),
        "balance": st.sampled_from(["leastconn", "roundrobin", "source"]),
        "check_seconds": st.integers(1, 60),
        "slow_start_seconds": st.integers(0, 600),
        "members": st.lists(MEMBERS, max_size=4, unique_by=lambda one: str(one["node"])),
    }
)  # fmt: skip
DOCUMENTS = st.builds(
    lambda pools: PoolsDocument.model_validate({"skerry_pools": 1, "pools": pools}), st.lists(POOLS, max_size=3)
).filter(lambda document: not findings(document))


def around(folder: Path) -> Surroundings:
    return Surroundings(
        stats_socket=folder / "stats.sock", exporter_socket=folder / "exporter.sock", server_state=folder / "state"
    )


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much, HealthCheck.too_slow],
)
@given(DOCUMENTS)
def test_haproxy_takes_every_document_that_has_no_finding(tmp_path: Path, document: PoolsDocument) -> None:
    require("haproxy")
    text = render(document, around(tmp_path))
    assert text == render(document, around(tmp_path))
    path = tmp_path / "haproxy.cfg"
    path.write_text(text)
    done = subprocess.run(["/usr/sbin/haproxy", "-c", "-f", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_health_check_is_the_conversation_that_pynetdicom_reads() -> None:
    request = A_ASSOCIATE_RQ()
    request.decode(associate_request("STORE AE", "HAPROXY"))
    assert request.called_ae_title.strip() == "STORE AE"
    assert request.calling_ae_title.strip() == "HAPROXY"
    (context,) = request.presentation_context
    assert (context.abstract_syntax, context.transfer_syntax) == ("1.2.840.10008.1.1", ["1.2.840.10008.1.2"])
    data = P_DATA_TF()
    data.decode(echo_request())
    (item,) = data.presentation_data_value_items

    content = item.data or b""
    command = dcmread(BytesIO(content[1:]), force=True)
    assert (command.CommandField, command.CommandDataSetType) == (0x0030, 0x0101)
    assert command.CommandGroupLength == len(content) - 1 - 12
    A_RELEASE_RQ().decode(release_request())


@pytest.mark.parametrize("text", ["a b", "a\nuser root", "a#", "-a", "", "a" * 64, "a.b", "a'", 'a"', "a\x00", "ä"])
def test_a_name_that_would_be_more_than_a_word_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        PoolModel.model_validate({"name": text, "listeners": [{"name": "d", "kind": "dicom", "bind": "1.2.3.4:1"}]})
    with pytest.raises(ValidationError):
        MemberModel.model_validate({"node": text})


@pytest.mark.parametrize("bind", ["1.2.3.4:104\n", "1.2.3.4:104 ssl", "unix@/tmp/x", "*:104", "1.2.3.4:", "/tmp/x:1"])
def test_an_address_that_would_be_more_than_one_is_refused(bind: str) -> None:
    with pytest.raises(ValidationError):
        ListenerModel.model_validate({"name": "d", "kind": "dicom", "bind": bind})


def test_a_listener_that_ends_tls_reads_its_certificate_from_the_host_that_it_runs_on(tmp_path: Path) -> None:
    listener = {
        "name": "tls", "kind": "dicom-tls-terminated", "bind": "0.0.0.0:2762", "certificate": "/etc/skerry/door.pem",
        "client_ca": "/etc/skerry/modalities.pem",
    }  # fmt: skip
    document = PoolsDocument.model_validate({"skerry_pools": 1, "pools": [{"name": "images", "listeners": [listener]}]})
    assert findings(document) == []
    text = render(document, around(tmp_path))
    assert (
        "bind 0.0.0.0:2762 ssl crt /etc/skerry/door.pem ssl-min-ver TLSv1.2 ca-file /etc/skerry/modalities.pem" in text
    )
    assert "verify required" in text


def test_two_hosts_share_an_address_and_it_moves_only_when_one_fails() -> None:
    shared = SharedAddressModel(
        address="10.1.1.100/24", interface="eth0", router_id=51, hosts=["10.1.1.11", "10.1.1.12"]
    )
    pool = PoolModel.model_validate(
        {"name": "images", "listeners": [{"name": "d", "kind": "dicom", "bind": "0.0.0.0:104"}]}
    ).model_copy(update={"shared_address": shared})
    first, second = (render_keepalived(pool, host) for host in shared.hosts)
    assert "priority 150" in first
    assert "priority 140" in second
    assert "unicast_peer {\n        10.1.1.12\n    }" in first
    assert "nopreempt" in first
    assert "10.1.1.100/24" in second
    with pytest.raises(LookupError):
        render_keepalived(pool, "10.1.1.13")
