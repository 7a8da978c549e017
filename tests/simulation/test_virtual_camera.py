"""The virtual camera's footage moves, is reproducible by its seed, and is alike across seeds."""

from __future__ import annotations

import importlib.util
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from common.contracts.batches import SourceKind
from common.errors import NoPhotographs
from common.features import Image
from common.modalities.video.decode import probe, sampled_frames
from common.sources.limits import Limits
from simulation.virtual_camera import SCENES, film, load_photograph, record

FPS = 10.0
SIZE = {"width": 160, "height": 90}


def shots(seed: int, count: int) -> list[Image]:
    return list(film([load_photograph(name) for name in SCENES], count=count, fps=FPS, seed=seed, **SIZE))


def test_a_recording_has_the_length_rate_and_size_asked(tmp_path: Path) -> None:
    record(tmp_path / "a.mp4", seconds=1.5, fps=12, seed=1)
    info = probe(tmp_path / "a.mp4", SourceKind.RECORDING, Limits())
    assert (info.width, info.height, info.fps, info.frames) == (640, 360, 12.0, 18)


def test_equal_seeds_record_equal_frames_and_others_do_not(tmp_path: Path) -> None:
    first, again, other = shots(1, 30), shots(1, 30), shots(2, 30)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_every_frame_differs_from_the_previous_one_and_mostly_by_little() -> None:
    images = [image.astype(float) for image in shots(3, 80)]
    steps = np.array([np.abs(b - a).mean() for a, b in pairwise(images)])
    assert steps.min() > 1.0
    ranked = np.sort(steps)
    assert np.median(steps) < ranked[-5] / 2, "at least five changes of scene, and smooth motion between them"


def test_rounds_of_different_seeds_are_alike() -> None:
    frames = 66  # one round
    means = [np.mean([image.mean() for image in shots(seed, frames)]) for seed in range(4)]
    spread = np.std([image.mean() for image in shots(0, frames)])
    assert np.std(means) < spread / 3


def test_a_recording_decodes_to_the_frames_that_were_filmed(tmp_path: Path) -> None:
    record(tmp_path / "a.mp4", seconds=1, fps=FPS, seed=5, **SIZE)
    frames = sampled_frames(
        tmp_path / "a.mp4", SourceKind.RECORDING, sample_fps=None, start=0, stop=None, limits=Limits()
    )
    for frame, image in zip(frames, shots(5, 10), strict=True):
        assert abs(frame.image.mean() - image.mean()) < 0.5


def test_without_scikit_image_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NoPhotographs, match=r"pip install '\.\[demo\]'"):
        record(tmp_path / "a.mp4", seconds=1, fps=FPS, seed=1)
    assert not (tmp_path / "a.mp4").exists()
