"""The settings of the control plane: read once, frozen. A flag beats the environment, the environment beats the file.

Unknown keys in the file and unknown `SKERRY_CONTROL_…` variables are errors: a misspelt one would be silently ignored.
"""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from control.errors import SettingsError

HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252})|[0-9A-Fa-f:.]{2,45}", re.ASCII)
ENVIRONMENT = "SKERRY_CONTROL_"
DAYS = re.compile(r"[0-9]{1,5}d", re.ASCII)
YOUNGEST_FORGOTTEN = timedelta(days=30)
"""Nodes may tell of an image again within a week, and people look for what came this month."""


class Address(BaseModel):
    """Where to listen, or whom to call."""

    model_config = ConfigDict(frozen=True)

    host: str
    port: int = Field(ge=0, le=65535)

    def __str__(self) -> str:
        """HOST:PORT."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def is_wildcard(self) -> bool:
        """Whether it stands for all addresses of this machine."""
        try:
            return ipaddress.ip_address(self.host).is_unspecified
        except ValueError:
            return False


def read_address(text: object) -> object:
    """HOST:PORT as its two parts; anything else is left for the model to refuse."""
    if not isinstance(text, str):
        return text
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit():
        raise ValueError("write HOST:PORT, for example 127.0.0.1:8080")
    return {"host": host.removeprefix("[").removesuffix("]"), "port": int(port)}


def read_days(value: object) -> object:
    """Days, written like 730d; nothing is None. Anything that is no text is left for the model."""
    if not isinstance(value, str):
        return value
    if not value:
        return None
    if not DAYS.fullmatch(value) or timedelta(days=int(value[:-1])) < YOUNGEST_FORGOTTEN:
        raise ValueError(f"write a number of days that is at least {YOUNGEST_FORGOTTEN.days}, for example 730d")
    return timedelta(days=int(value[:-1]))


class Settings(BaseModel):
    """Everything that can be set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Path
    http: Address = Address(host="127.0.0.1", port=8080)
    """Plain HTTP for people on this machine or for a proxy."""
    https: Address = Address(host="127.0.0.1", port=8443)
    """The same, with the mesh's own certificate: what boxes enrol at."""
    grpc: Address = Address(host="127.0.0.1", port=8444)
    """The door of the nodes: mutual TLS."""
    public_host: str = ""
    """The name or address under which nodes reach this machine; empty: the host of `https`."""
    database_url_file: Path | None = None
    """A file with the URL, because it holds a password; none: SQLite in the data directory."""
    mqtt: Address | None = None
    """The broker. None: policies arrive by long poll only."""
    behind_proxy: bool = False
    """Plain HTTP may leave this machine, and X-Forwarded headers of trusted proxies on it are believed."""
    trusted_proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    """Addresses and networks of the proxies; in the environment with commas between. Only with `behind_proxy`."""
    ca_passphrase_file: Path | None = None
    forget_studies_after: timedelta | None = None
    """A number of days such as 730d; None: studies are known for ever."""

    @field_validator("http", "https", "grpc", "mqtt", mode="before")
    @classmethod
    def _split_address(cls, value: object) -> object:
        return read_address(value)

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _split_proxies(cls, value: object) -> object:
        return [one.strip() for one in value.split(",") if one.strip()] if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for one in proxies:
            try:
                ipaddress.ip_network(one)
            except ValueError:
                raise ValueError(f"{one!r} is no IP address or network, for example 10.0.0.2 or 10.0.0.0/24") from None
        return proxies

    @field_validator("forget_studies_after", mode="before")
    @classmethod
    def _are_days(cls, value: object) -> object:
        return read_days(value)

    @field_validator("public_host")
    @classmethod
    def _is_a_host(cls, host: str) -> str:
        if host and not HOST.fullmatch(host):
            raise ValueError("write a host name or an IP address, without a port")
        return host

    @model_validator(mode="after")
    def _plain_stays_home(self) -> Self:
        if not self.behind_proxy and not self.http.is_loopback:
            raise ValueError(
                f"http: plain HTTP on {self.http.host} would send passwords in the clear; use 127.0.0.1, "
                "or --behind-proxy when a proxy with TLS stands before it"
            )
        return self

    @property
    def advertised_host(self) -> str:
        """What nodes are told."""
        if self.public_host:
            return self.public_host
        return "127.0.0.1" if self.https.is_wildcard else self.https.host

    def database_url(self) -> str:
        """The database's URL.

        Raises:
            SettingsError: the file cannot be read.
        """
        if self.database_url_file is None:
            return f"sqlite:///{(self.data_dir / 'control.db').absolute()}"
        try:
            return self.database_url_file.read_text().strip()
        except OSError as error:
            raise SettingsError(f"The file of --database-url-file cannot be read: {error.strerror}.") from None


def load_settings(flags: Mapping[str, object], environment: Mapping[str, str], config_file: Path | None) -> Settings:
    """The settings from all three places.

    Raises:
        SettingsError: naming the place, the key and what was expected.
    """
    known = frozenset(Settings.model_fields)
    from_file = _read_file(config_file, known) if config_file is not None else {}
    from_environment = _read_environment(environment, known)
    given = {key: value for key, value in flags.items() if value is not None}
    try:
        return Settings.model_validate(from_file | from_environment | given)
    except ValidationError as error:
        raise SettingsError(_plain_words(error), hint="`skerry-control run --help` names every setting.") from None


def _read_file(path: Path, known: frozenset[str]) -> dict[str, object]:
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"The configuration file {path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"The configuration file {path} is not TOML: {error}.") from None
    if unknown := sorted(set(content) - known):
        raise SettingsError(
            f"The configuration file {path} has a key that is not known: {', '.join(unknown)}.",
            hint=f"Known are: {', '.join(sorted(known))}.",
        )
    return content


def _read_environment(environment: Mapping[str, str], known: frozenset[str]) -> dict[str, object]:
    values: dict[str, object] = {}
    for variable, text in environment.items():
        if not variable.startswith(ENVIRONMENT):
            continue
        key = variable.removeprefix(ENVIRONMENT).lower()
        if key not in known:
            raise SettingsError(
                f"The environment has a variable that is not known: {variable}.",
                hint=f"Known are: {', '.join(sorted(ENVIRONMENT + one.upper() for one in known))}.",
            )
        values[key] = text
    if "ca_passphrase_file" not in values and (path := environment.get("SKERRY_CA_PASSPHRASE_FILE")):
        values["ca_passphrase_file"] = path
    return values


def _plain_words(error: ValidationError) -> str:
    parts = []
    for one in error.errors():
        where = ".".join(str(place) for place in one["loc"])
        words = one["msg"].removeprefix("Value error, ")
        parts.append(f"{where}: {words}" if where else words)
    return "; ".join(parts)
