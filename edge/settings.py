"""The settings of a node: read once, frozen, passed in. Flag beats environment beats file beats default.

An unknown key is an error wherever it stands: in the file, or in an environment variable that starts with
`SKERRY_EDGE_`. The class is a plain dataclass: the processes of a node get settings that were validated already, and
pydantic, which validates them, costs each process that loads it 20 MB.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le

from edge.errors import SettingsError

ENVIRONMENT_PREFIX = "SKERRY_EDGE_"
_ENDPOINT = re.compile(r"^(?P<host>[^:\s]+|\[[0-9a-fA-F:]+\]):(?P<port>\d{1,5})$")


class Checked:
    """Marks a type whose values must pass a check of ours: pydantic's AfterValidator, without loading pydantic."""

    def __init__(self, check: Callable[[str], str]) -> None:
        self._check = check

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        """What pydantic asks when it builds the validator."""
        from pydantic_core.core_schema import no_info_after_validator_function

        return no_info_after_validator_function(self._check, handler(source))


class Listed:
    """Marks a type whose values may also come as one text with commas: an environment variable has no lists."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        """What pydantic asks when it builds the validator."""
        from pydantic_core.core_schema import no_info_before_validator_function

        return no_info_before_validator_function(_split, handler(source))


def _split(value: object) -> object:
    return tuple(filter(None, (one.strip() for one in value.split(",")))) if isinstance(value, str) else value


def _endpoint(value: str) -> str:
    match = _ENDPOINT.match(value)
    if match is None or int(match["port"]) > 65535:
        raise ValueError("expected HOST:PORT, for example 0.0.0.0:11112")
    return value


def _host(value: str) -> str:
    if value and _ENDPOINT.match(f"{value}:1") is None:
        raise ValueError("expected a host without a port, for example 10.0.0.5 or [fd00::5]")
    return value


def _ae_title(value: str) -> str:
    if not 1 <= len(value.strip()) <= 16 or "\\" in value or not value.isascii() or not value.isprintable():
        raise ValueError("an AE title has 1 to 16 printable ASCII characters and no backslash (PS3.5 section 6.2)")
    return value.strip()


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value, strict=False))
    except ValueError as error:
        raise ValueError(f"{value!r} is no network; expected for example 10.1.0.0/16 or 192.0.2.7") from error


def _modality(value: str) -> str:
    ae_title, _, endpoint = value.rpartition("@")
    if not ae_title or not _ENDPOINT.match(endpoint):
        raise ValueError(f"{value!r} is no modality; expected AETITLE@HOST:PORT, for example CT01@10.1.0.7:11112")
    return f"{_ae_title(ae_title)}@{_endpoint(endpoint)}"


Endpoint = Annotated[str, Checked(_endpoint)]
OptionalEndpoint = Annotated[str, Checked(lambda value: _endpoint(value) if value else "")]
Host = Annotated[str, Checked(_host)]
AETitle = Annotated[str, Checked(_ae_title)]
Networks = Annotated[tuple[Annotated[str, Checked(_network)], ...], Listed()]
AETitles = Annotated[tuple[AETitle, ...], Listed()]
Modalities = Annotated[tuple[Annotated[str, Checked(_modality)], ...], Listed()]


@dataclass(frozen=True, kw_only=True)
class EdgeSettings:
    """Everything that can be set on a node."""

    data_dir: Path
    listen: Endpoint = "0.0.0.0:11112"
    """Where modalities connect; 11112 is the port registered for DICOM beside 104, and needs no privilege."""
    http: Endpoint = "127.0.0.1:8042"
    """Health and metrics, for this machine unless somebody decides otherwise."""
    ae_title: AETitle = "SKERRY"
    max_associations: Annotated[int, Ge(1), Le(10_000)] = 200
    """A modality farm opens tens; the limit keeps a broken peer from taking every thread."""
    max_associations_per_peer: Annotated[int, Ge(0)] = 100
    """Of one address and calling AE title; 0 is without limit. One that leaks associations shuts out only itself."""
    require_called_ae_title: bool = False
    """Whether a caller must name this node's AE title."""
    allow_calling: AETitles = ()
    """AE titles that may call; none named: everybody."""
    allow_networks: Networks = ()
    """Networks that may call; none named: everybody."""
    proxy_from: Networks = ()
    """Balancers whose connections begin with a PROXY header; from anybody else it would be a forged address."""
    agent: OptionalEndpoint = ""
    """Where HAProxy asks whether this node wants associations (agent-check); empty: nowhere. Only the balancers of
    `proxy_from` and this machine are answered."""
    agent_most_waiting: Annotated[int, Ge(0)] = 0
    """Deliveries that are not done, above which this node asks for no associations; 0 is without limit. Where every
    node has one, a dead archive turns modalities away."""
    advertise: Host = ""
    """The address at which balancers of the site reach this node; empty: the one it listens on, or reaches the centre
    from."""
    storage_commitment: bool = True
    """Whether modalities may ask us to keep images: what lies in the spool is committed, and they may delete theirs."""
    commitment_reports: Modalities = ()
    """Where modalities that ask for storage commitment take reports, when they do not wait for them."""
    artim_timeout_seconds: Annotated[float, Gt(0)] = 30
    """How long a connection may take to become an association (PS3.8 section 9.1.5)."""
    dimse_timeout_seconds: Annotated[float, Gt(0)] = 60
    """How long a peer may pause between two PDUs of one object."""
    max_pdu_bytes: Annotated[int, Ge(0)] = 256 << 10
    """The longest PDU that peers are told to send; 0 is without limit."""
    idle_timeout_seconds: Annotated[int, Ge(1)] = 600
    """How long an open association may stay silent: examinations pause between series."""
    pdu_timeout_seconds: Annotated[float, Gt(0)] = 30
    """How long a peer may stay silent in the middle of a PDU, and how long it has to open its association."""
    ready_spool_bytes: Annotated[int, Ge(0)] = 4 << 30
    """How much of the disk may wait in empty, pre-written spool files, a twentieth of what is free at most; with 0 none
    is used again."""
    min_free_bytes: Annotated[int, Ge(0)] = 512 << 20
    """Under this, new images are refused with 0xA700, so that the modality keeps them and the disk never fills."""
    lane_batch: Annotated[int, Ge(1), Le(1_000)] = 100
    """Deliveries that one association carries before the lane looks at the queue again."""
    retry_cap_seconds: Annotated[float, Gt(0)] = 60.0
    """The longest pause between two tries; there is no limit on their number."""
    verify_after_seconds: Annotated[float, Gt(0), Le(3_600)] = 5.0
    """How long after sending a destination with `verify` is first asked; later questions wait twice as long each."""
    verify_questions: Annotated[int, Ge(1), Le(10)] = 5
    """How often it is asked before what is not there is sent again."""
    ingest_processes: Annotated[int, Ge(0), Le(32)] = 0
    """Processes that receive; 0 takes one for each core, and two at most."""
    forward_processes: Annotated[int, Ge(1), Le(64)] = 1
    """Processes that deliver; each has its share of the destinations."""
    stall_seconds: Annotated[float, Ge(1)] = 30.0
    """A process of the node that shows no progress for so long is killed and started again."""
    probation_seconds: Annotated[float, Ge(0)] = 60.0
    """How long a policy of the control plane is watched before it stays; one that does harm meanwhile is taken back. 0
    takes every policy that loads."""

    def receiving(self) -> int:
        """How many processes receive."""
        return self.ingest_processes or min(2, len(os.sched_getaffinity(0)))


