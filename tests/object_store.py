"""moto's server as an object store."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import boto3.session
from botocore.config import Config

from provisioning.local.dataset import split_part10
from provisioning.local.ports import LOOPBACK, free_port
from provisioning.local.program import Program

BUCKET, KEYS = "images", {"access_key": "key-of-a-test", "secret_key": "secret-of-a-test"}


class ObjectStore(Program):
    """A store with one bucket. What it holds is gone when it is stopped."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        argv = [sys.executable, "-m", "moto.server", "-H", LOOPBACK, "-p", str(self.port)]
        super().__init__(name="moto", argv=argv, log_dir=folder / "log")

    @property
    def url(self) -> str:
        """Its endpoint."""
        return f"http://{LOOPBACK}:{self.port}"

    def start(self) -> None:
        """Start, and make the bucket."""
        super().start()
        self.wait_port(self.port)
        self.client().create_bucket(Bucket=BUCKET)

    def client(self) -> Any:
        """A client of its own."""
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=KEYS["access_key"],
            aws_secret_access_key=KEYS["secret_key"],
            config=Config(s3={"addressing_style": "path"}),
        )

    def objects(self) -> dict[str, bytes]:
        """Everything in the bucket, by key."""
        client = self.client()
        keys = [one["Key"] for one in client.list_objects_v2(Bucket=BUCKET).get("Contents", ())]
        return {key: client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}

    def received(self) -> dict[str, bytes]:
        """The data sets that it holds, by SOP Instance UID."""
        parts = [split_part10(content) for content in self.objects().values()]
        return {part.sop_instance_uid: part.data_set for part in parts}
