"""Sent, delivered and indexed are three facts; none may be taken for another."""

from __future__ import annotations

import hashlib
from pathlib import Path

from provisioning.demo.ledger import Ledger
from provisioning.local.dataset import Part10
from provisioning.local.images import Image

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"


def digest(data_set: bytes) -> str:
    return hashlib.sha256(data_set).hexdigest()


IMAGE = Image(
    path=Path("one.dcm"),
    sop_instance_uid="1.2.3",
    on_the_wire={EXPLICIT: digest(b"bytes"), IMPLICIT: digest(b"others")},
)


def part(data_set: bytes, syntax: str = EXPLICIT) -> Part10:
    return Part10(sop_class_uid="1.2", sop_instance_uid="1.2.3", transfer_syntax_uid=syntax, data_set=data_set)


def found(progress: str = "delivered", site: str = "north") -> dict[str, str]:
    return {"sop_instance_uid": "1.2.3", "site": site, "progress": progress}


def sent() -> Ledger:
    ledger = Ledger()
    ledger.note_sent("north", [IMAGE])
    return ledger


def test_nothing_sent_is_not_a_success() -> None:
    assert not Ledger().tally().whole


def test_an_image_that_arrived_and_is_found_makes_the_pass_whole() -> None:
    ledger = sent()
    ledger.note_pacs("north", {"1.2.3": part(b"bytes")})
    ledger.note_search([found()])
    assert ledger.tally().whole
    assert str(ledger.tally()) == "sent 1 delivered 1 indexed 1 lost 0"
    assert ledger.missing() == []


def test_another_transfer_syntax_counts_only_with_the_bytes_that_the_sender_uses_for_it() -> None:
    ledger = sent()
    ledger.note_pacs("north", {"1.2.3": part(b"bytes", IMPLICIT)})
    assert ledger.tally().lost == 1
    ledger.note_pacs("north", {"1.2.3": part(b"others", IMPLICIT)})
    assert ledger.tally().lost == 0


def test_one_changed_byte_is_a_loss_and_is_named() -> None:
    ledger = sent()
    ledger.note_pacs("north", {"1.2.3": part(b"byteS")})
    assert ledger.tally().lost == 1
    assert ledger.missing() == ["one.dcm: its data set changed on the way to north's PACS"]


def test_the_pacs_of_another_site_does_not_count() -> None:
    ledger = sent()
    ledger.note_pacs("south", {"1.2.3": part(b"bytes")})
    assert ledger.tally().delivered == 0


def test_known_at_the_centre_but_waiting_is_not_indexed_as_delivered() -> None:
    ledger = sent()
    ledger.note_pacs("north", {"1.2.3": part(b"bytes")})
    ledger.note_search([found("waiting"), found(site="south")])
    assert str(ledger.tally()) == "sent 1 delivered 1 indexed 0 lost 0"
    assert not ledger.tally().whole
    assert ledger.missing() == ["one.dcm: not in the central search as delivered"]


def test_what_was_never_sent_is_not_counted() -> None:
    ledger = Ledger()
    ledger.note_pacs("north", {"1.2.3": part(b"bytes")})
    ledger.note_search([found()])
    assert str(ledger.tally()) == "sent 0 delivered 0 indexed 0 lost 0"
