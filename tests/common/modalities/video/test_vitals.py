"""Vitals of real recordings: whole and in parts, intact and damaged, with the times that a file happens to have."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from common.contracts.batches import SourceKind
from common.errors import BadSource
from common.features import FloatArray
from common.modalities.video.decode import Frame, sampled_frames
from common.modalities.video.modality import VIDEO
from common.modalities.video.timeline import Timeline
from common.modalities.video.vitals import Vitals
from common.modalities.video.vitals_columns import VITALS_COLUMNS
from common.sources.limits import Limits
from tests.footage import scene, write_clip

LIMITS = Limits()
FRAMES = scene(75)
ERRORS = VITALS_COLUMNS.index("decode_errors")
CLIPS: dict[str, dict[str, object]] = {
    "bframes.mp4": {},
    "long-gop.mp4": {"gop": 250},
    "bframes.ts": {},
    "reordered.avi": {},
    "intra.mp4": {"gop": 1},
    "unseekable.mpg": {"codec": "mpeg2video", "options": {"bf": "2"}},
}


def read(path: Path, fps: float | None = None, start: int = 0, stop: int | None = None) -> list[Frame]:
    return list(sampled_frames(path, SourceKind.RECORDING, sample_fps=fps, start=start, stop=stop, limits=LIMITS))


def vitals(frames: list[Frame]) -> dict[str, FloatArray]:
    """Return the columns of all frames but the first."""
    rows = np.stack([frame.vitals for frame in frames[1:] if frame.vitals is not None])
    assert len(rows) == len(frames) - 1 and frames[0].vitals is None
    return dict(zip(VITALS_COLUMNS, rows.T, strict=True))


def damage(path: Path, share: float, seed: int) -> Path:
    """Overwrite single bytes in the middle half of a file, where the frames are."""
    data, rng = bytearray(path.read_bytes()), np.random.default_rng(seed)
    for at in rng.integers(len(data) // 4, 3 * len(data) // 4, int(share * len(data))):
        data[at] = int(rng.integers(256))
    target = path.with_name(f"damaged-{seed}-{path.name}")
    target.write_bytes(data)
    return target


def test_frames_that_come_as_they_should_have_vitals_that_say_so(tmp_path: Path) -> None:
    found = vitals(read(write_clip(tmp_path / "camera.mp4", FRAMES, gop=50)))
    assert np.allclose(found["gap"], np.log(0.04))
    assert not found["missing_frames"].any() and not found["decode_errors"].any()
    assert np.allclose(found["key_interval"], np.log(2.0))
    size = (tmp_path / "camera.mp4").stat().st_size
    assert 0.5 < np.exp(found["bit_rate"][-1]) / (size / 3) < 2


def test_a_slower_camera_has_a_longer_gap_and_misses_nothing(tmp_path: Path) -> None:
    found = vitals(read(write_clip(tmp_path / "slow.mp4", FRAMES, fps=10.0)))
    assert np.allclose(found["gap"], np.log(0.1)) and not found["missing_frames"].any()


@pytest.mark.parametrize("fps", [None, 5.0])
def test_the_share_of_missing_frames_is_that_of_the_frames_that_were_left_out(
    tmp_path: Path, fps: float | None
) -> None:
    kept = np.random.default_rng(1).random(75) > 0.3
    kept[0] = True
    numbers = np.flatnonzero(kept)
    times = [float(number) / 25 for number in numbers]
    path = write_clip(tmp_path / "lossy.mp4", [FRAMES[number] for number in numbers], times=times)
    found = vitals(read(path, fps))
    assert abs(found["missing_frames"].mean() - (1 - kept.mean())) < 0.08
    assert (found["gap"] >= np.log(0.039)).all() and found["gap"].max() > np.log(0.079)


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("fps", [None, 6.0])
def test_parts_of_a_damaged_recording_have_the_vitals_of_the_whole(
    tmp_path: Path, name: str, fps: float | None
) -> None:
    clean = write_clip(tmp_path / name, FRAMES, **CLIPS[name])  # type: ignore[arg-type]
    worst = 0.0
    for seed in range(4):
        path = damage(clean, 0.002, seed)
        # Pixels may differ, and whether there are any: what is lost is concealed by what was decoded before, and a
        # part decodes less. Encoders do not give equal bytes each time: a file may also be broken as a whole.
        whole = {frame.index: frame.vitals for frame in _part(path, fps, 0, None)}
        for size in (5, 16):
            parts = [frame for start in range(0, 75, size) for frame in _part(path, fps, start, start + size)]
            both = [frame for frame in parts if frame.index in whole and frame.vitals is not None]
            assert all(np.array_equal(frame.vitals, whole[frame.index]) for frame in both), f"{path} in parts of {size}"
            assert len(both) >= 0.8 * (len(whole) - 1)
        worst = max(worst, *(float(row[ERRORS]) for row in whole.values() if row is not None), 0.0)
    assert worst > 0, "what does not decode is counted"


def _part(path: Path, fps: float | None, start: int, stop: int | None) -> list[Frame]:
    try:
        return read(path, fps, start, stop)
    except BadSource:  # nothing of it can be decoded
        return []


def test_stills_have_no_vitals() -> None:
    frame = Frame.of(FRAMES[0], 3, 1.0)
    assert "vitals" not in VIDEO.readings(frame)


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    times=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=12, unique=True),
    sizes=st.lists(st.integers(0, 2**31), min_size=12, max_size=12),
    tick=st.sampled_from([Fraction(1, 2**31 - 1), Fraction(1, 90_000), Fraction(2**31 - 1)]),
    counted=st.booleans(),
)
def test_whatever_a_file_says_vitals_are_finite(
    times: list[int], sizes: list[int], tick: Fraction, counted: bool
) -> None:
    pts = np.array(sorted(times), np.int64)
    packets = np.array(sizes[: len(pts)], np.int64)
    timeline = Timeline(pts, pts[:1], pts[::3], packets, np.arange(len(pts), dtype=np.int64), tick, counted)
    measured = Vitals(timeline, pts, 0, len(pts))
    for index in range(1, len(pts)):
        row = measured.of(index, int(pts[index]), {int(pts[0])})
        assert row is not None and np.isfinite(row).all() and np.abs(row).max() < 30


def test_a_camera_that_goes_over_to_half_the_rate_misses_no_frame(tmp_path: Path) -> None:
    times = np.cumsum([0.0, *[0.04] * 37, *[0.08] * 37]).tolist()
    found = vitals(read(write_clip(tmp_path / "dusk.mp4", FRAMES, times=times)))
    assert not found["missing_frames"].any()
    assert np.exp(found["gap"][[0, -1]]) == pytest.approx([0.04, 0.08], abs=2e-3)


def test_frames_that_arrive_unevenly_are_not_missing(tmp_path: Path) -> None:
    late = np.random.default_rng(0).uniform(-0.012, 0.012, 75)
    times = np.round(0.02 + np.arange(75) * 0.04 + late, 3).tolist()
    found = vitals(read(write_clip(tmp_path / "uneven.mp4", FRAMES, times=times)))
    assert found["missing_frames"].mean() < 0.01


def test_a_header_that_declares_a_frame_in_seventy_years_is_read(tmp_path: Path) -> None:
    """Without timestamps, frames are counted at the declared rate."""
    path = write_clip(tmp_path / "reordered.avi", FRAMES)
    data = bytearray(path.read_bytes())
    scale_and_rate = data.index(b"strh") + 28
    data[scale_and_rate : scale_and_rate + 8] = struct.pack("<II", 2**31 - 1, 1)
    path.write_bytes(data)
    found = vitals(read(path, 4.0))
    assert len(found["gap"]) == len(FRAMES) - 1 and all(np.isfinite(column).all() for column in found.values())


def test_a_codec_that_is_not_known_is_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "foreign.mkv", FRAMES[:5])
    path.write_bytes(path.read_bytes().replace(b"V_MPEG4/ISO/AVC", b"V_MPEG4/ISO/QQQ"))
    with pytest.raises(BadSource, match="codec that is not known"):
        read(path)
