"""A node's identity is on the disk whole or not at all."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from edge.sync.identity import (
    IdentityDamaged,
    NodeIdentity,
    adopt_identity,
    key_matches,
    load_identity,
    new_key,
    save_identity,
    write_identity,
)
from tests.certificates import MeshAuthority


@pytest.fixture(scope="module")
def mesh() -> MeshAuthority:
    return MeshAuthority()


def test_a_box_that_was_never_enrolled_has_no_identity(tmp_path: Path) -> None:
    assert load_identity(tmp_path) is None


def test_what_was_saved_is_loaded(tmp_path: Path, mesh: MeshAuthority) -> None:
    identity = mesh.identity(mqtt_endpoint="broker:8883")
    save_identity(tmp_path, identity)
    assert load_identity(tmp_path) == identity


def test_the_files_have_the_names_that_people_look_for(tmp_path: Path, mesh: MeshAuthority) -> None:
    save_identity(tmp_path, mesh.identity())
    names = {path.name for path in (tmp_path / "identity").iterdir()}
    assert names == {"key.pem", "certificate.pem", "ca.pem", "node.json"}


def test_only_the_owner_reads_the_key(tmp_path: Path, mesh: MeshAuthority) -> None:
    save_identity(tmp_path, mesh.identity())
    assert stat.S_IMODE((tmp_path / "identity" / "key.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "identity").resolve().stat().st_mode) == 0o700


def test_the_key_is_never_printed(mesh: MeshAuthority) -> None:
    assert "PRIVATE" not in repr(mesh.identity())


def test_a_candidate_does_not_change_who_the_node_is(tmp_path: Path, mesh: MeshAuthority) -> None:
    old, new = mesh.identity(), mesh.identity()
    save_identity(tmp_path, old)
    folder = write_identity(tmp_path, new)
    assert load_identity(tmp_path) == old
    adopt_identity(tmp_path, folder)
    assert load_identity(tmp_path) == new


def test_adopting_removes_the_folders_of_former_identities(tmp_path: Path, mesh: MeshAuthority) -> None:
    for _ in range(3):
        save_identity(tmp_path, mesh.identity())
    assert len(list(tmp_path.glob("identity.*"))) == 1


def test_a_reader_whose_folder_a_renewal_takes_away_gets_the_new_identity(
    tmp_path: Path, mesh: MeshAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = mesh.identity(), mesh.identity()
    save_identity(tmp_path, old)
    original = Path.read_text
    renewals = iter([new])

    def read_after_a_renewal(self: Path, encoding: str) -> str:
        for identity in renewals:
            save_identity(tmp_path, identity)
        return original(self, encoding)

    monkeypatch.setattr(Path, "read_text", read_after_a_renewal)
    assert load_identity(tmp_path) == new


def test_a_power_cut_before_the_last_step_leaves_the_old_identity(
    tmp_path: Path, mesh: MeshAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = mesh.identity()
    save_identity(tmp_path, old)

    def cut(self: Path, target: Path) -> Path:
        if target == tmp_path / "identity":
            raise OSError("power cut")
        return original(self, target)

    original = Path.replace
    monkeypatch.setattr(Path, "replace", cut)
    with pytest.raises(OSError, match="power cut"):
        save_identity(tmp_path, mesh.identity())
    monkeypatch.undo()
    assert load_identity(tmp_path) == old


def test_a_plain_folder_put_there_by_hand_is_used_and_kept(tmp_path: Path, mesh: MeshAuthority) -> None:
    old = mesh.identity()
    save_identity(tmp_path / "elsewhere", old)
    (tmp_path / "elsewhere" / "identity").resolve().rename(tmp_path / "identity")
    assert load_identity(tmp_path) == old
    new = mesh.identity()
    save_identity(tmp_path, new)
    assert load_identity(tmp_path) == new
    assert len(list(tmp_path.glob("identity-replaced-*"))) == 1


@pytest.mark.parametrize("name", ["key.pem", "certificate.pem", "ca.pem", "node.json"])
def test_a_missing_file_is_told_with_what_to_do(tmp_path: Path, mesh: MeshAuthority, name: str) -> None:
    save_identity(tmp_path, mesh.identity())
    (tmp_path / "identity" / name).unlink()
    with pytest.raises(IdentityDamaged) as caught:
        load_identity(tmp_path)
    assert "enrol" in caught.value.hint


def test_a_key_of_another_certificate_is_told(tmp_path: Path, mesh: MeshAuthority) -> None:
    save_identity(tmp_path, mesh.identity())
    (tmp_path / "identity" / "key.pem").write_bytes(new_key()[0])
    with pytest.raises(IdentityDamaged, match="not the key"):
        load_identity(tmp_path)


def test_renewal_is_due_after_a_third_of_the_life(mesh: MeshAuthority) -> None:
    identity: NodeIdentity = mesh.identity()
    life = identity.valid_until - identity.valid_from
    assert identity.renew_at() == identity.valid_from + life / 3


def test_nonsense_matches_no_key(mesh: MeshAuthority) -> None:
    assert not key_matches(b"nonsense", mesh.identity().certificate_pem)
    assert not key_matches(mesh.identity().key_pem, b"nonsense")
