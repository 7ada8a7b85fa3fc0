"""Mutated bytes into every parser of the door: each ends, and soon, as one of the errors that it promises."""

from __future__ import annotations

import contextlib
import gc
import io
import logging
import os
import random
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from edge.ingest import announced
from edge.ingest.proxy import NotProxied, read_header
from edge.ingest.requests import fault_of, read_store_request
from edge.tags import read_tags
from edge.upper_layer import command, pdu
from edge.upper_layer.connection import Connection, Patience
from edge.upper_layer.ends import AssociationEnded
from edge.upper_layer.items import without_unknown_items
from edge.upper_layer.messages import Messages
from edge.upper_layer.negotiation import Negotiator
from edge.upper_layer.windows import Windows
from tests import fuzz_mutations as mutations
from tests import mpps
from tests.conftest import Figures
from tests.dicom_corpus import corpus_files, split_part10

SLOWEST_SECONDS = 3.0
MOST_GROWTH = 64 << 20
HEADER_BYTES = 20_000
_windows = Windows()
_patience = Patience(idle=1.0, dimse=1.0, pdu=1.0)
_negotiator = Negotiator("SKERRY", 1 << 18)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The library's own words, which the node does not hear either, are not kept for a report."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def _request(raw: bytes) -> None:
    pdu.read_request(without_unknown_items(raw)[6:])


def _negotiate(raw: bytes) -> None:
    _negotiator.negotiate(raw)


def _command_set(raw: bytes) -> None:
    elements = command.read(raw)
    request = read_store_request(elements)
    if request is not None:
        fault_of(request)


def _answer(raw: bytes) -> None:
    command.read_answer(raw)


def _conversation(raw: bytes) -> None:
    """As `Serving` reads an association, without custody."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(raw[:150_000])
        theirs.shutdown(socket.SHUT_WR)
        connection = Connection(ours, _patience, _windows)
        try:
            messages = Messages(connection, {1, 3}, 1 << 18)
            while True:
                message = messages.next_command()
                elements = command.read(message.raw)
                if command.number(elements, command.DATA_SET_TYPE) != command.NO_DATA_SET:
                    messages.data_set(message.context_id, lambda _pieces: None)
        finally:
            connection.close()


def _proxy(raw: bytes) -> None:
    read_header(raw)


def _announcement(raw: bytes) -> None:
    """Both kinds of message that name instances, in both syntaxes."""
    for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        data_set = announced.read(raw, syntax)
        for look in (lambda one: announced.step_news("1.2.3", one, begins=False), announced.commitment_asked):
            with contextlib.suppress(announced.Unfit):
                look(data_set)


def _announcements() -> list[bytes]:
    uids = [f"1.2.{n}" for n in range(40)]
    made = [mpps.begun(), mpps.ended({"1.2.9.1": uids, "1.2.9.2": uids[:3]}), mpps.asked("1.9", *uids)]
    return [mpps.encoded(one) for one in made]


PARSERS: dict[str, tuple[Callable[[bytes], None], Callable[[], list[bytes]], int]] = {
    "association request": (_request, mutations.association_requests, 20),
    "negotiation": (_negotiate, mutations.association_requests, 10),
    "command set": (_command_set, mutations.command_sets, 20),
    "answer of a destination": (_answer, mutations.command_sets, 10),
    "conversation": (_conversation, mutations.conversations, 20),
    "PROXY header": (_proxy, mutations.proxy_headers, 5),
    "announcement": (_announcement, _announcements, 3),
}
"""Parser, valid inputs, and its share of all cases in hundredths. The rest is the data sets'."""
_PROMISED = (announced.Unfit, pdu.NotDicom, command.BadCommand, NotProxied, AssociationEnded)


def _run(parse: Callable[[bytes], None], make: Callable[[random.Random], bytes], count: int, name: str) -> float:
    """Feed this many mutated inputs; the slowest one's seconds. A failure names the seed and the input."""
    slowest, before = 0.0, psutil.Process().memory_info().rss
    for number in range(count):
        raw = make(random.Random(f"{mutations.SEED}/{name}/{number}"))
        started = time.perf_counter()
        try:
            parse(raw)
        except _PROMISED:
            pass
        except Exception as error:
            pytest.fail(f"case {number} of seed {mutations.SEED}: {error!r} for {raw[:400].hex()}")
        slowest = max(slowest, time.perf_counter() - started)
    assert slowest < SLOWEST_SECONDS
    gc.collect()
    assert psutil.Process().memory_info().rss - before < MOST_GROWTH
    assert len(os.listdir("/proc/self/fd")) < 200  # noqa: PTH208 - a count, not paths
    return slowest


@pytest.mark.timeout(0)
@pytest.mark.filterwarnings("ignore")  # as `edge.logs` has it: the library's warnings hold values of the peer
@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_takes_whatever_comes(name: str, figures: Figures) -> None:
    parse, samples, share = PARSERS[name]
    valid = samples()
    for one in valid[:1]:
        parse_or_end(parse, one)
    count = max(mutations.CASES * share // 100, 1)
    slowest = _run(parse, lambda chance: mutations.mutated(chance.choice(valid), chance, valid), count, name)
    figures(f"fuzz: {name}: {count} cases, the slowest {slowest * 1000:.1f} ms")


def parse_or_end(parse: Callable[[bytes], None], raw: bytes) -> None:
    """A valid input ends in nothing worse than the end of its association."""
    try:
        parse(raw)
    except (AssociationEnded, command.BadCommand):
        return


@pytest.mark.timeout(0)
def test_the_tag_reader_takes_every_broken_file_and_every_mutation(figures: Figures) -> None:
    heads: list[tuple[str, bytes]] = []
    for part in ("fuzz", "dev"):
        for path in corpus_files(part):
            syntax, content = split_part10(_head(path))
            heads.append((syntax, content))
    syntaxes = sorted({syntax for syntax, _ in heads})
    contents = [content for _, content in heads]
    count = max(mutations.CASES * 12 // 100, 1)

    def parse(raw: bytes) -> None:
        syntax, _, content = raw.partition(b"\n")
        read_tags(io.BytesIO(content), transfer_syntax_uid=syntax.decode("latin-1"))

    def make(chance: random.Random) -> bytes:
        syntax, content = chance.choice(heads)
        if chance.random() < 0.1:
            syntax = chance.choice(syntaxes)
        return _joined(syntax, mutations.mutated(content, chance, contents[:50]))

    whole = iter(heads)
    _run(parse, lambda _: _joined(*next(whole)), len(heads), "whole files")
    slowest = _run(parse, make, count, "tags")
    figures(f"fuzz: tags: {len(heads)} corpus files and {count} mutations, the slowest {slowest * 1000:.1f} ms")


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(HEADER_BYTES)


def _joined(syntax: str, content: bytes) -> bytes:
    return syntax.encode("latin-1") + b"\n" + content
