"""Fine-tuning: a challenger really learns, the champion stays as it was, and models keep on disk."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from common.errors import BadModel, BadSource, TrainingFailed
from common.features import Image
from common.models.betting import BLOCK
from common.models.comparing import Comparison, digests_of
from common.models.comparing import compare as scored
from common.models.protocols import Challenger, TrainingProgress
from common.models.vfi.design import DESIGN
from common.models.vfi.first import first_champion, starting_model
from common.models.vfi.flow import warp_halfway
from common.models.vfi.kind import KIND
from common.models.vfi.model import MODEL_FILE, WEIGHTS_FILE, Interpolator, load_model
from common.models.vfi.scores import psnr_db, split_in_blocks, split_in_time
from common.models.vfi.trainer import InterpolatorTrainer
from common.models.vfi.training import Pool, Run
from common.models.vfi.triplets import TripletArray, collect_triplets

ROOT = Path(__file__).resolve().parents[4]
SIZE = (108, 192)  # height and width of triplets, a part of what these are at work that takes a quarter of the time
STEPS = 60
NO_LIMIT = 600.0  # seconds; these tests count steps


def footage(frames: int, *, seed: int = 0, sigma: float = 0.0) -> Iterator[Image]:
    """A camera that pans over a random landscape, at 192 x 320; `sigma` is its noise, grey levels."""
    numbers = np.random.default_rng(seed)
    land = sum(
        cv2.resize(numbers.normal(0, 30, (side, side, 3)), (700, 700), interpolation=cv2.INTER_CUBIC)
        for side in (8, 40, 160)
    )
    for i in range(frames):
        x, y = 300 + 20 * np.sin(i / 15), 300 + 20 * np.cos(i / 19)  # about a pixel a frame
        view = cv2.getRectSubPix((land + 128).astype(np.float32), (320, 192), (x, y))
        yield np.clip(view + numbers.normal(0, sigma, view.shape) * (sigma > 0), 0, 255).astype(np.uint8)


def triplets(frames: Iterator[Image], most: int) -> TripletArray:
    """Return up to `most` triplets (n, 3, *SIZE, 3) of 72 frames."""
    height, width = SIZE
    return np.ascontiguousarray(collect_triplets(frames, most, expected_frames=72)[:, :, :height, :width])


@pytest.fixture(scope="module")
def golden() -> TripletArray:
    return triplets(footage(72), 36)


@pytest.fixture(scope="module")
def drifted() -> TripletArray:
    return triplets(footage(72, seed=1, sigma=40.0), 48)


@pytest.fixture(scope="module")
def champion(golden: TripletArray) -> Interpolator:
    return first_champion(golden, steps=STEPS, seed=0)


def fine_tune(
    champion: Interpolator, drifted: TripletArray, golden: TripletArray
) -> tuple[Challenger[Interpolator], list[TrainingProgress]]:
    """Train on what a retraining does not hold out."""
    heard: list[TrainingProgress] = []
    drifted = drifted[split_in_time(len(drifted)).training]
    golden = golden[split_in_blocks(len(golden)).training]
    challenger = InterpolatorTrainer().fine_tune(
        champion, drifted, golden, steps=STEPS, seconds=NO_LIMIT, seed=0, progress=heard.append
    )
    return challenger, heard


@pytest.fixture(scope="module")
def tuned(
    champion: Interpolator, drifted: TripletArray, golden: TripletArray
) -> tuple[Challenger[Interpolator], list[TrainingProgress]]:
    return fine_tune(champion, drifted, golden)


def compare(
    champion: Interpolator, challenger: Challenger[Interpolator], drifted: TripletArray, golden: TripletArray
) -> Comparison:
    drifted_split, golden_split = split_in_time(len(drifted)), split_in_blocks(len(golden))
    return scored(
        KIND,
        champion,
        challenger.model,
        {"night": drifted[drifted_split.held_out]},
        golden[golden_split.held_out],
        trained_on=digests_of(drifted[drifted_split.training]) | digests_of(golden[golden_split.training]),
        live={},
        lost={},
        is_open=lambda scores: False,
        max_slowdown=1.5,
    )


def test_fine_tuning_gains_on_drifted_footage_and_keeps_golden_footage(
    champion: Interpolator, drifted: TripletArray, golden: TripletArray, request: pytest.FixtureRequest
) -> None:
    before = [w.copy() for w in champion.weights]
    challenger, heard = request.getfixturevalue("tuned")
    comparison = compare(champion, challenger, drifted, golden)
    assert comparison.stretches["night"].gains_db.mean() > 0.2
    assert comparison.golden.gains_db.mean() > -0.2
    assert challenger.steps == STEPS
    assert [p.step for p in heard] == sorted(p.step for p in heard)
    assert heard[-1].step == STEPS
    assert all(np.array_equal(a, b) for a, b in zip(before, champion.weights, strict=True))


def test_equal_seeds_give_equal_challengers(
    champion: Interpolator,
    drifted: TripletArray,
    golden: TripletArray,
    tuned: tuple[Challenger[Interpolator], list[TrainingProgress]],
) -> None:
    again, _ = fine_tune(champion, drifted, golden)
    one, other, before = KIND.score(
        [tuned[0].model, again.model, champion], drifted[split_in_time(len(drifted)).held_out]
    )
    assert np.allclose(one, other, atol=0.02)
    assert not np.allclose(one, before, atol=0.02)


def test_the_first_champion_is_above_averaging_and_above_flow_on_what_was_held_out(
    champion: Interpolator, golden: TripletArray
) -> None:
    held_out = golden[split_in_blocks(len(golden)).held_out]
    fitted, average, flow = KIND.score([champion, *KIND.references().values()], held_out)
    assert flow.mean() > average.mean() + 1.0, "the landscape moves"
    assert fitted.mean() > flow.mean()


def test_unfitted_weights_give_about_the_mean_of_the_refined_warps(golden: TripletArray) -> None:
    from common.models.vfi.network import new_weights

    triplets = golden[:4]
    mean = warp_halfway(triplets).refined.astype(float).mean(axis=1)
    assert np.abs(Interpolator(new_weights(0)).predict(triplets) - mean).mean() < 0.5, "grey levels"


def test_warps_of_footage_mirrored_in_time_are_the_same_in_the_other_order(golden: TripletArray) -> None:
    there, back = warp_halfway(golden[:3]).plain, warp_halfway(golden[:3, ::-1]).plain
    assert np.abs(there.astype(int) - back[:, ::-1]).max() <= 1


def test_every_predictor_scores_as_its_predictions_do(champion: Interpolator, golden: TripletArray) -> None:
    predictors = [champion, *KIND.references().values()]
    triplets = golden[:18]
    scores = KIND.score(predictors, triplets)
    for row, predictor in zip(scores, predictors, strict=True):
        assert np.allclose(row, psnr_db(predictor.predict(triplets), triplets[:, 1]), atol=1e-3)


def test_too_little_golden_footage_makes_no_first_model(golden: TripletArray) -> None:
    with pytest.raises(BadSource, match="11 golden frame triplets are too few"):
        KIND.first_model(golden[:11], steps=100, seed=0)


def test_frames_smaller_than_a_crop_and_of_odd_sides_can_be_trained_on(golden: TripletArray) -> None:
    small = np.ascontiguousarray(golden[:, :, :41, :51])
    challenger = InterpolatorTrainer().fine_tune(
        starting_model(), small[:6], small[6:12], steps=2, seconds=NO_LIMIT, seed=0, progress=lambda step: None
    )
    assert challenger.model.predict(small[:2]).shape == (2, 41, 51, 3)


def test_a_training_that_runs_out_of_time_returns_what_it_has(
    champion: Interpolator, drifted: TripletArray, golden: TripletArray
) -> None:
    challenger = InterpolatorTrainer().fine_tune(
        champion, drifted, golden, steps=100_000, seconds=0.01, seed=0, progress=lambda step: None
    )
    assert 1 <= challenger.steps < 100


def test_a_training_stops_when_it_no_longer_helps_and_returns_what_was_best(
    champion: Interpolator, golden: TripletArray
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (12, *golden.shape[1:]), np.uint8)
    engine = DESIGN.engine
    run = Run(  # what is trained on is unlike what is checked
        champion.weights, [(Pool.of(noise, engine), 4)], [(Pool.of(golden[12:16], engine), 1.0)],
        crop=(32, 48), rate=2e-3, steps=2000, decay=0.98, seed=0,
    )  # fmt: skip
    run.take_steps(NO_LIMIT, lambda step: None)
    assert 150 <= run.steps < 2000
    before, after = KIND.score([champion, Interpolator(run.best)], golden[12:16])
    assert after.mean() > before.mean() - 0.05


@pytest.mark.slow  # three trainings; that earlier conditions are trained on, `test_trainers_that_fail` shows
def test_an_earlier_condition_is_not_forgotten(champion: Interpolator) -> None:
    """What is learned of it comes from its own training examples; it is scored on others."""
    golden, drifted = triplets(footage(72), 24), triplets(footage(72, seed=1, sigma=40.0), 36)
    dark = np.asarray(np.clip(drifted // 4, 0, 255), np.uint8)  # low light, and its noise with it
    healed = InterpolatorTrainer().fine_tune(
        champion, dark[:20], golden, steps=STEPS, seconds=NO_LIMIT, seed=0, progress=lambda step: None
    )
    other = np.ascontiguousarray(255 - golden)
    scores = {}
    for name, earlier in (("without", []), ("with", [dark[:20]])):
        challenger = InterpolatorTrainer().fine_tune(
            healed.model, other, golden, earlier, steps=STEPS, seconds=NO_LIMIT, seed=0, progress=lambda step: None
        )
        scores[name] = float(KIND.score([challenger.model], dark[24:]).mean())
    assert scores["with"] > scores["without"]


def test_progress_tells_the_psnr_on_triplets_that_are_not_trained_on(
    champion: Interpolator,
    drifted: TripletArray,
    golden: TripletArray,
    tuned: tuple[Challenger[Interpolator], list[TrainingProgress]],
) -> None:
    _, heard = tuned
    checks = [row.check_db for row in heard if row.check_db is not None]
    assert len(checks) == len(heard)
    assert 15.0 < checks[0] < checks[-1] < 45.0, "it is measured again after 50 steps"
    none: list[TrainingProgress] = []
    InterpolatorTrainer().fine_tune(
        champion, drifted[:8], golden[:8], steps=2, seconds=NO_LIMIT, seed=0, progress=none.append
    )
    assert {row.check_db for row in none} == {None}, "with so few, all are trained on"


def test_a_training_that_diverges_says_so(drifted: TripletArray, golden: TripletArray) -> None:
    weights = [w.copy() for w in starting_model().weights]
    weights[-1][0] = np.nan
    with pytest.raises(TrainingFailed, match="no number after step 1: the training diverged"):
        InterpolatorTrainer().fine_tune(
            Interpolator(tuple(weights)), drifted, golden, steps=2, seconds=1.0, seed=0, progress=lambda step: None
        )


def test_a_prediction_looks_at_the_outer_frames_alone(champion: Interpolator, golden: TripletArray) -> None:
    hidden = golden[:3].copy()
    hidden[:, 1] = 0
    assert np.array_equal(champion.predict(golden[:3]), champion.predict(hidden))
    assert champion.predict(golden[:0]).shape == (0, *SIZE, 3)


def test_footage_too_short_to_train_on_is_refused(
    champion: Interpolator, drifted: TripletArray, golden: TripletArray
) -> None:
    with pytest.raises(BadSource, match="1 drifted"):
        InterpolatorTrainer().fine_tune(
            champion, drifted[:1], golden, steps=STEPS, seconds=NO_LIMIT, seed=0, progress=lambda step: None
        )


def test_champion_and_challenger_are_scored_on_what_neither_was_trained_on(
    champion: Interpolator, drifted: TripletArray, golden: TripletArray
) -> None:
    comparison = compare(champion, Challenger(champion, 0, 0.0), drifted, golden)
    night = comparison.stretches["night"]
    assert len(night.gains_db) == len(split_in_time(len(drifted)).held_out) // BLOCK * BLOCK
    assert len(comparison.golden.gains_db) == len(split_in_blocks(len(golden)).held_out)
    assert not night.gains_db.any() and not comparison.golden.gains_db.any()
    assert not comparison.trained_on & (night.digests | comparison.golden.digests)


def test_a_model_reads_back_from_its_folder(tmp_path: Path, champion: Interpolator, golden: TripletArray) -> None:
    champion.save(tmp_path / "v1")
    champion.save(tmp_path / "v1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v1"]
    assert np.array_equal(load_model(tmp_path / "v1").predict(golden[:2]), champion.predict(golden[:2]))


def test_a_model_that_was_damaged_or_swapped_is_refused(tmp_path: Path, champion: Interpolator) -> None:
    with pytest.raises(BadModel, match="nowhere"):
        load_model(tmp_path / "nowhere")
    champion.save(tmp_path / "cut")
    weights = tmp_path / "cut" / WEIGHTS_FILE
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(BadModel, match="cut"):
        load_model(tmp_path / "cut")
    champion.save(tmp_path / "swapped")
    Interpolator(tuple(w * 2 for w in champion.weights)).save(tmp_path / "other")
    (tmp_path / "other" / MODEL_FILE).rename(tmp_path / "swapped" / MODEL_FILE)
    with pytest.raises(BadModel, match="swapped"):
        load_model(tmp_path / "swapped")


def test_a_model_with_pickled_objects_is_refused(tmp_path: Path, champion: Interpolator) -> None:
    champion.save(tmp_path / "v1")
    np.savez(tmp_path / "v1" / WEIGHTS_FILE, w00=np.array([{"a": 1}], dtype=object))
    with pytest.raises(BadModel, match="v1"):
        load_model(tmp_path / "v1")


def test_importing_the_kind_does_not_import_tensorflow() -> None:
    code = "import sys, common.models.vfi.kind; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=dict(os.environ), check=False).returncode == 0
