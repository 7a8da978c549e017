"""Healing on real video and a real Redis: what becomes a condition, what never does, and what the incident says."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from common.baselines.binding import BaselineBinding
from common.baselines.storage import load_baseline, load_replay, save_baseline
from common.contracts.decisions import DecisionRecord, GateOutcome
from common.contracts.events import EventType
from common.contracts.incidents import ActionKind, IncidentState
from common.contracts.verdicts import Cause
from common.errors import BadModel, NotPromoted, OutdatedModel
from common.models.decisions import load_decision
from common.models.folders import decision_folders
from common.models.protocols import Examples
from common.models.registry import promote_by_hand
from common.models.vfi import kind as vfi_kind
from common.models.vfi.kind import InterpolationKind
from tests.common.models.lines import announced, folders, on_all
from tests.common.models.site import Site, statuses
from tests.common.models.thrifty import Denoiser, ThriftyKind

OF_NO_CAUSE_TO_TRAIN = {
    "black": "shows black",
    "frozen": "shows frozen",
    "covered": "shows covered",
    "noise, then black": "shows black",
    "shuffled frames": "shows banding",  # things in motion jump from place to place
}
CALLS_A_PERSON = OF_NO_CAUSE_TO_TRAIN | {
    "random pixels": "predicted no better by their neighbours",
}


def content(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


# --- one fault, one condition


def test_noise_that_is_healed_passes_on_its_stream_alone_and_golden_stays_as_it_was(site: Site) -> None:
    golden = site.settings.baselines_dir / "golden"
    before = content(golden)
    failed = site.show("dock", "noise")
    assert statuses(failed) == {"FAIL"}
    outcome = site.heal("dock")
    assert outcome.settled_as("dock") == "promoted"
    (condition,) = site.conditions
    assert (condition.stream, condition.cause, condition.incident) == ("dock", Cause.NOISE, site.incident("dock").id)
    assert site.champion is not None
    assert (site.champion.version, site.champion.parent) == (2, 1)

    later = site.show("dock", "noise again")
    assert statuses(later) == {"PASS"}
    assert {(row.condition.id, row.condition.golden_cause) for row in later if row.condition} == {
        (condition.id, Cause.NOISE)
    }
    assert all(row.condition for row in later)
    assert statuses(site.show("gate", "noise again")) == {"FAIL"}
    assert statuses(site.show("dock", "clean")) == {"PASS"}
    assert content(golden) == before
    assert {row.baseline_id for row in site.verdicts("dock")} == {condition.golden_id}


def test_the_incident_says_what_was_done_and_becomes_healed_when_its_footage_matches(site: Site) -> None:
    site.show("dock", "noise")
    site.heal("dock")
    (action,) = site.incident("dock").actions
    assert (action.kind, action.by) == (ActionKind.RETRAIN, "sentinel")
    assert action.ended_at is not None
    assert action.outcome.startswith("noise: v2 promoted: ")
    site.show("dock", "noise again")
    assert site.incident("dock").state is IncidentState.HEALED


@pytest.mark.parametrize(("clip", "reason"), CALLS_A_PERSON.items())
def test_what_blinds_a_camera_is_refused_with_its_reason(site: Site, clip: str, reason: str) -> None:
    assert statuses(site.show("dock", clip)) == {"FAIL"}
    outcome = site.heal("dock")
    assert outcome.rejected
    settled_as = outcome.settled_as("dock")
    assert settled_as == ("idle" if clip in OF_NO_CAUSE_TO_TRAIN else "rejected"), "a frame had to be read for it"
    assert reason in site.said("dock")
    assert site.said("dock").startswith("refused: ")
    assert site.champion is None, "not even a first one was needed"


@pytest.mark.parametrize("clip", ["black", "shuffled frames", "random pixels"])
def test_it_is_refused_beside_noise_of_the_same_stream_too(site: Site, clip: str) -> None:
    site.show("dock", "noise")
    site.show("dock", clip)
    site.heal("dock")
    assert CALLS_A_PERSON[clip] in site.said("dock")
    assert {condition.cause for condition in site.conditions} <= {Cause.NOISE}
    assert len(site.conditions) <= 1
    assert "FAIL" in statuses(site.show("dock", clip))


@pytest.mark.parametrize("guard", ["of frames", "of features"])
def test_what_rides_along_under_the_same_name_is_not_learned_with_the_rest(
    site: Site, guard: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The judge calls random pixels noise, and in the mean over the whole stretch its frames move as footage does."""
    if guard == "of features":
        monkeypatch.setattr(vfi_kind, "longest_break", lambda triplets: 0)
        monkeypatch.setattr(vfi_kind, "why_unfit", lambda surroundings: None)
    verdicts = site.show("dock", "random pixels amid noise")
    assert {row.cause for row in verdicts} == {Cause.NOISE}
    site.heal("dock")
    assert ("unlike their neighbours" if guard == "of frames" else "not of one kind") in site.said("dock")
    assert site.conditions == ()
    assert statuses(site.show("dock", "random pixels")) == {"FAIL"}


