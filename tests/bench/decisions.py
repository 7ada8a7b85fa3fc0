"""The row of the decisions: how many one core takes with fifty routes, where tags repeat and where all differ.

Two policies: one as a hospital writes it, and one whose fifty conditions differ in the last comparison only, so that
nothing plainer than text tells them apart. Beside them plain evaluation, every route by the engine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from edge.model import AssociationFacts, Decision, TagSet, TagValue
from edge.policy import match
from edge.policy.document import Policy, load_policy
from edge.policy.match import decide
from tests.bench.arena import Arena, Turn
from tests.bench.results import Bound, Line

FACTS = AssociationFacts(calling_ae_title="CT01", called_ae_title="SKERRY", peer_address="10.0.0.7")
_MODALITIES = ("CT", "MR", "US", "CR", "DX", "MG", "NM", "PT", "XA", "RF")
_WARDS = (
    '{m} && calling_ae_title.startsWith("{w}")',
    '{m} && StationName in ["{w}-A", "{w}-B"] && present("AccessionNumber")',
    '{m} && StudyDescription.matches("(?i)stroke|trauma") && size(AccessionNumber) > 4',
    '{m} && "DERIVED" in ImageType && SeriesNumber > 100',
    '(StudyDescription.startsWith("{w} RESEARCH") || SeriesDescription.contains("{w} AI")) && {m}',
)


def _policy(conditions: Sequence[str]) -> Policy:
    routes = "\n".join(f"  - {{name: r{n}, to: [pacs], when: '{text}'}}" for n, text in enumerate(conditions))
    head = "skerry: 1\ndestinations: [{name: pacs, kind: folder, path: /x}]\nroutes:\n"
    return load_policy(head + routes + "\n")


def hospital() -> Policy:
    """Fifty routes as a hospital has them: by modality, then by ward, station, words and kind of image."""
    return _policy(
        [
            one.replace("{m}", f'Modality == "{modality}"').replace("{w}", f"{modality}{number}")
            for number, modality in enumerate(_MODALITIES)
            for one in _WARDS
        ]
    )


def alike() -> Policy:
    """Fifty routes that all look at the same two attributes."""
    return _policy([f'Modality == "CT" && StudyDescription.startsWith("S{n}")' for n in range(50)])


def series(count: int) -> list[TagSet]:
    """Instances of long series: what rules read repeats five hundred times."""
    return [_instance(n, n // 500) for n in range(count)]


def strangers(count: int) -> list[TagSet]:
    """Instances of which no two have the same values in what rules read."""
    return [_instance(n, n) for n in range(count)]


def _instance(number: int, study: int) -> TagSet:
    values: dict[str, TagValue] = {
        "Modality": _MODALITIES[study % len(_MODALITIES)] if study % 2 else "CT",
        "StudyDescription": f"S{study} {study}",
        "SeriesDescription": f"axial {study}",
        "AccessionNumber": f"A{study:08}",
        "StationName": f"ROOM-{study}",
        "ImageType": ("ORIGINAL", "PRIMARY", "AXIAL"),
        "SeriesNumber": study % 900,
        "InstanceNumber": number,
    }
    return TagSet(values=values)


def rate(policy: Policy, cases: Sequence[TagSet], how: Callable[..., Decision] = decide) -> float:
    """Decisions in a second of this process's own time: what others do on the machine does not count."""
    match.forget()
    began = time.process_time()
    for tags in cases:
        how(policy, FACTS, tags)
    return len(cases) / (time.process_time() - began)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """One row of three lines."""

    name: str = "decisions"
    needs: tuple[tuple[str, str], ...] = ()

    def measure(self, arena: Arena) -> Iterator[Line]:
        """In turns with plain evaluation."""
        many, some, few = arena.scaled(100_000), arena.scaled(10_000), arena.scaled(1_000)
        for name, policy, cases, least in (
            ("repeating", hospital(), series(many), 50_000),
            ("differing", hospital(), strangers(some), 10_000),
            ("alike", alike(), strangers(some), 2_500),
        ):
            ours, plain = arena.alternate(_turn(policy, cases, decide), _turn(policy, cases[:few], match._plainly))
            yield Line(
                name=f"decisions.{name}",
                unit="/s",
                ours=tuple(value for (value,) in ours),
                peer=tuple(value for (value,) in plain),
                peer_name="engine",
                bound=Bound(sense=">=", value=least, unit="/s"),
            )


def _turn(policy: Policy, cases: Sequence[TagSet], how: Callable[..., Decision]) -> Turn:
    return lambda: (rate(policy, cases, how),)
