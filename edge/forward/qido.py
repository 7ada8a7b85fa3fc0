"""Asking a DICOMweb service which images of a series it holds: QIDO-RS (PS3.18 section 10.6), page by page."""

from __future__ import annotations

import json

from edge.forward.base import DestinationDown
from edge.forward.dicomweb import DicomWebForwarder

PAGE = 200
_UID = "00080018"
_MOST_PAGES = 5_000


class QidoAsker:
    """Asks one service, over a connection of its own."""

    how = "by QIDO-RS"

    def __init__(self, service: DicomWebForwarder) -> None:
        """`service` sends nothing else."""
        self._service = service

    def held(self, study: str, series: str, wanted: frozenset[str]) -> set[str]:
        """Those of the wanted images of a series that it says it holds.

        Raises:
            DestinationDown: it did not say.
        """
        held: set[str] = set()
        last: list[str] = []
        offset = 0
        for _number in range(_MOST_PAGES):
            page = self._page(study, series, offset)
            if not page or page == last:
                break  # that was all, or it pays no attention to `offset`
            held |= wanted.intersection(page)
            if held == wanted:
                break
            last, offset = page, offset + len(page)
        return held

    def rest(self) -> None:
        """Nothing is to be asked now."""
        self._service.close()

    def interrupt(self) -> None:
        """Called from another thread: a question that hangs ends."""
        self._service.interrupt()

    def _page(self, study: str, series: str, offset: int) -> list[str]:
        asked = f"/studies/{study}/series/{series}/instances?includefield={_UID}&limit={PAGE}&offset={offset}"
        answer = self._service.get(asked)
        if answer.status in (204, 404):
            return []  # some say so of a study or series that they do not know
        if answer.status != 200:
            words = f"it answers QIDO-RS with {answer.status}"
            raise DestinationDown(words, hint="Check what the credentials may do there, and look at its log.")
        try:
            found = json.loads(answer.body)
            return [str(one[_UID]["Value"][0]) for one in found]
        except (ValueError, RecursionError, KeyError, IndexError, TypeError):
            raise DestinationDown(
                "it answers QIDO-RS with what is no DICOM JSON", hint="Check `url`: it is the service root."
            ) from None
