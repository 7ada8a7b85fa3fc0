"""Documents go stale in silence; their links need not."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


def documents() -> list[Path]:
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    return [ROOT / name for name in names if (ROOT / name).exists()] or sorted(ROOT.glob("*.md"))


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    missing = [link for link in LINK.findall(document.read_text()) if not (document.parent / link).exists()]
    assert missing == []


def test_every_promise_in_the_readme_has_tests() -> None:
    table = (ROOT / "README.md").read_text().split("| promise | tests |")[1].split("\n\n")[0]
    rows = table.strip().splitlines()[1:]
    assert len(rows) >= 6
    for row in rows:
        assert re.search(r"\(tests/\S+\.py\)", row), row


def test_every_command_of_make_that_the_readme_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for command in set(re.findall(r"`make ([a-z]+)", (ROOT / "README.md").read_text())):
        assert re.search(rf"^{command}:", makefile, flags=re.MULTILINE), command


def test_no_document_names_a_path_of_somebodys_machine() -> None:
    for document in documents():
        assert not re.search(r"/home/\w|/work/|/Users/", document.read_text()), document.name
