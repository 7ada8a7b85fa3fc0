"""Destinations over HTTP and layouts of folders in a policy: what they mean, and what is refused where."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import Diagnostic
from edge.model import DEFAULT_TEMPLATE, DicomDestination, DicomWebDestination, FolderDestination, S3Destination
from edge.orders import Orders, OrdersWatch, publish
from edge.policy.document import check_policy, load_policy
from edge.run_dir import RunDir

_FRAME = """\
skerry: 1
destinations:
  - {{name: d, {}}}
routes:
  - {{name: all, to: [d]}}
"""
WEB, BUCKET, FOLDER = "kind: dicomweb, ", "kind: s3, bucket: images, region: eu-central-1, ", "kind: folder, path: /a, "


def _check(keys: str) -> tuple[Diagnostic, ...]:
    return check_policy(_FRAME.format(keys))


def test_each_kind_means_what_it_says_and_reaches_the_other_processes_unchanged(tmp_path: Path) -> None:
    text = """\
skerry: 1
destinations:
  - {name: web, kind: dicomweb, url: "https://a.example:8443/dicom-web/", credentials: web, ca: ca.pem}
  - {name: least, kind: dicomweb, url: "http://a"}
  - {name: vault, kind: s3, bucket: images, endpoint: "http://b:9000", key: "x/{InstanceId}", credentials: keys}
  - {name: amazon, kind: s3, bucket: images, region: eu-central-1}
  - {name: archive, kind: folder, path: /a, template: "{SOPInstanceUID}"}
  - {name: old, kind: folder, path: /b}
routes:
  - {name: all, to: [web, least, vault, amazon, archive, old]}
"""
    destinations = load_policy(text).destinations
    assert destinations == (
        DicomWebDestination(name="web", url="https://a.example:8443/dicom-web", credentials="web", ca="ca.pem"),
        DicomWebDestination(name="least", url="http://a"),
        S3Destination(
            name="vault", bucket="images", endpoint="http://b:9000", key="x/{InstanceId}", credentials="keys"
        ),
        S3Destination(name="amazon", bucket="images", region="eu-central-1"),
        FolderDestination(name="archive", path="/a", template="{SOPInstanceUID}"),
        FolderDestination(name="old", path="/b", template=DEFAULT_TEMPLATE),
    )
    run_dir = RunDir(tmp_path)
    run_dir.clear()
    publish(run_dir, Orders(policy="local:1", destinations=destinations))
    seen = OrdersWatch(run_dir).news()
    assert seen is not None
    assert seen.destinations == destinations


@pytest.mark.parametrize(
    ("keys", "marked", "says"),
    [
        (WEB, "name: d", "`url` is missing"),
        (WEB + 'url: "ftp://a"', '"ftp', "`url` must be the service root"),
        (WEB + 'url: "http://u:p@a/x"', '"http', "`url` must be"),
        (WEB + 'url: "http://a/x?y"', '"http', "`url` must be"),
        (WEB + 'url: "http://a:99999/x"', "http:", "cannot be"),
        (WEB + 'url: "https://a", credentials: ../etc/passwd', "../etc", "`credentials` must be the name of a file"),
        (WEB + 'url: "https://a", password: x', "password", "unknown key `password`"),
        ("kind: s3, bucket: Images, region: x", "Images", "`bucket` must be"),
        ("kind: s3, bucket: images", "d, kind", "needs `region` or `endpoint`"),
        (BUCKET + 'key: "a/../{SOPInstanceUID}"', "../", "would leave"),
        (BUCKET + 'key: "{PatientID}/{SOPInstanceUID}"', "{PatientID}", "no field `{PatientID}`"),
        (FOLDER + "template: '/{SOPInstanceUID}'", "/{SOP", "begins with `/`"),
        (FOLDER + "template: 'a\\{SOPInstanceUID}'", "\\{SOP", "may not stand"),
        (FOLDER + "template: '{StudyInstanceUID}.dcm'", "{Study", "the same name"),
        (FOLDER + "template: ''", "''", "`template` must be"),
        ("kind: s4, bucket: images", "s4", "unknown kind of destination `s4`"),
    ],
)
def test_what_cannot_be_is_refused_at_its_place(keys: str, marked: str, says: str) -> None:
    first = _check(keys)[0]
    assert (first.severity, says in first.message) == ("error", True), first
    line = _FRAME.format(keys).splitlines()[2]
    assert first.line == 3
    if "missing" not in says:
        assert line[first.column - 1 :].startswith(marked), line[first.column - 1 :]


def test_credentials_over_plain_http_are_a_warning() -> None:
    (found,) = _check(WEB + 'url: "http://a", credentials: web')
    assert (found.severity, found.message) == ("warning", "the credentials travel in the clear")
    assert _check(WEB + 'url: "https://a", credentials: web') == ()


def test_a_destination_may_be_asked_after_sending_in_the_way_of_its_kind() -> None:
    text = """\
skerry: 1
destinations:
  - {name: pacs, kind: dicom, ae_title: PACS, host: a, port: 104, verify: find}
  - {name: cloud, kind: dicomweb, url: "http://b", verify: qido}
  - {name: other, kind: dicomweb, url: "http://c"}
routes:
  - {name: all, to: [pacs, cloud, other]}
"""
    pacs, cloud, other = load_policy(text).destinations
    assert isinstance(pacs, DicomDestination)
    assert isinstance(cloud, DicomWebDestination)
    assert isinstance(other, DicomWebDestination)
    assert (pacs.verify, cloud.verify, other.verify) == ("find", "qido", "none")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("kind: dicom, ae_title: A, host: a, port: 1, verify: qido", "`verify` must be `none` or `find`"),
        ("kind: dicomweb, url: 'http://a', verify: find", "`verify` must be `none` or `qido`"),
        ("kind: folder, path: /a, verify: find", "`verify`"),
        (
            "kind: dicom, ae_title: A, host: a, port: 1, calling_ae_title: source, verify: find",
            "`verify` cannot ask under the names of the senders",
        ),
    ],
)
def test_a_way_of_asking_that_cannot_be_is_refused(keys: str, message: str) -> None:
    found = [one for one in _check(keys) if one.severity == "error"]
    assert len(found) == 1
    assert message in found[0].message
    assert found[0].line == 3


def test_a_member_of_a_group_cannot_be_asked_after_sending() -> None:
    text = """\
skerry: 1
destinations:
  - {name: a, kind: dicom, ae_title: A, host: a, port: 1, verify: find}
  - {name: b, kind: dicom, ae_title: B, host: a, port: 2}
  - {name: both, kind: failover, members: [a, b]}
routes:
  - {name: all, to: [both]}
"""
    (error,) = (one for one in check_policy(text) if one.severity == "error")
    assert (error.line, error.message) == (5, "`a` has `verify`, which members of groups cannot have")
    assert "without a group" in error.hint
