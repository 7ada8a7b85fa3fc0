"""The link gives the manager what its mesh signed for its site, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.errors import UplinkUnreachable
from haproxy.link.duties import PullPools, ReportPools
from haproxy.link.figures import figures_of
from haproxy.link.link import Link
from haproxy.link.verifying import NotOurs, Verified, verified
from haproxy.manager.interface import Applied, Code, Condition, Outcome, PoolsReport, Rejected
from mesh.pools import PoolsDocument
from mesh.signing import pools_payload
from mesh.v1.pools_pb2 import SignedPools
from mesh.v1.sync_pb2 import Figure

KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes_raw()


def document(order: int, site: str = "north") -> bytes:
    return json.dumps({"skerry_pools": 1, "site": site, "order": order, "pools": []}).encode()


def signed(order: int, *, site: str = "north", key: Ed25519PrivateKey = KEY) -> SignedPools:
    content = document(order, site)
    signature = key.sign(pools_payload(site=site, order=order, document=content))
    return SignedPools(document=content, signature=signature)


def verify(offered: SignedPools) -> Verified:
    return verified(offered.document, offered.signature, site="north", public_key=PUBLIC)


class Manager:
    """Takes or refuses what it is offered, as a test wants."""

    def __init__(self, *, order: int = 0, refuses: Code | None = None) -> None:
        self.order, self.refuses, self.offered = order, refuses, list[int]()
        self.news = True

    def offer(self, document: PoolsDocument, *, fingerprint: str) -> Outcome:
        self.offered.append(document.order)
        if self.refuses is not None:
            return Rejected(order=document.order, code=self.refuses, words="no")
        self.order = document.order
        return Applied(order=document.order, reloaded=True)

    def report(self) -> PoolsReport:
        return PoolsReport(
            order=self.order, origin="centre" if self.order else "none", site="north", haproxy_running=True,
            haproxy_version="2.6", old_workers=0, reloads=0, last_reload=0,
        )  # fmt: skip

    def wait_for_change(self, seconds: float) -> bool:
        news, self.news = self.news, False
        return news

    def tell_link(self, conditions: tuple[Condition, ...]) -> None: ...


class Centre:
    """Offers these, one after the other; hears reports, or does not answer."""

    def __init__(self, *offers: SignedPools | None) -> None:
        self.offers, self.asked, self.heard = list(offers), list[tuple[int, int]](), list[dict[str, Any]]()
        self.away = False

    def pull(self, *, have: int, refused: int, wait_seconds: int) -> SignedPools | None:
        self.asked.append((have, refused))
        return self.offers.pop(0) if self.offers else None

    def report(self, report: bytes, figures: Sequence[Figure]) -> None:
        if self.away:
            raise UplinkUnreachable("away")
        self.heard.append(json.loads(report))

    def close(self) -> None: ...


def test_pools_are_taken_and_the_next_question_names_them() -> None:
    centre, manager = Centre(signed(7), None), Manager()
    duty = PullPools(lambda: centre, manager, verify)
    duty.step()
    duty.step()
    assert manager.offered == [7]
    assert centre.asked == [(0, 0), (7, 0)]


def test_what_was_refused_for_good_is_not_asked_for_again() -> None:
    centre = Centre(signed(7), None, signed(8))
    manager = Manager(refuses="check_failed")
    duty = PullPools(lambda: centre, manager, verify)
    assert duty.step() > 0
    duty.step()
    assert centre.asked == [(0, 0), (0, 7)]
    manager.refuses = None
    duty.step()
    duty.step()
    assert centre.asked[-1] == (8, 0)


def test_what_was_refused_for_now_is_asked_for_again_in_a_while() -> None:
    centre = Centre(signed(7), signed(7))
    duty = PullPools(lambda: centre, Manager(refuses="away"), verify)
    assert duty.step() > 0
    assert duty.step() > 0
    assert centre.asked == [(0, 0), (0, 0)]


@pytest.mark.parametrize(
    "offered",
    [
        signed(7, key=Ed25519PrivateKey.generate()),
        signed(7, site="south"),
        SignedPools(document=document(8), signature=signed(7).signature),
        SignedPools(document=b"{}", signature=b""),
        SignedPools(document=document(7), signature=b"short"),
    ],
    ids=["another mesh", "another site", "another order", "no pools", "no signature"],
)
def test_what_this_mesh_did_not_sign_for_this_site_never_reaches_the_manager(offered: SignedPools) -> None:
    manager = Manager()
    with pytest.raises(NotOurs):
        PullPools(lambda: Centre(offered), manager, verify).step()
    assert manager.offered == []


def test_news_are_told_again_when_the_centre_did_not_hear_them() -> None:
    centre, manager = Centre(), Manager(order=3)
    duty = ReportPools(lambda: centre, manager, list)
    centre.away = True
    with pytest.raises(UplinkUnreachable):
        duty.step()
    centre.away = False
    duty.step()
    duty.step()
    assert [one["order"] for one in centre.heard] == [3], "once is enough until something changes"


def test_metrics_are_figures_and_what_was_never_measured_is_none() -> None:
    lines = ['haproxy_server_weight{proxy="images.dicom",server="box-1"} 100', "haproxy_x NaN", "skerry_haproxy_up 1"]
    text = "\n".join(["# HELP x y", *lines, "nonsense", ""])
    assert [(one.name, dict(one.labels), one.value) for one in figures_of(text)] == [
        ("haproxy_server_weight", {"proxy": "images.dicom", "server": "box-1"}, 100.0),
        ("skerry_haproxy_up", {}, 1.0),
    ]


def test_a_centre_that_is_away_and_one_that_refuses_are_two_conditions_that_end_with_their_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[set[str]] = []
    manager = Manager()
    monkeypatch.setattr(manager, "tell_link", lambda found: told.append({one.code for one in found}))
    link = Link(manager, tmp_path, str)
    link._fault("report", UplinkUnreachable("no road"))
    link._fault("report", UplinkUnreachable("no road"))
    link._fault("pools", NotOurs())
    link._well("report")
    link._well("pools")
    assert told == [{"centre-away"}, {"centre-away", "centre-refuses"}, {"centre-refuses"}, set()]
