"""Frames that learning keeps for healing: of real footage, spread over the bursts, as many as there is room for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.baselines.learning import pictures
from common.baselines.learning.epoch import Epoch
from common.errors import BadBaseline
from common.settings import Settings
from tests.footage import scene, write_clip
from tests.learning import GROUPS, MORNING, shot
from tests.objects import away


def burst_of(path: Path, seed: int):  # type: ignore[no-untyped-def]
    block = shot(MORNING, seed=seed)
    block.times[:] = np.arange(len(block)) / 10.0
    return replace(block, sources=(str(path),))


def test_every_burst_has_its_share_and_what_is_gone_gives_none(settings: Settings) -> None:
    settings.watch_dir.mkdir(parents=True)
    write_clip(settings.watch_dir / "cam.mp4", scene(24), fps=10)
    folder = settings.state_dir / "epoch"
    for slot in range(30):
        pictures._write(folder, slot, np.full((10, 3, 4, 4, 3), slot, np.uint8))
    blocks = {99: burst_of(settings.watch_dir / "gone.mp4", 1), 100: burst_of(settings.watch_dir / "cam.mp4", 2)}
    pictures.keep_pictures(folder, blocks, "dock", settings)
    kept = {slot: len(examples) for slot, examples in pictures.load_pictures(folder).items()}
    assert kept == {**dict.fromkeys(range(30), 6), 100: 6}
    assert pictures.count_pictures(folder) == 186 <= pictures.MOST_PICTURES


def test_an_object_that_its_storage_does_not_give_holds_no_learning_up(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = away(settings, monkeypatch)
    settings.watch_dir.mkdir(parents=True)
    write_clip(settings.watch_dir / "cam.mp4", scene(24), fps=10)
    stored = replace(burst_of(Path(), 1), sources=("s3://site/cam.mp4",))
    folder = settings.state_dir / "epoch"
    pictures.keep_pictures(folder, {1: stored, 2: burst_of(settings.watch_dir / "cam.mp4", 2)}, "dock", own)
    assert pictures.load_pictures(folder).keys() == {2}


def test_of_a_burst_that_was_being_thinned_out_when_the_process_was_killed_the_smaller_part_counts(
    tmp_path: Path,
) -> None:
    for count in (10, 4, 7):
        pictures._write(tmp_path, 5, np.zeros((count, 3, 4, 4, 3), np.uint8))
    assert pictures.count_pictures(tmp_path) == 4


def test_pictures_that_were_damaged_are_named(tmp_path: Path) -> None:
    epoch = Epoch(tmp_path / "0", GROUPS)
    pictures._write(epoch.folder, 1, np.zeros((3, 3, 4, 4, 3), np.uint8))
    fit = epoch.fit_folder("abc")
    examples = pictures.golden_examples(fit)
    assert examples is not None
    assert len(examples) == 3
    (path,) = (epoch.folder / "pictures").glob("*.npz")
    path.write_bytes(b"PK")
    with pytest.raises(BadBaseline, match="delete it"):
        pictures.golden_examples(fit)
