"""The contestants that receive: ours, DCMTK, Orthanc and pynetdicom, each on a fresh folder and a free port."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil

from edge.settings import ENVIRONMENT_PREFIX, EdgeSettings
from provisioning.local.edge import Edge
from provisioning.local.ports import LOOPBACK, free_port, free_ports
from provisioning.local.program import Program, find_program
from tests.bench.senders import TransferFailed
from tests.bench.sink import AE_TITLE, Sink
from tests.bench.waiting import until_prepared

# Tags are read and the policy is asked for each instance, as at a site; none of them matches.
_POLICY = """\
skerry: 1
destinations:
  - {{name: nowhere, kind: folder, path: {folder}}}
routes:
  - {{name: other-modality, when: 'Modality == "MR"', to: [nowhere]}}
"""
# The documented way to route with Orthanc; without deleting what was sent, which would only cost it time.
_LUA = """\
function OnStoredInstance(instanceId, tags, metadata, origin)
  SendToModality(instanceId, 'sink')
end
"""
_WISHES = {"max_associations": "5000", "retry_cap_seconds": "1"}
_SLOT_BYTES = 640 << 20
"""Slots for what one sender sends: five parts of eight are made for CT slices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """How this timing is played: the same for both sides."""

    folder: Path
    nagle: bool = False
    senders: int = 1
    forward_to: Sink | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """A contestant that takes associations."""

    port: int
    pid: int
    held: Callable[[], int]
    """Instances that it says it has."""
    waiting: Callable[[], int] = lambda: 0
    """Instances that it has still to forward."""
    get_ready: Callable[[], None] = lambda: None
    """Returns when what it prepares in the background after its first instances is prepared."""
    more_ports: tuple[int, ...] = ()
    """Where senders go, too, in turns: of nodes with nothing before them."""

    @property
    def doors(self) -> tuple[int, ...]:
        """Every port."""
        return (self.port, *self.more_ports)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """Somebody who can take part."""

    name: str
    durable: str
    """What would survive a power cut when it answers success."""
    start: Callable[[Match], AbstractContextManager[Receiver]]
    program: str = ""
    package: str = ""
    """What has to be installed for it, and the package that brings it."""


@contextmanager
def our_node(match: Match, *, behind: bool = False) -> Iterator[Receiver]:
    """`skerry-edge run` in a fresh data directory. It forwards, or asks a policy of which no rule matches.

    `behind`: HAProxy stands before it and tells it the sender's address.
    """
    edge = Edge(
        match.folder / "edge",
        to=[match.forward_to.address] if match.forward_to else [],
        policy=None if match.forward_to else _policy(match.folder),
        log_dir=match.folder / "log",
        env=node_settings(ready_bytes=match.senders * _SLOT_BYTES)
        | ({f"{ENVIRONMENT_PREFIX}PROXY_FROM": LOOPBACK} if behind else {}),
    )
    with _ended(edge):
        yield as_receiver(edge)


def as_receiver(edge: Edge) -> Receiver:
    """A node that runs."""
    return Receiver(
        port=edge.dicom_port,
        pid=edge.pid,
        held=lambda: int(edge.facts()["instances_held"]),
        waiting=lambda: int(edge.facts()["deliveries_waiting"]),
        get_ready=lambda: until_prepared(edge.http_url),
    )


def _policy(folder: Path) -> Path:
    nowhere, policy = folder / "nowhere", folder / "policy.yaml"
    nowhere.mkdir(parents=True)
    policy.write_text(_POLICY.format(folder=nowhere), encoding="utf-8")
    return policy


def node_settings(*, ready_bytes: int = _SLOT_BYTES) -> dict[str, str]:
    """Limits that would only be in the way, as environment variables; everything else stays at its default."""
    known = {field.name for field in dataclasses.fields(EdgeSettings)}
    wishes = {
        **_WISHES,
        "ready_spool_bytes": str(ready_bytes),
        **{name: _WISHES["max_associations"] for name in known if "max_associations" in name},
    }
    return {f"{ENVIRONMENT_PREFIX}{name.upper()}": value for name, value in wishes.items() if name in known}


