"""A destination that is called under its senders' AE titles: who calls with what, and whom a refusal holds back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from pynetdicom import AE, evt
from pynetdicom.events import Event, EventHandlerType

from edge.buffer.store import Buffer
from edge.forward.base import Accepted, DestinationDown, Forwarder, TryLater
from edge.forward.budget import Meters
from edge.forward.registry import forwarder_for
from edge.model import ClaimedDelivery, DicomDestination
from edge.policy.document import load_policy
from provisioning.local.ports import free_port
from tests.edge_samples import data_set
from tests.sending import deliver, deliveries


class Pacs:
    """What each calling AE title sent."""

    def __init__(self) -> None:
        self.port, self.got, self.called = 0, dict[str, set[str]](), list[str]()


@contextmanager
def _pacs(*, knows: Sequence[str] = (), at_most: int = 10) -> Iterator[Pacs]:
    pacs = Pacs()

    def store(event: Event) -> int:
        calling = event.assoc.requestor.ae_title
        pacs.got.setdefault(calling, set()).add(str(event.dataset.SOPInstanceUID))
        return 0

    ae = AE("PACS")
    ae.maximum_associations = at_most
    ae.require_calling_aet = list(knows)
    ae.add_supported_context("1.2.840.10008.5.1.4.1.1.2")
    handlers: list[EventHandlerType] = [
        (evt.EVT_C_STORE, store),
        (evt.EVT_ACCEPTED, lambda event: pacs.called.append(event.assoc.requestor.ae_title)),
    ]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server is not None
    pacs.port = server.server_address[1]
    try:
        yield pacs
    finally:
        server.shutdown()


def _forwarder(buffer: Buffer, port: int) -> Forwarder:
    peer = DicomDestination(name="d", host="127.0.0.1", port=port, ae_title="PACS", calling_ae_title="source")
    return forwarder_for(peer, buffer.spool, buffer.spool.data_dir, Meters())


def _from(buffer: Buffer, senders: Sequence[str]) -> list[ClaimedDelivery]:
    """One instance of each, in this order; 1.2.<place> is its UID."""
    made = deliveries(buffer, {f"1.2.{place}": data_set(f"1.2.{place}") for place in range(len(senders))})
    return [
        replace(one, sealed=replace(one.sealed, facts=replace(one.sealed.facts, calling_ae_title=sender)))
        for one, sender in zip(made, senders, strict=True)
    ]


def test_each_instance_goes_under_the_name_of_its_sender_and_names_in_turns_cost_one_association_each(
    buffer: Buffer,
) -> None:
    with _pacs(at_most=1) as pacs:
        forwarder = _forwarder(buffer, pacs.port)
        sent = deliver(forwarder, _from(buffer, ["CT1", "MR1", "CT1", "MR1", "CT1"]))
        forwarder.close()
    assert sent.down is None
    assert set(sent.kinds().values()) == {Accepted}
    assert pacs.got == {"CT1": {"1.2.0", "1.2.2", "1.2.4"}, "MR1": {"1.2.1", "1.2.3"}}
    assert pacs.called == ["CT1", "MR1"]


def test_a_name_that_the_peer_does_not_know_holds_back_only_what_came_under_it(buffer: Buffer) -> None:
    with _pacs(knows=["CT1"]) as pacs:
        forwarder = _forwarder(buffer, pacs.port)
        sent = deliver(forwarder, _from(buffer, ["MR9", "CT1", "MR9"]))
        forwarder.close()
    assert sent.down is None
    assert sent.kinds() == {"1.2.0": TryLater, "1.2.1": Accepted, "1.2.2": TryLater}
    outcome = sent.outcomes["1.2.0"]
    assert isinstance(outcome, TryLater)
    assert outcome.reason == (
        "called as MR9, the sender's AE title: it refuses the association: it does not know our calling AE title. "
        "Ask its administrator to let MR9 call PACS."
    )


def test_a_peer_that_is_away_settles_nothing(buffer: Buffer) -> None:
    sent = deliver(_forwarder(buffer, free_port()), _from(buffer, ["CT1", "MR1"]))
    assert isinstance(sent.down, DestinationDown)
    assert not sent.outcomes


def test_what_came_under_no_usable_name_goes_under_our_own(buffer: Buffer) -> None:
    with _pacs() as pacs:
        forwarder = _forwarder(buffer, pacs.port)
        deliver(forwarder, _from(buffer, ["", "A\\B", " CT1 "]))
        forwarder.close()
    assert pacs.got == {"SKERRY": {"1.2.0", "1.2.1"}, "CT1": {"1.2.2"}}


def test_who_was_interrupted_calls_nobody_any_more(buffer: Buffer) -> None:
    with _pacs() as pacs:
        forwarder = _forwarder(buffer, pacs.port)
        forwarder.interrupt()
        sent = deliver(forwarder, _from(buffer, ["CT1"]))
    assert sent.down is not None
    assert not pacs.got


def test_a_policy_says_so_with_the_word_source() -> None:
    text = """\
skerry: 1
destinations:
  - {name: pacs, kind: dicom, ae_title: PACS, host: a, port: 104, calling_ae_title: source}
routes:
  - {name: all, to: [pacs]}
"""
    (destination,) = load_policy(text).destinations
    assert isinstance(destination, DicomDestination)
    assert destination.calling_ae_title == "source"
