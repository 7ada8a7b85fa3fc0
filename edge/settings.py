"""The settings of a node: read once, frozen, passed in. Flag beats environment beats file beats default.

An unknown key is an error wherever it stands: in the file, or in an environment variable that starts with
`SKERRY_EDGE_`.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from edge.errors import SettingsError

ENVIRONMENT_PREFIX = "SKERRY_EDGE_"
_ENDPOINT = re.compile(r"^(?P<host>[^:\s]+|\[[0-9a-fA-F:]+\]):(?P<port>\d{1,5})$")


def _endpoint(value: str) -> str:
    match = _ENDPOINT.match(value)
    if match is None or int(match["port"]) > 65535:
        raise ValueError("expected HOST:PORT, for example 0.0.0.0:11112")
    return value


def _ae_title(value: str) -> str:
    if not 1 <= len(value.strip()) <= 16 or "\\" in value or not value.isascii() or not value.isprintable():
        raise ValueError("an AE title has 1 to 16 printable ASCII characters and no backslash (PS3.5 section 6.2)")
    return value.strip()


Endpoint = Annotated[str, AfterValidator(_endpoint)]
AETitle = Annotated[str, AfterValidator(_ae_title)]


class EdgeSettings(BaseModel):
    """Everything that can be set on a node."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Path
    listen: Endpoint = "0.0.0.0:11112"
    """Where modalities connect; 11112 is the port registered for DICOM beside 104, and needs no privilege."""
    http: Endpoint = "127.0.0.1:8042"
    """Health and metrics, for this machine unless somebody decides otherwise."""
    ae_title: AETitle = "SKERRY"
    max_associations: int = Field(default=200, ge=1, le=10_000)
    """A modality farm opens tens; the limit keeps a broken peer from taking every thread."""
    idle_timeout_seconds: int = Field(default=600, ge=1)
    """How long an open association may stay silent: examinations pause between series."""
    pdu_timeout_seconds: float = Field(default=30, gt=0)
    """How long a peer may stay silent in the middle of a PDU, and how long it has to open its association."""
    min_free_bytes: int = Field(default=512 << 20, ge=0)
    """Under this, new images are refused with 0xA700, so that the modality keeps them and the disk never fills."""
    lane_batch: int = Field(default=100, ge=1, le=1_000)
    """Deliveries that one association carries before the lane looks at the queue again."""
    retry_cap_seconds: float = Field(default=60.0, gt=0)
    """The longest pause between two tries; there is no limit on their number."""


def load_settings(*, config: Path | None, environment: Mapping[str, str], flags: Mapping[str, object]) -> EdgeSettings:
    """The settings from all their sources.

    Raises:
        SettingsError: an unknown key, a value of the wrong kind, or a file that cannot be read; says which.
    """
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
        return EdgeSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SettingsError(
            f"{where}: {first['msg'].removeprefix('Value error, ')}", hint="Mend it and start again."
        ) from error


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
    known = EdgeSettings.model_fields
    if key in known:
        return
    close = difflib.get_close_matches(key, known, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else f"Known keys: {', '.join(known)}."
    raise SettingsError(f"{where}: unknown key {key!r}", hint=hint)
