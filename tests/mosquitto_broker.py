"""A real mosquitto for tests: mutual TLS, one topic tree for each node, as a mesh's broker is set up."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path

from provisioning.local.program import find_program
from tests.certificates import MeshAuthority

CONFIGURATION = """
listener {port} 127.0.0.1
cafile {folder}/ca.pem
certfile {folder}/broker.pem
keyfile {folder}/broker-key.pem
require_certificate true
use_identity_as_username true
allow_anonymous false
acl_file {folder}/acl
persistence false
max_queued_messages 0
user root
"""

ACCESS = Path(__file__).parents[1] / "provisioning" / "broker.acl"
"""The mesh's own rules: a node writes only its presence and reads only nudges."""


class MosquittoBroker:
    """One broker process on a free port of 127.0.0.1; `start` and `stop` may be repeated."""

    def __init__(self, folder: Path, mesh: MeshAuthority) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        server = mesh.server()
        (folder / "ca.pem").write_bytes(mesh.ca_pem)
        (folder / "broker.pem").write_bytes(server.certificate_pem)
        (folder / "broker-key.pem").write_bytes(server.key_pem)
        (folder / "acl").write_text(ACCESS.read_text())
        (folder / "acl").chmod(0o600)
        configuration = CONFIGURATION.format(port=self.port, folder=folder)
        if os.getuid() != 0:
            configuration = configuration.replace("user root\n", "")
        (folder / "mosquitto.conf").write_text(configuration)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Return when it takes connections."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [find_program("mosquitto", package="mosquitto"), "-c", str(self._folder / "mosquitto.conf"), "-v"],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                assert self._process.poll() is None, (self._folder / "log").read_text()
                assert time.monotonic() < deadline, "mosquitto does not listen"
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """Gone at once; retained messages are gone too."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(5)
            self._process = None
