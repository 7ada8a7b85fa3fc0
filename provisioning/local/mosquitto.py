"""Mosquitto as the mesh's broker: mutual TLS only, and each node may write nothing but its own presence."""

from __future__ import annotations

import getpass
import shutil
from pathlib import Path

from provisioning.local.ports import LOOPBACK, free_port
from provisioning.local.program import Program, find_program

PACKAGE = "mosquitto"

ACL = Path(__file__).parents[1] / "broker.acl"

CONFIG = """\
user {user}
listener {port} {host}
cafile {certificates}/ca.pem
certfile {certificates}/broker.pem
keyfile {certificates}/broker-key.pem
require_certificate true
use_identity_as_username true
allow_anonymous false
acl_file {acl}
# With the default of 1000 a broker cuts short what a new subscriber gets of a large mesh's retained presence.
max_queued_messages 0
max_packet_size 65536
persistence true
persistence_location {folder}/data/
log_type error
log_type warning
log_type notice
log_dest stderr
connection_messages true
"""


class Mosquitto(Program):
    """A broker that trusts the mesh's certificates alone."""

    def __init__(
        self,
        folder: Path,
        *,
        certificates: Path,
        port: int | None = None,
        name: str = "mosquitto",
        log_dir: Path | None = None,
    ) -> None:
        """`certificates` holds ca.pem, broker.pem and broker-key.pem."""
        self.port = port or free_port()
        (folder / "data").mkdir(parents=True, exist_ok=True)
        # A copy, because the broker warns of an access list that others can read.
        acl = folder / "broker.acl"
        shutil.copyfile(ACL, acl)
        acl.chmod(0o600)
        config = folder / "mosquitto.conf"
        config.write_text(
            CONFIG.format(
                # Started by root it would drop to a user who cannot read the key.
                user=getpass.getuser(),
                port=self.port,
                host=LOOPBACK,
                certificates=certificates.absolute(),
                folder=folder.absolute(),
                acl=acl.absolute(),
            )
        )
        argv = [find_program("mosquitto", package=PACKAGE), "-c", str(config)]
        super().__init__(name=name, argv=argv, log_dir=log_dir or folder.parent / "log")

    def start(self) -> None:
        """Start and return once it accepts connections."""
        super().start()
        self.wait_port(self.port)
