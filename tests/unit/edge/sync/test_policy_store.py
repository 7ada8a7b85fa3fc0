"""Policies on disk: the active one is complete at every moment, and only this mesh's run."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import PolicySignatureInvalid
from edge.sync.policy_place import Place, fingerprint, policy_label
from edge.sync.policy_rejections import Rejection
from edge.sync.policy_store import PolicyStore
from edge.sync.trial_note import Trial
from mesh.v1.common_pb2 import PolicyBundle
from tests.certificates import MeshAuthority
from tests.signed_policies import bundle


@pytest.fixture(scope="module")
def mesh() -> MeshAuthority:
    return MeshAuthority()


@pytest.fixture
def store(tmp_path: Path, mesh: MeshAuthority) -> PolicyStore:
    return PolicyStore(tmp_path, site="north", public_key=mesh.policy_public_key)


def running(store: PolicyStore) -> PolicyBundle:
    stored = store.load()
    assert stored is not None
    return stored.bundle


def test_a_new_node_has_no_policy(store: PolicyStore) -> None:
    assert store.load() is None


def test_what_was_activated_is_what_the_next_start_runs(store: PolicyStore, mesh: MeshAuthority) -> None:
    store.activate(bundle(mesh, 1))
    assert running(store) == bundle(mesh, 1)


def test_three_generations_are_kept(store: PolicyStore, mesh: MeshAuthority) -> None:
    for version in range(1, 6):
        store.activate(bundle(mesh, version))
    assert [kept.bundle.version.version for kept in store.good()] == [5, 4, 3]


def test_activating_the_same_again_pushes_nothing_out(store: PolicyStore, mesh: MeshAuthority) -> None:
    for version in (1, 2, 3, 3, 3):
        store.activate(bundle(mesh, version))
    assert [kept.bundle.version.version for kept in store.good()] == [3, 2, 1]


@pytest.mark.parametrize("damage", [b"", b"\xff" * 40, None], ids=["emptied", "overwritten", "one bit"])
def test_a_damaged_active_policy_falls_back_to_the_one_before(
    store: PolicyStore, mesh: MeshAuthority, tmp_path: Path, damage: bytes | None
) -> None:
    store.activate(bundle(mesh, 1))
    store.activate(bundle(mesh, 2))
    active = tmp_path / "policy" / "active.bundle"
    content = bytearray(active.read_bytes())
    content[len(content) // 2] ^= 1
    active.write_bytes(bytes(content) if damage is None else damage)
    stored = store.load()
    assert stored is not None
    assert stored.bundle == bundle(mesh, 1)
    assert stored.file == "previous-1"
    assert stored.passed_over[0].startswith("active:")


def test_a_damaged_file_never_pushes_a_good_one_out(store: PolicyStore, mesh: MeshAuthority, tmp_path: Path) -> None:
    for version in (1, 2, 3):
        store.activate(bundle(mesh, version))
    (tmp_path / "policy" / "active.bundle").write_bytes(b"damaged")
    store.activate(bundle(mesh, 4))
    assert [kept.bundle.version.version for kept in store.good()] == [4, 2, 1]


def test_with_everything_damaged_there_is_no_policy(store: PolicyStore, mesh: MeshAuthority, tmp_path: Path) -> None:
    store.activate(bundle(mesh, 1))
    (tmp_path / "policy" / "active.bundle").write_bytes(b"damaged")
    assert store.load() is None


def test_a_policy_of_another_site_is_refused(store: PolicyStore, mesh: MeshAuthority) -> None:
    with pytest.raises(PolicySignatureInvalid, match="'south'"):
        store.activate(bundle(mesh, 1, site="south"))


def test_a_policy_of_another_mesh_is_refused(store: PolicyStore) -> None:
    with pytest.raises(PolicySignatureInvalid, match="pinned"):
        store.activate(bundle(MeshAuthority(), 1))


def test_a_changed_text_is_refused(store: PolicyStore, mesh: MeshAuthority) -> None:
    changed = bundle(mesh, 1)
    changed.document += b"# more\n"
    with pytest.raises(PolicySignatureInvalid, match="text"):
        store.activate(changed)


@pytest.mark.parametrize("field", ["generation", "version"])
def test_a_changed_place_in_the_order_is_refused(store: PolicyStore, mesh: MeshAuthority, field: str) -> None:
    changed = bundle(mesh, 1)
    setattr(changed.version, field, 9)
    with pytest.raises(PolicySignatureInvalid):
        store.activate(changed)


def test_a_file_copied_from_another_site_is_passed_over(
    store: PolicyStore, mesh: MeshAuthority, tmp_path: Path
) -> None:
    foreign = bundle(mesh, 9, site="south").SerializeToString()
    (tmp_path / "policy" / "active.bundle").write_bytes(foreign)
    assert store.load() is None


@pytest.mark.parametrize("step", range(1, 5))
def test_a_power_cut_at_any_step_leaves_the_old_policy_or_the_new_one(
    store: PolicyStore, mesh: MeshAuthority, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    for version in (1, 2, 3):
        store.activate(bundle(mesh, version))
    left = step
    original = Path.replace

    def cut(self: Path, target: Path) -> Path:
        nonlocal left
        left -= 1
        if left == 0:
            raise OSError("power cut")
        return original(self, target)

    monkeypatch.setattr(Path, "replace", cut)
    try:
        store.activate(bundle(mesh, 4))
        finished = True
    except OSError:
        finished = False
    monkeypatch.undo()
    assert running(store).version.version == (4 if finished else 3)
    store.activate(bundle(mesh, 5))
    assert [kept.bundle.version.version for kept in store.good()][:2] == [5, 4 if finished else 3]


def test_a_candidate_is_given_out_once(store: PolicyStore, mesh: MeshAuthority) -> None:
    store.put_candidate(bundle(mesh, 1))
    assert store.take_candidate() == bundle(mesh, 1)
    assert store.take_candidate() is None


def refusal(bundle: PolicyBundle, error: str = "line 4, column 2: no such attribute") -> Rejection:
    place = Place(generation=bundle.version.generation, version=bundle.version.version)
    return Rejection(place=place, sha256=fingerprint(bundle), error=error)


def test_refusals_are_remembered_over_a_restart(store: PolicyStore, mesh: MeshAuthority, tmp_path: Path) -> None:
    for version in (3, 4):
        store.rejections.remember(refusal(bundle(mesh, version)))
    again = PolicyStore(tmp_path, site="north", public_key=mesh.policy_public_key).rejections
    assert again.last() == refusal(bundle(mesh, 4))
    assert again.find(fingerprint(bundle(mesh, 3))) == refusal(bundle(mesh, 3))
    again.forget_up_to(Place(generation=1, version=5))
    assert again.last() is None
    assert not (tmp_path / "policy" / "rejected.json").exists()


def test_a_refusal_after_the_committed_policy_is_known_but_no_longer_told(
    store: PolicyStore, mesh: MeshAuthority, tmp_path: Path
) -> None:
    store.rejections.remember(refusal(bundle(mesh, 9)))
    store.rejections.forget_up_to(Place(generation=1, version=5))
    again = PolicyStore(tmp_path, site="north", public_key=mesh.policy_public_key).rejections
    assert again.last() is None
    assert again.find(fingerprint(bundle(mesh, 9))) is not None


def test_the_memory_of_refusals_has_an_end(store: PolicyStore, mesh: MeshAuthority) -> None:
    for version in range(100):
        store.rejections.remember(refusal(bundle(mesh, version)))
    known = [one for one in range(100) if store.rejections.find(fingerprint(bundle(mesh, one)))]
    assert known == list(range(68, 100))


def test_a_refusal_that_an_earlier_version_wrote_down_is_read(
    store: PolicyStore, mesh: MeshAuthority, tmp_path: Path
) -> None:
    old = f'{{"generation": 1, "version": 3, "sha256": "{fingerprint(bundle(mesh, 3))}", "error": "no"}}'
    (tmp_path / "policy" / "rejected.json").write_text(old)
    again = PolicyStore(tmp_path, site="north", public_key=mesh.policy_public_key).rejections
    assert again.last() == refusal(bundle(mesh, 3), "no")


@pytest.mark.parametrize("text", ["{", "[]", "[1]", '{"generation": 1}', "null"])
def test_an_unreadable_refusal_only_costs_another_try(mesh: MeshAuthority, tmp_path: Path, text: str) -> None:
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "rejected.json").write_text(text)
    assert PolicyStore(tmp_path, site="north", public_key=mesh.policy_public_key).rejections.last() is None


def trial(bundle: PolicyBundle) -> Trial:
    place = bundle.version
    return Trial(generation=place.generation, version=place.version, fingerprint=fingerprint(bundle))


def test_a_policy_on_probation_is_active_until_it_is_taken_back(store: PolicyStore, mesh: MeshAuthority) -> None:
    store.activate(bundle(mesh, 1))
    store.activate(bundle(mesh, 2), trial=trial(bundle(mesh, 2)))
    assert running(store) == bundle(mesh, 2)
    assert store.on_probation() == trial(bundle(mesh, 2))
    assert store.fallback() == bundle(mesh, 1)
    store.roll_back(store.fallback())
    assert running(store) == bundle(mesh, 1)
    assert store.on_probation() is None


def test_a_committed_policy_is_what_the_next_one_falls_back_to(store: PolicyStore, mesh: MeshAuthority) -> None:
    store.activate(bundle(mesh, 1), trial=trial(bundle(mesh, 1)))
    store.commit()
    assert store.on_probation() is None
    store.activate(bundle(mesh, 2), trial=trial(bundle(mesh, 2)))
    assert store.fallback() == bundle(mesh, 1)


def test_what_was_not_committed_is_never_fallen_back_to(store: PolicyStore, mesh: MeshAuthority) -> None:
    store.activate(bundle(mesh, 1))
    for version in (2, 3, 4):
        store.activate(bundle(mesh, version), trial=trial(bundle(mesh, version)))
    assert running(store) == bundle(mesh, 4)
    assert store.fallback() == bundle(mesh, 1)
    assert [kept.bundle.version.version for kept in store.good()] == [4, 1]


def test_without_a_policy_before_it_nothing_is_left_after_going_back(store: PolicyStore, mesh: MeshAuthority) -> None:
    store.activate(bundle(mesh, 1), trial=trial(bundle(mesh, 1)))
    store.roll_back(store.fallback())
    assert store.load() is None


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"fingerprint": null}'])
def test_an_unreadable_note_means_that_nothing_is_on_probation(
    store: PolicyStore, mesh: MeshAuthority, tmp_path: Path, text: str
) -> None:
    store.activate(bundle(mesh, 1), trial=trial(bundle(mesh, 1)))
    (tmp_path / "policy" / "probation.json").write_text(text)
    assert store.on_probation() is None
    assert running(store) == bundle(mesh, 1)


def test_a_generation_outranks_a_version() -> None:
    assert Place(generation=2, version=1) > Place(generation=1, version=99)


def test_the_label_is_generation_and_version(mesh: MeshAuthority) -> None:
    assert policy_label(bundle(mesh, 17, generation=3)) == "3.17"