def test_footage_of_another_view_is_not_learned_whatever_it_is_called(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A camera that was turned may be called new content or noise; `framing` says how the view is compared."""
    compared: list[int] = []

    def turned(self: object, examples: Examples, golden: Examples) -> str:
        compared.append(len(golden))
        return "the camera was moved"

    monkeypatch.setattr(InterpolationKind, "why_elsewhere", turned)
    site.show("dock", "noise")
    site.heal("dock")
    assert "the camera was moved. If it is to look like this, say so with `sentinel streams acc" in site.said("dock")
    kept = load_replay(site.baselines.of_stream("dock").folder)
    assert kept is not None
    assert compared == [len(kept)], "with what is kept of the stream's own golden footage"
    assert site.conditions == ()
    assert site.champion is None


def test_the_same_footage_and_champion_are_not_tried_again(site: Site) -> None:
    site.show("dock", "covered")
    site.heal("dock")
    before = site.incident("dock")
    again = site.heal("dock")
    assert (again.settled_as("dock"), again.rejected, again.sentences) == ("idle", False, [])
    assert site.incident("dock") == before
    site.show("dock", "covered")
    assert site.heal("dock").rejected, "other footage is looked at"


# --- what the gate leaves open, and what it keeps of a decision


def test_an_open_decision_keeps_the_champion_and_later_footage_of_the_incident_decides_it(site: Site) -> None:
    for _ in range(6):
        site.store.champions.count_decision("vfi")  # a model about which much was decided needs more to go on
    site.show("dock", "noise")
    assert site.heal("dock").settled_as("dock") == "rejected", "the stream waits longer for its next one"
    assert "noise: v1 stays: " in site.said("dock")
    assert "inconclusive, dock@0 may gain less than asked for: later footage may say more" in site.said("dock")
    site.show("dock", "noise again")
    assert site.heal("dock").settled_as("dock") == "promoted", site.said("dock")
    first, second = decisions(site)
    assert (first.number, first.outcome) == (7, GateOutcome.INCONCLUSIVE)
    assert (second.number, second.outcome) == (8, GateOutcome.PROMOTED)
    assert second.error < first.error
    assert second.stretches[0].looked_at > first.stretches[0].looked_at, "of both pieces of its footage"
    assert statuses(site.show("dock", "noise")) == {"PASS"}


def test_every_decision_is_kept_with_its_evidence_and_a_picture(site: Site) -> None:
    strict = site.settings.model_copy(update={"promote_min_gain_db": 3.0})
    site.show("dock", "noise")
    site.heal("dock", settings=strict)
    assert "surely gains less than the 3.00 dB asked for" in site.said("dock")
    site.show("dock", "noise again")
    site.heal("dock")
    refused, promoted = decisions(site)
    assert (refused.outcome, promoted.outcome) == (GateOutcome.REFUSED, GateOutcome.PROMOTED)
    assert [row.name for row in promoted.stretches] == ["dock@0", "dock@168"]
    assert site.champion is not None
    assert promoted.challenger_digest == site.champion.model_digest
    assert (site.champion.reason, site.champion.gain_db) == (promoted.reason, promoted.gain_db)
    kept = decision_folders(site.settings.state_dir, "vfi")
    assert site.champion.decision == str(kept[-1])
    for folder in kept:
        picture = cv2.imread(str(folder / "examples.png"))
        assert picture.shape[1] == 4 * 240, "truth, champion, challenger, and the one reference of this kind"


def decisions(site: Site) -> list[DecisionRecord]:
    return [load_decision(folder) for folder in decision_folders(site.settings.state_dir, "vfi")]


# --- a champion that copes


def test_a_champion_that_copes_is_proved_without_training(site: Site) -> None:
    site.show("dock", "noise")
    site.heal("dock")
    site.reports.clear()
    site.show("gate", "noise again")
    assert site.heal("gate").settled_as("gate") == "promoted"
    assert site.champion is not None
    assert site.champion.version == 2
    assert "training" not in site.reports
    assert [condition.stream for condition in site.conditions] == ["dock", "gate"]
    assert "proved without training: v2 copes" in site.said("gate")
    assert statuses(site.show("gate", "noise")) == {"PASS"}


def test_two_streams_are_healed_by_one_training(site: Site) -> None:
    site.show("dock", "noise")
    site.show("gate", "noise again")
    outcome = site.heal("dock", "gate")
    assert [outcome.settled_as(stream) for stream in ("dock", "gate")] == ["promoted", "promoted"]
    assert site.champion is not None
    assert site.champion.version == 2
    assert {condition.stream for condition in site.conditions} == {"dock", "gate"}


def test_what_is_refused_of_one_stream_counts_for_it_alone(site: Site) -> None:
    site.show("dock", "noise")
    site.show("gate", "random pixels")
    site.show("yard", "covered")
    outcome = site.heal("gate", "yard", "dock")
    assert {stream: outcome.settled_as(stream) for stream in ("dock", "gate", "yard")} == {
        "dock": "promoted",
        "gate": "rejected",
        "yard": "idle",
    }
    assert not outcome.rejected


def test_a_fault_that_grows_is_not_learned_step_by_step(site: Site) -> None:
    site.show("dock", "noise")
    site.heal("dock")
    worse = site.show("dock", "noise worse")
    assert statuses(worse) == {"FAIL"}
    assert site.heal("dock").settled_as("dock") == "rejected"
    assert "there is a condition of noise already" in site.said("dock")
    assert len(site.conditions) == 1
    assert statuses(site.show("dock", "noise worse")) == {"FAIL"}


def test_a_promotion_proves_the_conditions_of_all_streams_again(site: Site) -> None:
    site.show("dock", "noise")
    site.heal("dock")
    site.show("gate", "noise worse")
    site.heal("gate")
    assert site.champion is not None
    assert site.champion.version == 3
    assert [condition.stream for condition in site.conditions] == ["dock", "gate"]
    assert statuses(site.show("dock", "noise again")) == {"PASS"}


def test_a_champion_of_an_outdated_architecture_makes_room_for_a_new_first_one(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.show("dock", "noise")
    site.heal("dock")
    assert site.champion is not None
    (condition,), old = site.conditions, site.champion
    load = ThriftyKind.load

    def load_what_is_not_outdated(kind: ThriftyKind, folder: Path) -> Denoiser:
        if str(folder) == old.model_path:
            raise OutdatedModel("of another kind")
        return load(kind, folder)

    monkeypatch.setattr(ThriftyKind, "load", load_what_is_not_outdated)
    site.show("gate", "noise again")
    assert site.heal("gate").settled_as("gate") == "promoted"
    first, second = site.store.champions.history("vfi")[-2:]
    assert (first.version, first.parent, first.conditions, first.ended) == (3, None, (), (condition,))
    assert [row.stream for row in second.conditions] == ["gate"]
    assert EventType.CONDITION_DROPPED in announced(site.store)
    assert statuses(site.show("dock", "noise again")) == {"FAIL"}, "nothing is proved on it any more"
    assert "v3 is champion and not proved on it" in site.said("dock")


# --- what keeps it from healing


@pytest.mark.parametrize("how", ["edited", "of another version", "gone"])
def test_a_champion_whose_files_are_not_its_own_stays_and_the_incident_says_why(site: Site, how: str) -> None:
    site.show("dock", "noise")
    site.heal("dock")
    before = site.champion
    assert before is not None and before.model_path is not None
    model = Path(before.model_path)
    kept = model.with_name("kept")
    shutil.copytree(model, kept)
    first = site.store.champions.history("vfi")[0]
    assert first.model_path is not None
    if how == "edited":
        (model / "shares.json").write_text("[[1, 0.123]]")
    else:
        shutil.rmtree(model)
        if how == "of another version":
            shutil.copytree(first.model_path, model)
    site.show("gate", "noise worse")
    with pytest.raises(BadModel) if how != "gone" else pytest.raises(OSError):  # this kind does not say it better
        site.heal("gate")
    assert site.champion == before
    assert site.said("gate").startswith("broke off: ")
    assert ("No such file" if how == "gone" else "is not the one that became v2 of 'vfi'") in site.said("gate")
    shutil.rmtree(model, ignore_errors=True)
    shutil.copytree(kept, model)
    assert site.heal("gate").settled_as("gate") == "promoted", "once it is restored"


def test_an_incident_over_another_golden_baseline_is_refused(site: Site, tmp_path: Path) -> None:
    site.show("dock", "noise")
    shutil.copytree(site.settings.baselines_dir, tmp_path / "rebuilt")
    folder = tmp_path / "rebuilt" / "golden"
    baseline = load_baseline(folder).baseline
    save_baseline(replace(baseline, created_at=baseline.created_at + 1.0), folder, load_replay(folder))
    own = site.settings.model_copy(update={"baselines_dir": tmp_path / "rebuilt"})
    replace(site, baselines=BaselineBinding(own, site.store)).heal("dock")
    assert "another golden baseline now" in site.said("dock")
    assert site.champion is None


def test_footage_whose_file_is_gone_is_refused_and_a_restored_one_heals(site: Site, tmp_path: Path) -> None:
    clip = Path(site.camera["noise"].sources[0])
    site.show("dock", "noise")
    clip.rename(tmp_path / clip.name)
    try:
        assert site.heal("dock").settled_as("dock") == "rejected"
    finally:
        (tmp_path / clip.name).rename(clip)
    assert clip.name in site.said("dock")
    assert site.champion is None


def test_footage_with_too_few_triplets_is_refused_and_the_incident_says_how_many_there_are(site: Site) -> None:
    site.show("dock", "noise")
    few = site.settings.model_copy(update={"retrain_max_triplets": 60})
    assert site.heal("dock", settings=few).settled_as("dock") == "rejected"
    assert "120 are needed to prove a model on: wait for more footage" in site.said("dock")
    assert site.champion is None


def test_a_challenger_than_which_somebody_else_was_quicker_leaves_nothing_behind(site: Site) -> None:
    site.show("dock", "noise")
    site.heal("dock")
    site.show("gate", "noise worse")
    before = folders(site.settings)

    def overtaken(stage: str, *_: object) -> None:
        if stage == "comparing":
            promote_by_hand(site.store, "vfi", 1, on_all, by="ada")

    decided = len(decisions(site))
    with pytest.raises(NotPromoted):
        site.heal("gate", report=overtaken)
    assert len(decisions(site)) == decided
    assert site.champion is not None
    assert (site.champion.version, [row.stream for row in site.champion.conditions]) == (3, ["dock"])
    assert folders(site.settings) == before
    assert "broke off: " in site.said("gate")
    assert "look again and retry" in site.said("gate")
    assert statuses(site.show("gate", "noise worse")) == {"FAIL"}