def to_json(settings: EdgeSettings) -> str:
    """Settings as another process of the node can read them."""
    values = {one.name: getattr(settings, one.name) for one in fields(settings)}
    return json.dumps(values, default=str)


def from_json(text: str) -> EdgeSettings:
    """What `to_json` wrote, believed as it stands: it was validated before it was written."""
    values: dict[str, Any] = json.loads(text)
    values.update({key: tuple(value) for key, value in values.items() if isinstance(value, list)})
    values["data_dir"] = Path(values["data_dir"])
    return EdgeSettings(**values)


def load_settings(*, config: Path | None, environment: Mapping[str, str], flags: Mapping[str, object]) -> EdgeSettings:
    """The settings from all their sources.

    Raises:
        SettingsError: an unknown key, a value of the wrong kind, or a file that cannot be read; says which.
    """
    from pydantic import TypeAdapter, ValidationError

    values: dict[str, Any] = {}
    if config is not None:
        values.update(_from_file(config))
    for name, text in environment.items():
        if name.startswith(ENVIRONMENT_PREFIX):
            key = name.removeprefix(ENVIRONMENT_PREFIX).lower()
            _refuse_unknown(key, f"environment variable {name}")
            values[key] = text
    values.update({key: value for key, value in flags.items() if value is not None})
    try:
        return TypeAdapter(EdgeSettings).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SettingsError(
            f"{where}: {first['msg'].removeprefix('Value error, ')}", hint="Mend it and start again."
        ) from error


def defaults() -> dict[str, Any]:
    """Every setting with its default; `dataclasses.MISSING` where one must be given."""
    return {one.name: one.default for one in fields(EdgeSettings)}


def cannot_listen(endpoint: str, error: OSError) -> SettingsError:
    """The error for an address that cannot be listened on."""
    return SettingsError(
        f"cannot listen on {endpoint}: {error.strerror}",
        hint="Another program may use that port, or the address is not this machine's. Choose another one.",
    )


def _from_file(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}", hint="Give a readable file to --config.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not TOML: {error}", hint="Mend the file.") from error
    for key in values:
        _refuse_unknown(key, str(path))
    return values


def _refuse_unknown(key: str, where: str) -> None:
    known = defaults()
    if key in known:
        return
    close = difflib.get_close_matches(key, known, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else f"Known keys: {', '.join(known)}."
    raise SettingsError(f"{where}: unknown key {key!r}", hint=hint)
