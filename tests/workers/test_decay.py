"""A model that decays is found on clean footage, and a sound one is left alone, through real workers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.contracts.batches import FrameBatch
from common.contracts.model_scores import MODEL_GROUP
from common.contracts.verdicts import Cause, Status
from common.features import FeatureBlock
from common.live_scores import LiveScores
from common.models.golden_reference import golden_scores
from common.models.vfi.model import Interpolator
from common.sources.identity import describe_source
from common.sources.limits import Limits
from simulation.model_faults import perturbed
from tests.common.models.site import WINDOW
from tests.workers.decaying import STREAM, Yard
from workers import context, embedding, reducer


def test_a_sound_champion_passes_clean_footage_and_is_stated(yard: Yard, champion: Interpolator) -> None:
    yard.crown(champion)
    yard.show("clean")
    yard.refer()
    judged = yard.show("clean")
    stated = [verdict.model for verdict in judged if verdict.model is not None]
    assert len(stated) > len(judged) / 2, "most windows have motion"
    assert not any(model.decayed for model in stated)
    assert {verdict.status for verdict in judged} == {Status.PASS}
    assert all(verdict.feature_groups[-1].group == MODEL_GROUP for verdict in judged if verdict.model is not None)


def test_perturbed_weights_are_named_within_two_windows_of_clean_footage(yard: Yard, champion: Interpolator) -> None:
    """However they came to be champion: they fell behind what was there before."""
    yard.crown(champion)
    yard.show("clean")
    yard.refer()
    yard.crown(perturbed(champion))
    before = yard.show("clean")
    assert {(verdict.status, verdict.model) for verdict in before} == {(Status.PASS, None)}, "scores of another version"
    assert yard.refer().behind_db > yard.settings.promote_max_loss_db
    judged = yard.show("clean")
    first = next(verdict for verdict in judged if verdict.status is Status.FAIL)
    assert first.cause is Cause.MODEL_DECAY
    assert first.stop <= judged[0].start + 2 * WINDOW
    assert {verdict.cause for verdict in judged} <= {None, Cause.MODEL_DECAY}
    assert first.model is not None and first.model.decayed and first.model.now < first.model.golden
    assert "the model does worse" in first.model.sentence
    assert first.leading_features[0].window_value < first.leading_features[0].baseline_value
    assert first.began is not None and first.began.source.endswith("clean.mp4")


def test_a_first_champion_below_the_starting_weights_has_decayed(yard: Yard, champion: Interpolator) -> None:
    yard.crown(perturbed(champion))
    yard.show("clean")
    assert yard.refer().behind_db > 0
    assert Cause.MODEL_DECAY in {verdict.cause for verdict in yard.show("clean")}


@pytest.mark.parametrize("sound", [True, False])
def test_a_fault_stays_the_same_fail_and_says_whether_the_model_copes(
    yard: Yard, champion: Interpolator, sound: bool
) -> None:
    without = yard.show("noise")
    yard.crown(champion)
    yard.refer()
    if not sound:
        yard.crown(perturbed(champion))
        yard.refer()
    judged = yard.show("noise")
    keys = [(verdict.status, verdict.cause, verdict.drift_score, verdict.p_value) for verdict in judged]
    assert keys == [(verdict.status, verdict.cause, verdict.drift_score, verdict.p_value) for verdict in without]
    said = {verdict.model.sentence.partition(":")[0] for verdict in judged if verdict.model is not None}
    assert ("the model copes" in said) is sound


def test_motionless_footage_has_no_scores_and_is_judged_as_before(yard: Yard, champion: Interpolator) -> None:
    without = yard.show("frozen")
    yard.crown(perturbed(champion))
    yard.refer()
    judged = yard.show("frozen")
    still = [verdict for verdict in judged if verdict.cause is Cause.FROZEN]
    assert still and {verdict.model for verdict in still} == {None}
    assert [verdict.cause for verdict in judged] == [verdict.cause for verdict in without]


def test_scores_follow_from_the_frames_and_not_from_how_the_work_is_cut_or_delivered(
    yard: Yard, champion: Interpolator
) -> None:
    yard.crown(champion)
    spec = context.baselines().of_stream(STREAM).baseline.feature_spec
    source = describe_source(yard.folder / "clean.mp4", Limits())

    def scores(*starts: int) -> LiveScores:
        batch = FrameBatch(
            id="b", stream=STREAM, source=source, expected_frames=240, starts=starts, feature_spec=spec, received_at=0.0
        )
        found = FeatureBlock.concatenate([embedding.extract(chunk) for chunk in batch.chunks()]).scores
        assert found is not None
        return found

    whole, again, cut = scores(0), scores(0), scores(0, 37, 90)
    assert len(whole.frames) > 4
    for other in (again, cut):
        assert np.array_equal(whole.frames, other.frames)
        np.testing.assert_allclose(whole.values, other.values, atol=1e-3)


def test_a_champion_whose_file_was_edited_costs_the_scores_and_not_the_features(
    yard: Yard, champion: Interpolator, caplog: pytest.LogCaptureFixture
) -> None:
    record = yard.crown(champion)
    perturbed(champion, seed=7).save(Path(str(record.model_path)))
    judged = yard.show("clean")
    assert {(verdict.status, verdict.model) for verdict in judged} == {(Status.PASS, None)}
    assert "is not the one that became v1" in caplog.text


def test_nobody_asks_where_the_setting_says_so(
    yard: Yard, champion: Interpolator, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard.crown(perturbed(champion))
    off = yard.settings.model_copy(update={"decay_triplets": 0})
    monkeypatch.setattr(context, "get_settings", lambda: off)
    assert {verdict.model for verdict in yard.show("clean")} == {None}
    assert not yard.store.client.llen("embed"), "no reference was asked for"


def test_a_chunk_asks_for_the_reference_of_its_champion_once(yard: Yard, champion: Interpolator) -> None:
    yard.show("clean")
    assert not yard.store.client.llen("embed"), "there is no champion yet"
    yard.crown(champion)
    yard.show("clean")
    assert yard.store.client.llen("embed") == 1
    made = yard.refer()
    assert yard.refer() == made, "it is made once"
    yard.store.forgetting.forget(STREAM)
    assert golden_scores(yard.store, STREAM) is None


@pytest.mark.slow
@pytest.mark.timeout(900)  # it trains, which takes two minutes on a quiet machine
@pytest.mark.parametrize("yard_size", [(144, 256)], indirect=True)  # on smaller ones it hardly gains on optical flow
def test_a_model_that_decayed_is_healed_on_clean_footage_and_leaves_no_condition(
    yard: Yard, champion: Interpolator, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Many of the drawn camera's triplets are across a cut, and would leave windows without scores.
    # Steps are counted, as a busy machine takes too few of them in the time that there is by default.
    own = {
        "retrain_steps": 200,
        "promote_error": 0.5,  # the gate has tests of its own
        "retrain_seconds": 900.0,
        "false_alarms_per_day": 1e9,
        "decay_triplets": 8,
    }
    yard.settings = yard.settings.model_copy(update=own)
    for module in (context, embedding, reducer):
        monkeypatch.setattr(module, "get_settings", lambda: yard.settings)
    yard.crown(perturbed(champion, share=0.55))
    yard.show("clean")
    yard.refer()
    yard.show("clean", times=6)
    (incident,) = yard.store.streams.incidents(STREAM)
    assert incident.cause is Cause.MODEL_DECAY
    assert incident.model_score is not None and incident.model_score.decayed
    outcome = yard.heal()
    record = yard.store.champions.champion("vfi")
    assert outcome.healed == {STREAM}, outcome.sentences
    assert record is not None and record.version == 2 and not record.conditions
    yard.heal()
    assert yard.store.champions.champion("vfi") == record, "its windows had another champion"
    (incident,) = yard.store.streams.incidents(STREAM)
    assert incident.actions[-1].outcome == "v2 took the place of the model that decayed"
    yard.show("clean")
    assert yard.refer().behind_db == 0
    judged = yard.show("clean")
    assert {verdict.status for verdict in judged} == {Status.PASS}
    assert any(verdict.model is not None for verdict in judged)
