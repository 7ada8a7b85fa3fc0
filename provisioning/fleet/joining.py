"""Makes a fleet: sites, a token for each box, and the enrolment of each, as boxes do it (`POST /api/v1/enrol`)."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx2
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from google.protobuf import json_format

from mesh.v1.enrolment_pb2 import EnrolRequest, EnrolResponse
from provisioning.errors import CommandFailed, ProvisioningError
from provisioning.fleet.identities import Identity
from provisioning.local.control_api import ControlApi

AT_ONCE = 8
ASKING_AT_ONCE = 4
"""Tokens that are asked for at a time, all in one session."""


def site_name(number: int) -> str:
    """The name of the site with this number."""
    return f"fleet-{number:04d}"


async def join(
    api: ControlApi, *, sites: int, boxes: int, said: Callable[[int], None], prefix: str = "box"
) -> Sequence[Identity]:
    """Enrol `boxes` boxes, spread evenly over `sites` sites; `said` hears how many are done.

    Raises:
        CommandFailed: the control plane refused one of them.
    """
    known = {one["name"] for one in await asyncio.to_thread(lambda: list(api.every("/sites")))}
    names = [site_name(number) for number in range(sites)]
    for name in names:
        if name not in known:
            await asyncio.to_thread(api.post, "/sites", {"name": name})
    turn, asking, done = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(ASKING_AT_ONCE), 0
    doors: dict[str, httpx2.AsyncClient] = {}
    found: list[Identity] = []

    async def one(number: int) -> None:
        nonlocal done
        site = names[number % sites]
        async with turn:
            async with asking:
                token = (await asyncio.to_thread(api.post, f"/sites/{site}/tokens", {}))["token"]
            found.append(await _enrol(doors, token, f"{prefix}-{number:05d}"))
            done += 1
            said(done)

    try:
        async with asyncio.TaskGroup() as group:
            for number in range(boxes):
                group.create_task(one(number))
    except* ProvisioningError as errors:
        raise errors.exceptions[0] from None
    finally:
        for door in doors.values():
            await door.aclose()
    return sorted(found, key=lambda identity: identity.node_name)


async def _enrol(doors: dict[str, httpx2.AsyncClient], token: str, name: str) -> Identity:
    where, pin, token_id, secret = token.removeprefix("mesh1.").rsplit(".", 3)
    if where not in doors:
        doors[where] = await _door(where, pin)
    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    request = EnrolRequest(
        token_id=token_id, token_secret=secret, node_name=name, csr_pem=csr.public_bytes(Encoding.PEM)
    )
    answer = await doors[where].post(
        "/api/v1/enrol",
        content=json_format.MessageToJson(request),
        headers={"Content-Type": "application/json"},
    )
    if answer.is_error:
        raise CommandFailed(f"{name} was not enrolled: {answer.text}", returncode=answer.status_code, stderr="")
    said = json_format.Parse(answer.content, EnrolResponse(), ignore_unknown_fields=True)
    return Identity(
        node_id=said.node_id,
        site=said.site,
        node_name=name,
        grpc_endpoint=said.grpc_endpoint,
        mqtt_endpoint=said.mqtt_endpoint,
        certificate_pem=said.certificate_pem.decode(),
        ca_pem=said.ca_pem.decode(),
        key_pem=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    )


async def _door(where: str, pin: str) -> httpx2.AsyncClient:
    """A client that trusts the CA of the token and nothing else."""
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
    async with httpx2.AsyncClient(base_url=f"https://{where}", verify=blind, trust_env=False) as client:
        pem = (await client.get("/api/v1/mesh/ca.pem")).content
    certificate = x509.load_pem_x509_certificate(pem)
    if hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest() != pin:
        raise ProvisioningError(f"{where} is not the control plane that the token names")
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.load_verify_locations(cadata=pem.decode())
    return httpx2.AsyncClient(base_url=f"https://{where}", verify=trusting, trust_env=False, timeout=60)


def password_file(path: Path) -> Path:
    """The file, when it can be read.

    Raises:
        ProvisioningError: it cannot.
    """
    if not path.is_file():
        raise ProvisioningError(
            f"{path} is no file", hint="`skerry-control run` writes `admin-password` in its folder."
        )
    return path
