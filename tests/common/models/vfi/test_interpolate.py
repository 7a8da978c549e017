"""A real video gets more frames: its own stay, what moves is predicted, and nothing is blended across a cut."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from common.errors import BadSource
from common.features import Image
from common.models.vfi.first import starting_model
from common.models.vfi.interpolate import Interpolated, interpolate_video
from common.sources.limits import Limits
from tests.common.models.vfi.test_trainer import footage
from tests.footage import stills, write_clip

FPS = 10.0
COUNT = 9


def read(path: Path) -> tuple[list[Image], list[float]]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [frame.to_ndarray(format="rgb24") for frame in frames], [float(frame.time or 0.0) for frame in frames]


def interpolate(source: Path, target: Path, factor: int) -> tuple[Interpolated, list[tuple[int, int]]]:
    heard: list[tuple[int, int]] = []
    done = interpolate_video(
        source, target, starting_model(), factor=factor, limits=Limits(), progress=lambda *at: heard.append(at)
    )
    return done, heard


def error(one: Image, other: Image) -> float:
    """Return the mean difference in light: colours are stored at half the resolution."""
    return float(np.abs(one.mean(axis=-1) - other.mean(axis=-1)).mean())


@pytest.mark.parametrize("factor", [2, 4])
def test_the_frames_of_the_source_stay_in_place_and_what_moves_is_between_them(tmp_path: Path, factor: int) -> None:
    made = list(footage(COUNT * factor))
    truth, _ = read(write_clip(tmp_path / "truth.mp4", made, fps=FPS * factor, options={"crf": "4"}))
    source = write_clip(tmp_path / "a.mp4", made[::factor], fps=FPS, options={"crf": "4"})
    done, heard = interpolate(source, tmp_path / "b.mp4", factor)
    own, _ = read(source)
    images, times = read(tmp_path / "b.mp4")
    count = (COUNT - 1) * factor + 1
    assert (done.frames, done.source_frames, done.cuts) == (count, COUNT, 0)
    assert len(images) == count
    assert np.allclose(times, np.arange(count) / (FPS * factor), atol=1e-3)
    assert heard[-1] == (COUNT, COUNT) and len(heard) == COUNT
    assert max(error(a, b) for a, b in zip(own, images[::factor], strict=True)) < 2.0
    for number in range(count):
        if number % factor:
            first = number // factor * factor
            repeated = min(error(truth[first], truth[number]), error(truth[first + factor], truth[number]))
            assert error(images[number], truth[number]) < 0.4 * repeated


def test_across_a_cut_the_nearer_frame_is_repeated(tmp_path: Path) -> None:
    before, after = list(footage(4, seed=1)), list(footage(4, seed=2))
    source = write_clip(tmp_path / "a.mp4", [*before, *after], fps=FPS, options={"crf": "4"})
    done, _ = interpolate(source, tmp_path / "b.mp4", 4)
    assert done.cuts == 1
    own, _ = read(source)
    images, _ = read(tmp_path / "b.mp4")
    for number, scene in ((13, own[3]), (14, own[3]), (15, own[4])):
        assert error(images[number], scene) < 2.0


def test_a_video_of_variable_rate_keeps_its_times(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.4, 0.5, 0.9]
    source = write_clip(tmp_path / "a.mp4", list(footage(5)), fps=FPS, times=times, options={"bf": "0"})
    interpolate(source, tmp_path / "b.mp4", 2)
    _, found = read(tmp_path / "b.mp4")
    assert np.allclose(found, [0.0, 0.05, 0.1, 0.25, 0.4, 0.45, 0.5, 0.7, 0.9], atol=2e-3)


def test_a_folder_of_images_can_be_interpolated(tmp_path: Path) -> None:
    stills(tmp_path / "stills", ["1.png", "2.png", "10.png"])
    done, _ = interpolate(tmp_path / "stills", tmp_path / "b.mkv", 2)
    assert (done.frames, done.source_frames) == (5, 3)


def test_what_cannot_be_interpolated_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    stills(tmp_path / "one", ["1.png"])
    source = write_clip(tmp_path / "a.mp4", list(footage(3)), fps=FPS)
    with pytest.raises(BadSource, match="single frame"):
        interpolate(tmp_path / "one", tmp_path / "b.mp4", 2)
    with pytest.raises(BadSource, match="2 or 4, not by 3"):
        interpolate(source, tmp_path / "b.mp4", 3)
    with pytest.raises(BadSource, match="the source itself"):
        interpolate(source, source, 2)
    with pytest.raises(BadSource, match="choose one of these names"):
        interpolate(source, tmp_path / "b.txt", 2)
    (tmp_path / "taken.mp4").mkdir()
    with pytest.raises(BadSource, match=r"taken\.mp4 cannot be written: .*; free space"):
        interpolate(source, tmp_path / "taken.mp4", 2)
    (tmp_path / "taken.mp4").rmdir()
    (tmp_path / "broken.mp4").write_bytes(source.read_bytes()[:200])
    with pytest.raises(BadSource):
        interpolate(tmp_path / "broken.mp4", tmp_path / "b.mp4", 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "broken.mp4", "one"]
