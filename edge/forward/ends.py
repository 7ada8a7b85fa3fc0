"""How an association that we opened can end under our hands; each end has words for a person."""

from __future__ import annotations

from edge.forward.base import Outcome


class Ended(Exception):
    """This association is over. `str()` says of the peer what happened: "it ..."."""

    harmless = False
    """Whether the peer did what it may do at any time: then another association is opened at once."""


class PeerReleased(Ended):
    """The peer asked for release (PS3.8 section 7.2), which a requestor's peer may do; it has its answer."""

    harmless = True

    def __init__(self) -> None:
        super().__init__("it released the association")


class PeerAborted(Ended):
    """The peer sent an A-ABORT (PS3.8 section 7.3)."""

    def __init__(self) -> None:
        super().__init__("it aborted the association")


class Lost(Ended):
    """The connection was closed or reset without a word."""

    def __init__(self) -> None:
        super().__init__("the connection to it was lost")


class Still(Ended):
    """No byte moved for too long."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"it took and said nothing for {seconds:g} s")


class Garbage(Ended):
    """What the peer answers is no DICOM, or none that may stand there."""

    def __init__(self) -> None:
        super().__init__("its answer is not what DICOM says")


class Rotten(Ended):
    """Our own file turned out to be bad after its first bytes were sent: the peer never had all of it."""

    harmless = True

    def __init__(self, outcome: Outcome) -> None:
        super().__init__("we ended the association on a damaged file")
        self.outcome = outcome
