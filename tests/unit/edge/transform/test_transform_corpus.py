"""Every file of the corpus through a transform that sets one text: all else is equal for pydicom, or it is refused."""

from __future__ import annotations

import warnings
import zlib
from io import BytesIO

import pytest
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.sequence import Sequence as SequenceOfItems

from edge.transfer_syntaxes import DEFLATED
from edge.transform.apply import coding_of
from edge.transform.failure import TransformFailed
from tests.dicom_corpus import corpus_files, split_part10
from tests.transforming import step, tried

SETTING = step("set", "InstitutionName", value="Site B")


@pytest.mark.parametrize("part", ["dev", "fuzz"])
def test_every_file_keeps_all_other_elements_or_is_refused_with_a_reason(part: str) -> None:
    passed, refused = 0, 0
    for path in corpus_files(part):
        syntax, raw = split_part10(path.read_bytes())
        if syntax in DEFLATED:
            try:
                raw = zlib.decompressobj(-zlib.MAX_WBITS).decompress(raw, 64 << 20)
            except zlib.error:
                continue
        coding = coding_of(syntax)
        out = tried(raw, coding, [SETTING])
        if isinstance(out, TransformFailed):
            assert str(out).startswith("transform `t`"), path.name
            refused += 1
            continue
        passed += 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                before = read_dataset(BytesIO(raw), coding.implicit, not coding.big)
            except Exception:
                continue  # pydicom cannot judge what it cannot read
            after = read_dataset(BytesIO(out), coding.implicit, not coding.big)
            assert _raw(after) == _raw(before), path.name
            assert after.InstitutionName == "Site B"
    if part == "dev":
        assert passed > 4 * refused


def _raw(data_set: Dataset) -> dict[int, object]:
    """Everything as it is encoded, but what the step names and the group lengths, which tell of it."""
    found: dict[int, object] = {}
    for tag in list(data_set.keys()):
        value = data_set.get_item(tag).value
        if tag != 0x00080080 and tag & 0xFFFF:
            found[tag] = [_raw(item) for item in value] if isinstance(value, SequenceOfItems) else value
    return found
