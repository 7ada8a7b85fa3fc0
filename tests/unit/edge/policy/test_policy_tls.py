"""TLS of a DICOM destination in a policy: what it means, what other processes get, and what is refused where."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.model import DicomDestination, Tls
from edge.orders import Orders, OrdersWatch, publish
from edge.policy.document import check_policy, load_policy
from edge.run_dir import RunDir

_FRAME = """\
skerry: 1
destinations:
  - {{name: d, kind: dicom, ae_title: PACS, host: a, port: 2762, tls: {}}}
routes:
  - {{name: all, to: [d]}}
"""


def test_it_means_what_it_says_and_reaches_the_other_processes_unchanged(tmp_path: Path) -> None:
    whole = "{ca: /etc/skerry/ca.pem, certificate: node.pem, key: node-key.pem, server_name: pacs.example}"
    policies = [load_policy(_FRAME.format(text)) for text in (whole, "{ca: ca.pem}")]
    destinations = tuple(one for policy in policies for one in policy.destinations)
    tls = Tls(ca="/etc/skerry/ca.pem", certificate="node.pem", key="node-key.pem", server_name="pacs.example")
    assert destinations == (
        DicomDestination(name="d", host="a", port=2762, ae_title="PACS", tls=tls),
        DicomDestination(name="d", host="a", port=2762, ae_title="PACS", tls=Tls(ca="ca.pem")),
    )
    run_dir = RunDir(tmp_path)
    run_dir.clear()
    publish(run_dir, Orders(policy="local:1", destinations=destinations))
    seen = OrdersWatch(run_dir).news()
    assert seen is not None
    assert seen.destinations == destinations


@pytest.mark.parametrize(
    ("tls", "marked", "says"),
    [
        ("{}", "{}", "`ca` is missing"),
        ("{ca: ../ca.pem}", "../ca", "`ca` must be a file with PEM"),
        ("{ca: ca.pem, verify: false}", "verify", "unknown key `verify`"),
        ("{ca: ca.pem, server_name: a b}", "a b", "`server_name` must be"),
        ("{ca: ca.pem, certificate: c.pem}", "{ca", "a `certificate` without a `key`"),
        ("{ca: ca.pem, key: c.pem}", "{ca", "a `key` without a `certificate`"),
        ("yes", "yes", "`tls` must be a group of keys"),
    ],
)
def test_what_cannot_be_is_told_where_it_stands(tls: str, marked: str, says: str) -> None:
    text = _FRAME.format(tls)
    found = check_policy(text)
    assert [one.severity for one in found] == ["error"]
    assert says in found[0].message
    assert found[0].hint or "must be" in found[0].message
    assert found[0].line == 3
    assert text.splitlines()[2][found[0].column - 1 :].startswith(marked)
