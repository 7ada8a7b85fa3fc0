"""Back a control plane up, check a backup, and bring one back."""

from __future__ import annotations

import tempfile
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from control.backups.archive import DUMP, KEY_FILES, SQLITE, Manifest, check_archive, take_out, write_archive
from control.backups.database_copy import copy_sqlite, dump_postgresql, is_postgresql
from control.enrolment.ca_files import CA_CERTIFICATE
from control.errors import SettingsError
from control.settings import Settings


def back_up(settings: Settings, out: Path, now: datetime, *, keys_only: bool = False) -> Manifest:
    """Write the keys and the database of a control plane, which may run meanwhile, into one file.

    Raises:
        SettingsError
    """
    files = {name: settings.data_dir / name for name in KEY_FILES}
    missing = [str(path) for path in files.values() if not path.exists()]
    if missing:
        raise SettingsError(f"There is no control plane in {settings.data_dir}: {missing[0]} is missing.")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".backup-") as folder:
        if not keys_only:
            url = settings.database_url()
            if is_postgresql(url):
                files[DUMP] = Path(folder) / DUMP
                dump_postgresql(url, files[DUMP])
            else:
                files[SQLITE] = Path(folder) / SQLITE
                copy_sqlite(settings.data_dir / SQLITE, files[SQLITE])
        return write_archive(
            out, files, created_at=now.isoformat(), version=version("skerry"), mesh=_mesh(settings.data_dir)
        )


def restore(archive: Path, data_dir: Path, *, dry_run: bool = False) -> tuple[Manifest, Path | None]:
    """Bring the keys, and an SQLite database, back into a data directory that has none of them.

    The second value is where the dump of a PostgreSQL was laid, for `pg_restore`.

    Raises:
        SettingsError: the archive is damaged, or something would be overwritten.
    """
    manifest = check_archive(archive)
    there = [path for path in (data_dir / "ca", data_dir / SQLITE) if path.exists()]
    if there:
        raise SettingsError(
            f"{there[0]} is there already.", hint="Restore into an empty directory; nothing is overwritten."
        )
    dump = data_dir / DUMP if DUMP in manifest.files else None
    if dry_run:
        return manifest, dump
    # The database first and the keys last: a `ca` folder says that all of it is here.
    for name in sorted(manifest.files, key=lambda name: name.startswith("ca/")):
        aside = name.replace("ca/", "ca.new/", 1)
        take_out(archive, name, data_dir / aside)
    (data_dir / "ca.new").rename(data_dir / "ca")
    return manifest, dump


def _mesh(data_dir: Path) -> str:
    certificate = x509.load_pem_x509_certificate((data_dir / "ca" / CA_CERTIFICATE).read_bytes())
    return certificate.fingerprint(hashes.SHA256()).hex()
