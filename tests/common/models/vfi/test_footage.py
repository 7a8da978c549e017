"""Triplets of footage: consecutive frames in time order, and whether they move as footage does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import BadSource
from common.features import FeatureBlock, Image
from common.models.protocols import Footage
from common.models.vfi.kind import KIND
from common.models.vfi.motion import why_unfit
from common.models.vfi.triplets import TRIPLET_SIZE, collect, collect_triplets, spread
from common.settings import Settings
from common.sources.limits import Limits
from simulation.faults import Fault, sabotage_frames
from tests.common.models.vfi.test_trainer import footage
from tests.footage import write_clip
from tests.objects import ObjectServer, object_server, objects, reaching

__all__ = ["object_server", "objects"]  # fixtures

FRAMES = 90


@settings(deadline=None)
@given(frames=st.integers(0, 40), most=st.integers(1, 20), promised=st.integers(0, 60))
def test_triplets_are_consecutive_frames_and_never_too_many(frames: int, most: int, promised: int) -> None:
    grey = (np.full((12, 20, 3), i, np.uint8) for i in range(frames))
    triplets = collect_triplets(grey, most, expected_frames=promised)
    assert triplets.shape[1:] == (3, *TRIPLET_SIZE, 3)
    assert len(triplets) <= most
    if frames >= promised >= 3:
        assert len(triplets) == min(most, promised - 2)
    numbers = triplets[:, :, 0, 0, 0].astype(int)
    assert np.array_equal(np.diff(numbers, axis=1), np.ones((len(numbers), 2)))
    assert len(set(numbers[:, 0])) == len(numbers)
    assert (np.diff(numbers[:, 0]) > 0).all()


@settings(deadline=None)
@given(frames=st.integers(0, 60), most=st.integers(1, 60))
def test_surroundings_are_ten_frames_from_the_middle_frame(frames: int, most: int) -> None:
    grey = (np.full((12, 20, 3), i, np.uint8) for i in range(frames))
    collected = collect(grey, spread(frames, most))
    numbers = collected.surroundings[:, :, 0, 0, 0].astype(int)
    assert np.array_equal(numbers - numbers[:, 2:3], np.tile([-10, -1, 0, 1, 10], (len(numbers), 1)))
    inside = sum(10 <= start + 1 < frames - 10 for start in spread(frames, most))
    assert len(numbers) == inside


def unfit(frames: list[Image]) -> str | None:
    return why_unfit(collect(frames, spread(len(frames), 60)).surroundings)


def moving() -> list[Image]:
    return list(footage(FRAMES))


def black() -> list[Image]:
    return [np.zeros((192, 320, 3), np.uint8)] * FRAMES


def frozen() -> list[Image]:
    return [next(footage(1))] * FRAMES


def frozen_with_noise() -> list[Image]:
    return list(sabotage_frames(frozen(), Fault.NOISE, 3))


def random_pixels() -> list[Image]:
    numbers = np.random.default_rng(0)
    return [numbers.integers(0, 256, (192, 320, 3), dtype=np.uint8) for _ in range(FRAMES)]


def shuffled() -> list[Image]:
    frames = moving()
    return [frames[i] for i in np.random.default_rng(0).permutation(FRAMES)]


def stills_in_random_order() -> list[Image]:
    stills = [next(footage(1, seed=seed)) for seed in range(12)]
    walk = np.cumsum(np.random.default_rng(0).integers(-1, 2, FRAMES))
    return [stills[i % len(stills)] for i in walk]


@pytest.mark.parametrize("show", [black, frozen, frozen_with_noise, random_pixels, shuffled, stills_in_random_order])
def test_footage_without_motion_is_never_trained_on(show: Callable[[], list[Image]]) -> None:
    reason = unfit(show())
    assert reason is not None
    assert "nothing can be learned" in reason


@pytest.mark.parametrize("fault", [None, Fault.NOISE, Fault.BLUR, Fault.LOW_LIGHT, Fault.COMPRESSION])
def test_footage_that_moves_may_be_trained_on_however_bad_it_is(fault: Fault | None) -> None:
    assert unfit(moving() if fault is None else list(sabotage_frames(moving(), fault, 5))) is None


@pytest.mark.parametrize("fault", [None, Fault.NOISE])
def test_frames_out_of_order_amid_others_are_found_though_the_mean_is_good(fault: Fault | None) -> None:
    frames = list(footage(6 * FRAMES))
    if fault is not None:
        frames = list(sabotage_frames(frames, fault, 3))
    assert why_unfit(collect(frames, spread(len(frames), 300)).surroundings) is None
    middle = [frames[FRAMES + i] for i in np.random.default_rng(0).permutation(FRAMES)]
    mixed = [*frames[:FRAMES], *middle, *frames[2 * FRAMES :]]
    assert "rides along" in (why_unfit(collect(mixed, spread(len(mixed), 300)).surroundings) or "")


def test_a_quiet_moment_amid_motion_is_no_disorder() -> None:
    frames = [*moving(), *[moving()[-1]] * FRAMES]
    noisy = list(sabotage_frames(frames, Fault.NOISE, 1))
    assert unfit(frames) is None
    assert "rides along" not in (unfit(noisy) or "")


def test_footage_too_short_to_tell_is_not_trained_on() -> None:
    reason = unfit(moving()[:22])
    assert reason is not None
    assert "too short to tell" in reason


def stretch(path: Path, frames: int, *, start: int, fps: float) -> FeatureBlock:
    """Features of a stretch of one video; only their times matter here."""
    nothing = np.zeros((frames, 1), np.float32)
    return FeatureBlock(
        {"quality": nothing}, (start + np.arange(frames)) / fps, (str(path),), np.zeros(frames, np.int32)
    )


def test_a_stretch_is_read_at_its_full_frame_rate_and_in_time_order(tmp_path: Path) -> None:
    grey = [np.full((108, 192, 3), 2 * i, np.uint8) for i in range(100)]
    path = write_clip(tmp_path / "a.mp4", grey, fps=10.0)
    read = KIND.read_stretch(stretch(path, 40, start=30, fps=10.0), limits=Limits(), roots=[tmp_path], most=300)
    assert len(read.examples) == 38
    numbers = read.examples[:, :, 50, 50, 0].astype(float) / 2
    assert np.abs(numbers[:, 1] - np.arange(31, 69)).max() <= 1.0
    few = KIND.read_stretch(stretch(path, 40, start=30, fps=10.0), limits=Limits(), roots=[tmp_path], most=7)
    assert len(few.examples) == 7


def test_a_stretch_at_the_very_start_or_end_of_its_source_can_be_read(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", moving(), fps=10.0)
    for start in (0, FRAMES - 40):
        read = KIND.read_stretch(stretch(path, 40, start=start, fps=10.0), limits=Limits(), roots=[tmp_path], most=300)
        assert len(read.examples) >= 37
        assert read.unfit is None


def test_sources_of_mixed_sizes_are_read_at_one_and_no_triplet_reaches_from_one_to_the_other(tmp_path: Path) -> None:
    small, large = moving()[:40], [np.repeat(np.repeat(image, 2, 0), 2, 1) for image in moving()[40:80]]
    paths = [write_clip(tmp_path / name, images, fps=10.0) for name, images in (("a.mp4", small), ("b.mp4", large))]
    one, other = (stretch(path, 40, start=0, fps=10.0) for path in paths)
    both = FeatureBlock(
        {"quality": np.zeros((80, 1), np.float32)},
        np.concatenate([one.times, other.times]),
        tuple(map(str, paths)),
        np.repeat(np.arange(2, dtype=np.int32), 40),
    )
    read = KIND.read_stretch(both, limits=Limits(), roots=[tmp_path], most=300)
    assert read.unfit is None
    assert read.examples.shape == (2 * 38, 3, *TRIPLET_SIZE, 3)
    apart = [KIND.read_stretch(row, limits=Limits(), roots=[tmp_path], most=300).examples for row in (one, other)]
    np.testing.assert_array_equal(read.examples, np.concatenate(apart))


def read_whole(path: Path, frames: list[Image]) -> Footage:
    write_clip(path, frames, fps=10.0)
    whole = stretch(path, len(frames), start=0, fps=10.0)
    return KIND.read_stretch(whole, limits=Limits(), roots=[path.parent], most=300)


def test_random_pixels_within_noise_are_not_learned_with_it(tmp_path: Path) -> None:
    """Most of the stretch moves as footage does, and the judge calls all of it noise."""
    noisy = list(sabotage_frames(moving(), Fault.NOISE, 3))
    frames = [*noisy, *random_pixels()[:20], *noisy]
    assert unfit(frames) is None, "in the mean it moves"
    read = read_whole(tmp_path / "a.mp4", frames)
    assert read.unfit is not None
    assert "frames one after the other are unlike their neighbours" in read.unfit
    assert "nothing can be learned" in read.unfit


def test_a_stretch_with_cuts_is_learned_without_them(tmp_path: Path) -> None:
    scenes = [list(footage(30, seed=seed)) for seed in range(3)]
    read = read_whole(tmp_path / "a.mp4", [image for scene in scenes for image in scene])
    assert read.unfit is None
    assert len(read.examples) == 90 - 2 - 2 * 2


@pytest.mark.parametrize("fault", [Fault.NOISE, Fault.BLUR, Fault.LOW_LIGHT, Fault.COMPRESSION])
def test_a_gross_fault_is_no_break(tmp_path: Path, fault: Fault) -> None:
    read = read_whole(tmp_path / "a.mp4", list(sabotage_frames(moving(), fault, 5)))
    assert read.unfit is None
    assert len(read.examples) == FRAMES - 2


def test_a_stretch_whose_source_is_gone_is_refused(tmp_path: Path) -> None:
    gone = stretch(tmp_path / "gone.mp4", 40, start=0, fps=10.0)
    with pytest.raises(BadSource):
        KIND.read_stretch(gone, limits=Limits(), roots=[tmp_path], most=300)
    with pytest.raises(BadSource, match="names no source"):
        KIND.read_stretch(FeatureBlock.empty({"quality": 1}), limits=Limits(), roots=[tmp_path], most=300)


def test_a_stretch_whose_object_is_gone_is_refused_and_the_object_is_named(
    objects: ObjectServer, settings: Settings, tmp_path: Path
) -> None:
    own = reaching(objects, settings)
    there = write_clip(tmp_path / "there.mp4", list(footage(40)), fps=10.0)
    uris = [objects.put(f"cameras/{name}.mp4", there.read_bytes()) for name in ("gone", "there")]
    local = stretch(there, 40, start=0, fps=10.0)
    stretches = [FeatureBlock.concatenate([replace(local, sources=(uri,))]) for uri in uris]
    objects.delete("cameras/gone.mp4")
    expected = KIND.read_stretch(local, limits=Limits(), roots=[tmp_path], most=300)
    found = KIND.read_stretch(stretches[1], limits=Limits(), roots=own.roots, most=300)
    assert np.array_equal(found.examples, expected.examples)
    with pytest.raises(BadSource, match=r"s3://site/cameras/gone\.mp4 cannot be read \(the storage has no such object"):
        KIND.read_stretch(stretches[0], limits=Limits(), roots=own.roots, most=300)
