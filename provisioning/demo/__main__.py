"""`python -m provisioning.demo [--once] [--keep]`: see `make demo` in the README."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

from rich.console import Console

from provisioning.demo.ledger import Tally
from provisioning.demo.live_view import LiveNarrator
from provisioning.demo.narrator import Narrator, PlainNarrator
from provisioning.demo.story import Story
from provisioning.errors import ProvisioningError

STATE = Path(".demo")
_PORTION = 6
_PAUSE_SECONDS = 3.0
_OUTAGE_EVERY = 10
"""Portions between two outages of the centre."""
_OUTAGE_PORTIONS = 4
_UPGRADE_EVERY = 7
"""Portions between two upgrades of a node behind HAProxy."""


def main() -> int:
    """Run the demo; 0 when everything that was sent is where it should be, or when a person ended the view."""
    parser = argparse.ArgumentParser(prog="python -m provisioning.demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="one full pass with its checks, then end")
    parser.add_argument("--keep", action="store_true", help="leave the files and logs behind")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    STATE.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=STATE))
    try:
        if options.once or not sys.stdout.isatty():
            tally = _tell(folder, PlainNarrator(_write), once=options.once)
        else:
            with LiveNarrator(Console()) as narrator:
                tally = _tell(folder, narrator, once=False)
    except KeyboardInterrupt:
        _write("demo: stopped before the first pass was through; nothing is left running")
        return 130
    except ProvisioningError as problem:
        _write(f"demo: {problem}\n{problem.hint}".rstrip())
        return 1
    finally:
        _clean(folder, keep=options.keep)
    if not options.once:
        _write(f"demo: stopped after {tally.sent} images, {tally.lost} of them on their way; nothing is left running")
        return 0
    _write(f"demo: {tally}")
    return 0 if tally.whole else 1


def _tell(folder: Path, narrator: Narrator, *, once: bool) -> Tally:
    """Run the mesh and stop it again, whatever happens."""
    story = Story(folder, narrator)
    try:
        story.set_up()
        if not once:
            narrator.happened(f"open {story.mesh.control.url} as admin; password in {story.mesh.control.password_file}")
        _full_pass(story, narrator)
        for line in story.ledger.missing():
            narrator.happened(line)
        if not once:
            with suppress(KeyboardInterrupt):
                _go_on(story, narrator)
        return story.ledger.tally()
    finally:
        # A second Ctrl-C while everything stops would leave some of it running.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        story.mesh.stop()


def _full_pass(story: Story, narrator: Narrator) -> None:
    first = story.prepare(fresh=False)
    story.send(first.images)
    if story.wait_delivered():
        narrator.happened("every image is in the PACS of its site, byte for byte as it was sent")
    if story.wait_indexed():
        narrator.happened("the central search finds every image, and knows it as delivered")
    second = story.prepare(fresh=True)
    rest = len(second.images) // 4
    story.switch_centre_off()
    story.send(second.images[rest:])
    if story.wait_delivered():
        narrator.happened("without the centre: every image is in the PACS of its site")
    story.upgrade_a_node(second.images[:rest])
    if story.wait_delivered():
        narrator.happened("a node was upgraded meanwhile: every image is in the PACS of its site")
    story.switch_centre_on()
    if story.wait_indexed():
        narrator.happened("the centre has caught up")


def _go_on(story: Story, narrator: Narrator) -> None:
    """Send small portions for ever, with the centre off now and then."""
    portion = 0
    while True:
        batch = story.prepare(fresh=True)
        for start in range(0, len(batch.images), _PORTION):
            portion += 1
            if portion % _OUTAGE_EVERY == 0:
                story.switch_centre_off()
            if portion % _OUTAGE_EVERY == _OUTAGE_PORTIONS and not story.mesh.control.running:
                story.switch_centre_on()
            images = batch.images[start : start + _PORTION]
            if portion % _UPGRADE_EVERY == 0:
                story.upgrade_a_node(images)
            else:
                story.send(images)
            until = time.monotonic() + _PAUSE_SECONDS
            while time.monotonic() < until:
                story.look()
                time.sleep(0.5)
        narrator.happened(f"all files were sent once more: {story.ledger.tally()}")
        story.forget(batch)


def _clean(folder: Path, *, keep: bool) -> None:
    if keep:
        _write(f"demo: files and logs are in {folder}")
        return
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # another demo may have its files there
        STATE.rmdir()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