@contextmanager
def _storescp(match: Match) -> Iterator[Receiver]:
    received, port = _room(match), free_port()
    argv = [find_program("storescp", package="dcmtk"), "-q", "-od", str(received)]
    argv += ["--fork"] if match.senders > 1 else []
    env = {"TCP_NODELAY": "0" if match.nagle else "1"}
    with _ended(Program(name="storescp", argv=[*argv, str(port)], log_dir=match.folder / "log", env=env)) as program:
        program.wait_port(port)
        yield Receiver(port=port, pid=program.pid, held=lambda: _files(received))


@contextmanager
def _pynetdicom(match: Match) -> Iterator[Receiver]:
    received, port = _room(match), free_port()
    argv = [sys.executable, "-m", "pynetdicom", "storescp", "-q", "-od", str(received), str(port)]
    with _ended(Program(name="pynetdicom", argv=argv, log_dir=match.folder / "log")) as program:
        program.wait_port(port)
        yield Receiver(port=port, pid=program.pid, held=lambda: _files(received))


@contextmanager
def _orthanc(match: Match) -> Iterator[Receiver]:
    port, http = free_ports(2)
    configuration = match.folder / "orthanc.json"
    configuration.write_text(json.dumps(_orthanc_settings(match, port, http)), encoding="utf-8")
    argv = [find_program("Orthanc", package="orthanc"), str(configuration)]
    env = {"TCP_NODELAY": "0" if match.nagle else "1"}
    with _ended(Program(name="orthanc", argv=argv, log_dir=match.folder / "log", env=env)) as program:
        program.wait_port(port)
        program.wait_port(http)
        url = f"http://{LOOPBACK}:{http}/statistics"
        yield Receiver(
            port=port,
            pid=program.pid,
            held=lambda: int(httpx2.get(url, timeout=30, trust_env=False).raise_for_status().json()["CountInstances"]),
        )


def _orthanc_settings(match: Match, port: int, http: int) -> dict[str, object]:
    """Its defaults, but for addresses, log-in on loopback, and plug-ins, which it does not need here."""
    settings: dict[str, object] = {
        "Name": "bench",
        "StorageDirectory": str(_room(match)),
        "DicomPort": port,
        "HttpPort": http,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [],
        "KeepAlive": True,
        "TcpNoDelay": True,
    }
    if match.forward_to is not None:
        script = match.folder / "forward.lua"
        script.write_text(_LUA, encoding="utf-8")
        settings["LuaScripts"] = [str(script)]
        settings["DicomModalities"] = {"sink": [AE_TITLE, LOOPBACK, match.forward_to.port]}
        settings["DicomAssociationCloseDelay"] = 5  # one association carries many instances
    return settings


@contextmanager
def _ended(program: Program) -> Iterator[Program]:
    """The program and its children, killed at the end: nobody needs what they would still tidy up."""
    try:
        program.start()
        yield program
    except TransferFailed as error:
        raise TransferFailed(f"{error}\n{program.log_end(1)}") from None
    finally:
        children = psutil.Process(program.pid).children(recursive=True) if program.running else []
        program.kill()
        for child in children:
            with suppress(psutil.NoSuchProcess):  # knows a reused number by its start time
                child.kill()


def _room(match: Match) -> Path:
    folder = match.folder / "received"
    folder.mkdir()
    return folder


def _files(folder: Path) -> int:
    return sum(1 for _ in folder.iterdir())


OURS = Contestant(
    name="skerry",
    durable="the file is synced before success; its SQLite row follows in a batch (WAL, synchronous=FULL), "
    "and a start adopts every sealed file without a row",
    start=our_node,
)
DCMTK = Contestant(
    name="dcmtk",
    durable="nothing: no sync, no index",
    program="storescp",
    package="dcmtk",
    start=_storescp,
)
ORTHANC = Contestant(
    name="orthanc",
    durable="the file is synced (SyncStorageArea), and its SQLite index is written before success",
    program="Orthanc",
    package="orthanc",
    start=_orthanc,
)
PYNETDICOM = Contestant(
    name="pynetdicom",
    durable="nothing: no sync, no index",
    start=_pynetdicom,
)
CONTESTANTS = (OURS, DCMTK, ORTHANC, PYNETDICOM)
