"""HOST:PORT, read once and checked."""

from __future__ import annotations

from dataclasses import dataclass


class EndpointMalformed(ValueError):
    """The text is not HOST:PORT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where to connect. An IPv6 address is held without its brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def read(cls, text: str) -> Endpoint:
        """Read `HOST:PORT` or `[IPv6]:PORT`.

        Raises:
            EndpointMalformed: it is neither, or the port is outside 1-65535.
        """
        host, separator, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not separator or not host or not port.isascii() or not port.isdigit() or "/" in host:
            raise EndpointMalformed(f"{text!r} is not HOST:PORT")
        if not 1 <= int(port) <= 65535:
            raise EndpointMalformed(f"{port} is not a port (1-65535)")
        return cls(host=host, port=int(port))
