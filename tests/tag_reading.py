"""A header read by both ways, which must agree about every value and every flag."""

from __future__ import annotations

import io
import os

from edge.model import TagSet
from edge.tags import read_file_tags, read_tags


def read_both_ways(content: bytes, transfer_syntax_uid: str, *, length: int | None = None) -> TagSet:
    """What the walker reads from a stream, proven equal to what is read from a file by its number."""
    length = len(content) if length is None else length
    walked = read_tags(io.BytesIO(content), transfer_syntax_uid=transfer_syntax_uid, length=length)
    file = os.memfd_create("header")
    try:
        before = b"something else"
        os.writev(file, (before, content))
        for _time in ("as it comes", "by the plans that the first time left"):
            read = read_file_tags(file, offset=len(before), length=length, transfer_syntax_uid=transfer_syntax_uid)
            assert (read.flags, dict(read.values)) == (walked.flags, dict(walked.values))
    finally:
        os.close(file)
    return walked
