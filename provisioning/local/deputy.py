"""A sink and a sender for machines without DCMTK, run as `python -m provisioning.local.deputy`.

They keep every data set exactly as it is: the sink writes the bytes that arrive, the sender sends the bytes of
the file. The sender writes a report with the same lines as `dcmsend +crf`, so nothing else has to
know which of the two ran.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path
from typing import Any, NamedTuple

from pydicom import dcmread
from pynetdicom import AE, _config, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from provisioning.local.ports import LOOPBACK

SUCCESS, CANNOT_UNDERSTAND = 0x0000, 0xC000
_MOST_CONTEXTS = 128
_ASSOCIATIONS = 20


def main() -> int:
    """Run one of the two until it is done, or until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    sink = commands.add_parser("sink")
    sink.add_argument("--port", type=int, required=True)
    sink.add_argument("--ae-title", required=True)
    sink.add_argument("--folder", type=Path, required=True)
    sink.set_defaults(run=lambda options: _sink(options.port, options.ae_title, options.folder))
    sender = commands.add_parser("send")
    sender.add_argument("--port", type=int, required=True)
    sender.add_argument("--host", default=LOOPBACK)
    sender.add_argument("--called", required=True)
    sender.add_argument("--calling", required=True)
    sender.add_argument("--report", type=Path, required=True)
    sender.add_argument("files", type=Path, nargs="*")
    sender.set_defaults(run=_send)
    options = parser.parse_args()
    result: int = options.run(options)
    return result


def _sink(port: int, ae_title: str, folder: Path) -> int:
    entity = AE(ae_title=ae_title)
    entity.maximum_associations = _ASSOCIATIONS
    _config.UNRESTRICTED_STORAGE_SERVICE = True  # unknown and private storage classes too
    entity.add_supported_context(Verification)

    def keep(event: Any) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        if not uid or any(character not in "0123456789." for character in uid):
            return CANNOT_UNDERSTAND
        aside = folder / f"part-{threading.get_ident()}"
        aside.write_bytes(event.encoded_dataset())
        aside.rename(folder / f"DX.{uid}")
        return SUCCESS

    server = entity.start_server((LOOPBACK, port), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)])
    assert server is not None
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    server.shutdown()
    return 0


class _File(NamedTuple):
    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


def _send(options: argparse.Namespace) -> int:
    _config.STORE_SEND_CHUNKED_DATASET = True  # the bytes of the file, not a new encoding of them
    lines: list[str] = []
    waiting = [_read(path) for path in options.files]
    while waiting:
        portion, waiting = _portion(waiting)
        entity = AE(ae_title=options.calling)
        for kind, syntax in sorted({(file.sop_class_uid, file.transfer_syntax_uid) for file in portion}):
            entity.add_requested_context(kind, syntax)
        assoc = entity.associate(options.host, options.port, ae_title=options.called)
        if not assoc.is_established:
            sys.stderr.write("no association: Connection refused, or the peer said no\n")
            return 1
        for file in portion:
            lines += [f"Number        : {len(lines) // 4 + 1}", f"Filename      : {file.path}"]
            lines += [f"SOP Instance  : {file.sop_instance_uid}", f"DIMSE Status  : {_store(assoc, file.path)}"]
        assoc.release()
    options.report.write_text("\n".join(lines) + "\n")
    return 0


def _read(path: Path) -> _File:
    meta = dcmread(path, stop_before_pixels=True).file_meta
    return _File(
        path=path,
        sop_class_uid=str(meta.MediaStorageSOPClassUID),
        sop_instance_uid=str(meta.MediaStorageSOPInstanceUID),
        transfer_syntax_uid=str(meta.TransferSyntaxUID),
    )


def _portion(files: list[_File]) -> tuple[list[_File], list[_File]]:
    """As many files as one association has presentation contexts for (PS3.8 9.3.2.2), and the rest."""
    contexts: set[tuple[str, str]] = set()
    for number, file in enumerate(files):
        contexts.add((file.sop_class_uid, file.transfer_syntax_uid))
        if len(contexts) > _MOST_CONTEXTS:
            return files[:number], files[number:]
    return files, []


def _store(assoc: Any, path: Path) -> str:
    try:
        status = assoc.send_c_store(path)
    except (ValueError, RuntimeError, AttributeError) as problem:
        return f"<not sent> {problem}"
    if "Status" not in status:
        return "<not sent> no answer"
    return f"0x{status.Status:04X} ({'Success' if status.Status == SUCCESS else 'Failure'})"


if __name__ == "__main__":
    sys.exit(main())
