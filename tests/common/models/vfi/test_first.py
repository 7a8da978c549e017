"""The starting weights that ship, and the first champion that is made of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from common.errors import BadModel, OutdatedModel
from common.models.vfi.design import DESIGN
from common.models.vfi.first import first_champion, starting_model
from common.models.vfi.kind import KIND
from common.models.vfi.model import MODEL_FILE, WEIGHTS_FILE, load_model
from common.models.vfi.network import weight_shapes
from common.models.vfi.scores import split_in_blocks
from common.models.vfi.triplets import TripletArray, collect_triplets
from tests.common.models.site import make_triplets
from tests.common.models.vfi.test_trainer import footage

FEW_STEPS = 30  # in which other seeds are a decibel apart on a triplet; `test_trainer` and the workers' tests take all


@pytest.fixture(scope="module")
def golden() -> TripletArray:
    with pytest.MonkeyPatch.context() as monkeypatch:
        make_triplets((120, 200), monkeypatch)
        return collect_triplets(footage(96, seed=5), 36, expected_frames=96)


def test_the_starting_weights_are_small_and_say_where_they_are_from() -> None:
    assert sum(path.stat().st_size for path in DESIGN.starting.iterdir()) < 1_000_000
    licences = (DESIGN.starting / "LICENCES.md").read_text(encoding="utf-8")
    assert "CC BY" in licences
    assert [w.shape for w in starting_model().weights] == weight_shapes(further=0)


def test_the_starting_weights_are_above_flow_on_footage_that_they_have_not_seen(golden: TripletArray) -> None:
    model, flow = KIND.score([starting_model(), KIND.references()["dis"]], golden)
    assert (model - flow).mean() > 0.1


def test_starting_weights_that_were_edited_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "starting"
    shutil.copytree(DESIGN.starting, folder)
    with np.load(folder / WEIGHTS_FILE, allow_pickle=False) as file:
        weights = {name: file[name] for name in file.files}
    weights["w00"] = weights["w00"] + np.float32(1e-3)
    np.savez(folder / WEIGHTS_FILE, **weights)
    with pytest.raises(BadModel, match="not what was saved"):
        load_model(folder)


def test_a_model_of_another_kind_is_refused_with_what_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "old"
    shutil.copytree(DESIGN.starting, folder)
    described = (folder / MODEL_FILE).read_text(encoding="utf-8")
    (folder / MODEL_FILE).write_text(described.replace("head-8", "blend-8"), encoding="utf-8")
    with pytest.raises(OutdatedModel, match=r"blend-8, not head-8\): the next retraining fits a new first champion"):
        load_model(folder)


def test_equal_seeds_give_equal_first_champions(golden: TripletArray) -> None:
    one, other = (first_champion(golden, steps=FEW_STEPS, seed=1) for _ in range(2))
    assert one.digest != starting_model().digest
    scores = KIND.score([one, other, starting_model()], golden)
    assert np.allclose(scores[0], scores[1], atol=0.02)
    held_out = split_in_blocks(len(golden)).held_out
    assert scores[0][held_out].mean() >= scores[2][held_out].mean(), "nor are they below the starting weights"


def test_golden_footage_that_teaches_nothing_leaves_the_starting_weights() -> None:
    still = np.repeat(collect_triplets(footage(3), 1, expected_frames=3)[:, :1], 3, axis=1)
    assert first_champion(np.repeat(still, 24, axis=0), steps=FEW_STEPS, seed=0).digest == starting_model().digest
