"""Which policy a node runs, found in its data directory: beside a node that runs, or does not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from edge.errors import SettingsError
from edge.run_dir import LOCAL_POLICY, RunDir

if TYPE_CHECKING:
    from edge.policy.document import Policy


def running_policy(data_dir: Path | None) -> Policy:
    """What the node was started with, a person's override, or the centre's last good one: the first there is.

    Raises:
        SettingsError: there is none.
    """
    from edge.policy.document import PolicyError, load_policy

    for text, label in _texts(data_dir) if data_dir else ():
        try:
            policy = load_policy(text)
        except PolicyError:
            continue  # the node goes on with the next one, too
        return policy.labelled(label) if label else policy
    raise SettingsError(
        "no policy is in force here",
        hint="Give --data-dir of a node that runs or is enrolled, or a document with --policy.",
    )


def _texts(data_dir: Path) -> Iterator[tuple[str | bytes, str]]:
    from edge.policy_override import OverrideFiles
    from edge.sync.policy_place import policy_label
    from edge.sync.policy_store import PolicyStore
    from edge.sync.trust import load_enrolment

    started_with = RunDir(data_dir).read(LOCAL_POLICY)
    if isinstance(started_with, str):
        yield started_with, ""
    trust = load_enrolment(data_dir).trust
    if trust is None:
        return
    files = OverrideFiles(data_dir)
    override = files.read()
    if override is not None and files.seconds_left(override, datetime.now(UTC)) > 0:
        yield override.text, ""
    for stored in PolicyStore(data_dir, site=trust.site, public_key=trust.public_key).good():
        yield stored.bundle.document, policy_label(stored.bundle)
