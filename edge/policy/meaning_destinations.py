"""What a destination of a policy document means, and what is wrong with it beyond its shape."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from edge.key_template import faults_of
from edge.model import SOURCE, DicomDestination, DicomWebDestination, FolderDestination, Member, S3Destination, Tls
from edge.policy.meaning_window import window_of
from edge.policy.schema import DicomDestinationModel, FolderDestinationModel
from edge.policy.schema_destinations import DicomWebDestinationModel, S3DestinationModel
from edge.policy.schema_tls import TlsModel

Model = DicomDestinationModel | FolderDestinationModel | DicomWebDestinationModel | S3DestinationModel
SayAt = Callable[[str, int, str, str], None]
"""Key of the destination, column in its value (from 1), message, hint."""


def destination_of(model: Model) -> Member:
    """The destination without its transforms."""
    match model:
        case DicomDestinationModel():
            return DicomDestination(
                name=model.name,
                host=model.host,
                port=model.port,
                ae_title=model.ae_title,
                calling_ae_title=model.calling_ae_title,
                associations=model.associations,
                tls=_tls(model.tls),
                verify=model.verify,
                decompress=model.syntax == "decompress",
                window=window_of(model.window),
            )
        case FolderDestinationModel():
            return FolderDestination(
                name=model.name, path=model.path, template=model.template, window=window_of(model.window)
            )
        case DicomWebDestinationModel():
            return DicomWebDestination(
                name=model.name,
                url=model.url.rstrip("/"),
                credentials=model.credentials or "",
                ca=model.ca or "",
                verify=model.verify,
                window=window_of(model.window),
            )
        case S3DestinationModel():
            return S3Destination(
                name=model.name,
                bucket=model.bucket,
                endpoint=model.endpoint or "",
                region=model.region or "",
                key=model.key,
                credentials=model.credentials or "",
                window=window_of(model.window),
            )


def check_destination(model: Model, error: SayAt, warn: SayAt) -> None:
    """Say what cannot be, and what is not wise."""
    match model:
        case FolderDestinationModel():
            _check_template("template", model.template, error)
        case DicomWebDestinationModel():
            _check_url("url", model.url, error)
            if model.credentials and model.url.startswith("http:"):
                warn("url", 1, "the credentials travel in the clear", "Use https.")
        case S3DestinationModel():
            _check_template("key", model.key, error)
            if model.endpoint:
                _check_url("endpoint", model.endpoint, error)
            elif not model.region:
                hint = "Name the region that the bucket lies in, or the `endpoint` of another service."
                error("name", 1, "an s3 destination needs `region` or `endpoint`", hint)
        case DicomDestinationModel():
            _check_verify(model, error)
            if model.tls is not None and bool(model.tls.certificate) != bool(model.tls.key):
                given, missing = ("certificate", "key") if model.tls.certificate else ("key", "certificate")
                hint = f"Name the file with the `{missing}` too, or leave both out when the peer wants no certificate."
                error("tls", 1, f"`tls` has a `{given}` without a `{missing}`", hint)


def _check_verify(model: DicomDestinationModel, error: SayAt) -> None:
    if model.verify != "none" and model.calling_ae_title == SOURCE:
        hint = "Give it a `calling_ae_title` of its own, or leave `verify` out."
        error("verify", 1, "`verify` cannot ask under the names of the senders", hint)


def _tls(model: TlsModel | None) -> Tls | None:
    if model is None:
        return None
    return Tls(
        ca=model.ca,
        certificate=model.certificate or "",
        key=model.key or "",
        server_name=model.server_name or "",
    )


def _check_template(key: str, template: str, error: SayAt) -> None:
    for fault in faults_of(template):
        error(key, fault.column, fault.message, fault.hint)


def _check_url(key: str, url: str, error: SayAt) -> None:
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        error(key, 1, f"`{key}` has a host or a port that cannot be", "Write it as https://host:port/path.")
