"""The process that decodes, `python -m edge.forward.decoding.worker FD`. It may hang or die: `workers.py` sees to it.

It is the first that the kernel ends when memory runs out, it may not take more than its share, and it ends by itself
when nobody has work for it or its node is gone.
"""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import sys
import time
from pathlib import Path

from edge.forward.decoding.codec import CodecMissing
from edge.forward.decoding.work import decompress
from edge.transform.failure import Impossible

IDLE_SECONDS = 30.0
"""How long it waits for work; its start costs a third of a second."""
MEMORY_BYTES = 1536 << 20
"""Of address space. A frame of 128 MiB needs some five times as much in a codec of JPEG 2000."""
TELL_SECONDS = 0.2
PROGRESS, DONE, IMPOSSIBLE, MISSING, DISK = b"p", b"d", b"i", b"m", b"o"
"""First bytes of what it says; words or a number follow."""


def main() -> None:
    """Decode what comes until nothing comes."""
    os.dup2(os.memfd_create("complaints"), 2)
    line = socket.socket(fileno=int(sys.argv[1]))
    _be_modest()
    line.settimeout(IDLE_SECONDS)
    with contextlib.suppress(TimeoutError, OSError):
        while (job := _next_job(line)) is not None:
            line.sendall(_do(line, *job))


def _next_job(line: socket.socket) -> tuple[str, int, int] | None:
    message, files, _flags, _from = socket.recv_fds(line, 128, 2)
    return (message.decode("ascii"), files[0], files[1]) if message else None


def _do(line: socket.socket, transfer_syntax_uid: str, packed: int, plain: int) -> bytes:
    told = 0.0

    def progress() -> None:
        nonlocal told
        if time.monotonic() - told > TELL_SECONDS:
            told = time.monotonic()
            line.sendall(PROGRESS)

    os.ftruncate(2, 0)  # what was said of the object before
    os.lseek(2, 0, os.SEEK_SET)
    with open(packed, "rb") as source, open(plain, "r+b", buffering=1 << 16) as target:
        try:
            decompress(source, target, transfer_syntax_uid, progress)
            target.flush()
            if _complained():
                return IMPOSSIBLE + b"its pixels are damaged: the decoder had to guess"
        except Impossible as error:
            return IMPOSSIBLE + str(error).encode()
        except CodecMissing:
            return MISSING
        except MemoryError:
            return IMPOSSIBLE + b"decoding it takes more memory than a node gives"
        except OSError as error:
            return DISK + str(error.errno or 0).encode()
        except Exception as error:  # whatever a library makes of a damaged object, the object stands in the way
            return IMPOSSIBLE + f"its pixels cannot be decoded ({type(error).__name__})".encode()
    return DONE


def _complained() -> bool:
    """Whether the library, which goes on with a grey half, has written that something is wrong with a JPEG frame.

    It also writes about frames of 12 bits, because it tries a decoder of 8 bits first.
    """
    written = os.pread(2, 1 << 16, 0)
    return b"Corrupt JPEG data" in written or b"Premature end of JPEG" in written


def _be_modest() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    os.nice(5)


if __name__ == "__main__":
    main()
