"""Debian's Orthanc with its DICOMweb plug-in, as a service that takes STOW-RS and a peer that takes C-STORE."""

from __future__ import annotations

import json
from pathlib import Path

import httpx2

from provisioning.local.dataset import split_part10
from provisioning.local.ports import LOOPBACK, free_ports
from provisioning.local.program import Program, find_program

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
USER, PASSWORD = "skerry", "let-me-in"


class Orthanc(Program):
    """A service in a fresh folder. Kept in memory is nothing: it may be stopped and started again."""

    def __init__(self, folder: Path, *, lua: str = "", **settings: object) -> None:
        """`lua` runs in it; `settings` are its own."""
        self.dicom_port, self.port = free_ports(2)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "habits.lua").write_text(lua, encoding="utf-8")
        configuration = folder / "orthanc.json"
        configuration.write_text(
            json.dumps(
                {
                    "Name": "test",
                    "StorageDirectory": str(folder / "storage"),
                    "DicomPort": self.dicom_port,
                    "HttpPort": self.port,
                    "RemoteAccessAllowed": False,
                    "AuthenticationEnabled": True,
                    "RegisteredUsers": {USER: PASSWORD},
                    "Plugins": [str(PLUGIN)],
                    "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
                    "LuaScripts": [str(folder / "habits.lua")] if lua else [],
                    **settings,
                }
            ),
            encoding="utf-8",
        )
        argv = [find_program("Orthanc", package="orthanc"), str(configuration)]
        super().__init__(name="orthanc", argv=argv, log_dir=folder / "log")

    @property
    def url(self) -> str:
        """The service root of its DICOMweb plug-in."""
        return f"http://{LOOPBACK}:{self.port}/dicom-web"

    def start(self) -> None:
        """Start, and return once it answers."""
        super().start()
        self.wait_port(self.port)

    def stop(self, *, seconds: float = 0.0) -> int | None:
        """Kill it: what it answered is in its database, and an orderly end takes it three seconds."""
        self.kill()
        return self.returncode

    def received(self) -> dict[str, bytes]:
        """The data sets that it holds, by SOP Instance UID."""
        with httpx2.Client(
            base_url=f"http://{LOOPBACK}:{self.port}", auth=(USER, PASSWORD), trust_env=False, timeout=60
        ) as client:
            files = (client.get(f"/instances/{one}/file").content for one in client.get("/instances").json())
            parts = [split_part10(content) for content in files]
        return {part.sop_instance_uid: part.data_set for part in parts}
