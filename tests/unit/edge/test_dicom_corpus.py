"""The corpus is either there, or its absence is said; it is never silently passed over."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import dicom_corpus


@pytest.mark.parametrize(
    ("required", "outcome"), [("1", pytest.fail.Exception), ("0", pytest.skip.Exception), (None, pytest.skip.Exception)]
)
def test_an_absent_corpus_fails_where_everything_is_required_and_skips_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, required: str | None, outcome: type[BaseException]
) -> None:
    monkeypatch.setattr(dicom_corpus, "CORPUS", tmp_path)
    monkeypatch.delenv("SKERRY_REQUIRE_ALL", raising=False)
    if required is not None:
        monkeypatch.setenv("SKERRY_REQUIRE_ALL", required)
    with pytest.raises(outcome, match="the corpus is absent"):
        dicom_corpus.corpus_files("dev")
