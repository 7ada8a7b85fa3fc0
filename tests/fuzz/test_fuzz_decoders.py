"""Mutated images to the decoder and to what rewrites headers: each ends, soon, decoded or with a reason."""

from __future__ import annotations

import contextlib
import random
import tempfile
import time
from collections import Counter

import pytest

from edge.forward.decoding.codestream import read
from edge.forward.decoding.failure import CannotDecode
from edge.forward.decoding.workers import Workers
from edge.transform.elements import BytesOrigin
from edge.transform.failure import Impossible
from edge.transform.implicit import implicit
from tests import fuzz_mutations as mutations
from tests.conftest import Figures
from tests.jpeg_samples import PIXELS, sample

NAMES = (
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "JPEG-LL.dcm",
    "JPGExtended.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "emri_small_jpeg_ls_lossless.dcm",
    "MR_small_RLE.dcm",
)
SLOWEST_SECONDS = 20.0
MOST_DEATHS = 0.02


@pytest.mark.timeout(0)
def test_a_decoder_ends_with_every_mutated_image_in_pixels_or_a_reason(figures: Figures) -> None:
    parts, count = [sample(name) for name in NAMES], max(mutations.CASES // 20, 50)
    ends: Counter[str] = Counter()
    workers, slowest = Workers(patience=SLOWEST_SECONDS), 0.0
    for number in range(count):
        chance = random.Random(f"{mutations.SEED}/decoder/{number}")
        part = chance.choice(parts)
        raw = _damaged(part.data_set, chance) if chance.random() < 0.7 else mutations.mutated(part.data_set, chance)
        with tempfile.TemporaryFile() as packed, tempfile.TemporaryFile() as plain:
            packed.write(raw)
            packed.flush()
            began = time.monotonic()
            try:
                workers.decompress(part.transfer_syntax_uid, packed.fileno(), plain.fileno())
                ends["decoded"] += 1
            except Impossible:
                ends["impossible"] += 1
            except CannotDecode as error:
                ends["died" if "died of it" in str(error) else str(error)] += 1
            slowest = max(slowest, time.monotonic() - began)
    workers.close()
    figures(f"fuzz: decoder: {count} images: {dict(sorted(ends.items()))}, the slowest {slowest * 1000:.0f} ms")
    assert set(ends) <= {"decoded", "impossible", "died"}
    assert ends["died"] <= max(1, MOST_DEATHS * count)


@pytest.mark.parametrize("name", [*NAMES[:-1], "MR_small.dcm", "rtplan.dcm"])
def test_headers_of_frames_and_data_sets_end_in_words_whatever_is_in_them(name: str) -> None:
    whole = sample(name).data_set[:20_000]
    at = max(whole.find(one) for one in PIXELS)
    for number in range(max(mutations.CASES // 20, 50)):
        chance = random.Random(f"{mutations.SEED}/{name}/{number}")
        raw = mutations.mutated(whole, chance)
        with contextlib.suppress(Impossible):
            implicit(BytesOrigin(raw))
        with contextlib.suppress(Impossible):
            read(raw[at + 20 :] + b"\xff\xd9", jpeg_2000="jp2" in name)


def _damaged(data_set: bytes, chance: random.Random) -> bytes:
    """Other bytes in the pixels, at their places."""
    raw, begin = bytearray(data_set), max(data_set.find(one) for one in PIXELS) + 20
    end = len(raw) if chance.random() < 0.5 else min(begin + 300, len(raw))
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        raw[chance.randrange(begin, end)] = chance.randrange(256)
    return bytes(raw)
