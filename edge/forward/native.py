"""Data sets in a form that is not compressed, for peers that do not take them as they were stored.

A deflated data set (PS3.5 A.5) is inflated here. Pixels are decoded in another process (`decoding/`): RLE Lossless by
pydicom, and JPEG, JPEG-LS and JPEG 2000 by the codecs of an extra. Both forms lie in files without a name meanwhile.
"""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import IO

from edge.forward.decoding.workers import WORKERS
from edge.forward.splice import Aside, Readable, Splice, SpoolOrigin, inflated
from edge.transform.failure import Impossible
from edge.transform.implicit import implicit

_DEFLATED = "1.2.840.10008.1.2.1.99"
_CHUNK = 1 << 20
MOST_PACKED_BYTES = 512 << 20
"""Of an object as it was stored."""


def native(original: Readable, transfer_syntax_uid: str, data_dir: Path) -> Readable:
    """The same data set, not compressed. Takes the original over.

    Raises:
        Impossible: it cannot be decoded; nothing may be sent.
        CannotDecode: this node cannot decode it as it is set up.
        DecodeLater: it was not decoded this time.
        SealBroken: the disk gave back something else than was sealed.
        OSError: the disk failed.
    """
    if transfer_syntax_uid == _DEFLATED:
        return inflated(original, data_dir)
    if original.left > MOST_PACKED_BYTES:
        raise Impossible("it is too large to be decompressed")
    plain = tempfile.TemporaryFile(dir=data_dir)  # noqa: SIM115 - its reader closes it
    try:
        with tempfile.TemporaryFile(dir=data_dir) as packed:
            _copy(original, packed)
            WORKERS.decompress(transfer_syntax_uid, packed.fileno(), plain.fileno())
        return Aside(plain, os.fstat(plain.fileno()).st_size, original)
    except BaseException:
        plain.close()
        raise


def in_implicit(original: Readable, data_dir: Path) -> Readable:
    """A data set of Explicit VR Little Endian in Implicit VR, in a file aside. Takes the original over.

    Raises:
        Impossible: its structure is not sound.
        SealBroken: the disk gave back something else than was sealed.
        OSError: the disk failed.
    """
    file = tempfile.TemporaryFile(dir=data_dir)  # noqa: SIM115 - its reader closes it
    try:
        _copy(Splice(original, implicit(SpoolOrigin(original))), file)
        return Aside(file, file.tell(), original)
    except BaseException:
        file.close()
        raise


def _copy(original: Readable, packed: IO[bytes]) -> None:
    """All of it, proven: nothing is decoded that was not stored so."""
    room = memoryview(bytearray(min(_CHUNK, max(original.left, 1))))
    while original.left:
        count = original.read(room)
        if packed.write(room[:count]) != count:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    packed.flush()
