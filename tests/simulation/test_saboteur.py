"""Sabotaged footage differs from the original by its fault alone."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from common.contracts.batches import SourceKind
from common.contracts.verdicts import Cause
from common.errors import BadSource
from common.features import Image
from common.modalities.video.decode import Frame, probe, sampled_frames
from common.modalities.video.encode import write_video
from common.modalities.video.vitals_columns import VITALS_COLUMNS
from common.sources.limits import Limits
from common.sources.local import describe_kind
from simulation.saboteur import (
    SEVERITIES,
    STREAM_SEVERITIES,
    Fault,
    StreamFault,
    copy_name,
    sabotage,
    sabotage_frame,
    sabotage_frames,
)
from tests.footage import scene, write_clip, write_images

LIMITS = Limits()
FRAMES = scene(80, width=128, height=96)
# The difference between frames does not grow with the shift of a moved camera beyond a certain size.
# Nor does that of the frame compared where a fault comes and goes.
GROWING = [
    fault
    for fault in Fault
    if fault not in {Fault.FROZEN, Fault.BLACK, Fault.CAMERA_MOVED, Fault.PACKET_LOSS, Fault.MIRRORED}
]


def read(path: Path) -> list[Frame]:
    return list(sampled_frames(path, describe_kind(path), sample_fps=None, start=0, stop=None, limits=LIMITS))


def difference(left: Image, right: Image) -> float:
    return float(np.abs(left.astype(float) - right).mean())


def detail(image: Image) -> float:
    return float(cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var())


@pytest.mark.parametrize("fault", Fault)
def test_a_fault_keeps_number_and_shape_of_frames_and_depends_on_the_seed_alone(fault: Fault) -> None:
    before = [image.copy() for image in FRAMES]
    for severity in range(1, 6):
        faulty = list(sabotage_frames(FRAMES, fault, severity, seed=3))
        assert [(image.shape, image.dtype) for image in faulty] == [(i.shape, i.dtype) for i in FRAMES]
        again = sabotage_frames(FRAMES, fault, severity, seed=3)
        assert all(np.array_equal(one, other) for one, other in zip(faulty, again, strict=True))
    assert all(np.array_equal(now, then) for now, then in zip(FRAMES, before, strict=True)), (
        "originals are not modified"
    )


@pytest.mark.parametrize("fault", GROWING)
def test_each_severity_is_worse_than_the_one_before(fault: Fault) -> None:
    damage = [difference(FRAMES[9], sabotage_frame(FRAMES[9], fault, severity, seed=1)) for severity in range(1, 6)]
    assert damage[0] > 0.05
    assert damage == sorted(damage)


def test_noise_differs_from_frame_to_frame_and_has_the_stated_standard_deviation() -> None:
    grey = [np.full((100, 100, 3), 128, np.uint8)] * 2
    for severity, sigma in enumerate(SEVERITIES[Fault.NOISE], 1):
        first, second = sabotage_frames(grey, Fault.NOISE, severity)
        assert not np.array_equal(first, second)
        assert first.astype(float).std() == pytest.approx(sigma, rel=0.05)
        assert first.mean() == pytest.approx(128, abs=1)


def test_light_faults_scale_the_brightness_by_the_stated_gain() -> None:
    grey = np.full((40, 40, 3), 100, np.uint8)
    assert [int(sabotage_frame(grey, Fault.LOW_LIGHT, s)[0, 0, 0]) for s in range(1, 6)] == [80, 60, 40, 20, 10]
    assert [int(sabotage_frame(grey, Fault.OVER_EXPOSURE, s)[0, 0, 0]) for s in range(1, 6)] == [
        120,
        150,
        200,
        255,
        255,
    ]
    fog = [sabotage_frame(FRAMES[0], Fault.LOW_CONTRAST, s).astype(float).std() for s in range(1, 6)]
    assert fog == sorted(fog, reverse=True)


@pytest.mark.parametrize("fault", [Fault.BLUR, Fault.MOTION_BLUR])
def test_blur_removes_detail_and_keeps_the_brightness(fault: Fault) -> None:
    for severity in range(1, 6):
        faulty = sabotage_frame(FRAMES[0], fault, severity)
        assert detail(faulty) < detail(FRAMES[0])
        assert faulty.mean() == pytest.approx(FRAMES[0].mean(), abs=1.5)


def test_a_colour_cast_moves_two_channels_apart() -> None:
    grey = np.full((8, 8, 3), 100, np.uint8)
    casts = {tuple(sabotage_frame(grey, Fault.COLOUR_CAST, 3, seed=seed)[0, 0].tolist()) for seed in range(20)}
    assert all(sorted(cast) == [80, 100, 120] for cast in casts)
    assert len(casts) > 1, "the seed selects the channels"


def test_a_frozen_picture_is_repeated_for_the_stated_number_of_frames() -> None:
    for severity, most in ((1, 3), (2, 8), (5, 80)):
        faulty = list(sabotage_frames(FRAMES, Fault.FROZEN, severity))
        assert all(np.array_equal(image, FRAMES[n - n % most]) for n, image in enumerate(faulty))


def test_the_stated_share_of_frames_is_black_and_the_rest_unchanged() -> None:
    for severity, share in enumerate(SEVERITIES[Fault.BLACK], 1):
        faulty = list(sabotage_frames(FRAMES, Fault.BLACK, severity, seed=5))
        black = [not image.any() for image in faulty]
        assert sum(black) == round(share * 80)
        assert all(gone or np.array_equal(a, b) for gone, a, b in zip(black, faulty, FRAMES, strict=True))


def test_a_cover_hides_the_stated_share_from_one_side_for_the_whole_clip() -> None:
    white = np.full((100, 100, 3), 255, np.uint8)
    sides = set()
    for seed in range(30):
        first, second = sabotage_frames([white] * 2, Fault.COVERED, 3, seed)
        assert np.array_equal(first, second)
        assert (first < 100).mean() == pytest.approx(0.5)
        sides.add(tuple(int(first[y, x, 0]) for y, x in ((2, 50), (97, 50), (50, 2), (50, 97))))
    assert len(sides) == 4


def test_a_moved_camera_shows_the_same_scene_shifted() -> None:
    moved = sabotage_frame(FRAMES[0], Fault.CAMERA_MOVED, 3, seed=2)
    inner = FRAMES[0][30:66, 40:88]
    match = cv2.matchTemplate(moved, inner, cv2.TM_SQDIFF)
    assert match.min() == 0, "shifted by whole pixels, without blur"
    assert np.unravel_index(int(match.argmin()), match.shape) != (30, 40)


def test_lost_packets_lose_the_stated_share_in_whole_macroblocks_up_to_the_next_key_frame() -> None:
    frames = [np.random.default_rng(number).integers(0, 255, (320, 320, 3), dtype=np.uint8) for number in range(40)]
    for severity, share in enumerate(SEVERITIES[Fault.PACKET_LOSS], 1):
        faulty = sabotage_frames(frames, Fault.PACKET_LOSS, severity, seed=1)
        lost = np.array([(a != b).any(axis=2) for a, b in zip(faulty, frames, strict=True)])
        blocks = lost.reshape(40, 20, 16, 20, 16).mean(axis=(2, 4))
        assert ((blocks < 0.01) | (blocks > 0.9)).all(), "whole macroblocks"
        assert (blocks > 0.9).mean() == pytest.approx(share, rel=0.25, abs=0.001)
    key_frame = 19  # index + seed is a multiple of the frames between key frames
    assert not lost[:key_frame].all() or severity == 5
    assert np.array_equal(lost[key_frame], lost[key_frame + 5]), "the damage stays until the next key frame"


def test_pixelation_repeats_columns_and_rows_in_place() -> None:
    for severity, side in enumerate(SEVERITIES[Fault.PIXELATION], 1):
        faulty = sabotage_frame(FRAMES[0], Fault.PIXELATION, severity)
        repeated = (faulty[:, 1:] == faulty[:, :-1]).all(axis=(0, 2)).mean()
        assert repeated == pytest.approx(1 - 1 / side, abs=0.03)
        assert difference(FRAMES[0], faulty) < difference(FRAMES[0], np.roll(FRAMES[0], int(side) + 1, axis=(0, 1)))


def test_unsteady_light_is_on_average_the_light_there_was() -> None:
    grey = [np.full((64, 40, 3), 100, np.uint8)] * 120
    for fault in (Fault.FLICKER, Fault.BANDING, Fault.HUNTING_EXPOSURE):
        for severity, strength in enumerate(SEVERITIES[fault], 1):
            light = np.array([image[:, 0, 0] for image in sabotage_frames(grey, fault, severity, seed=4)], float) / 100
            assert light.mean() == pytest.approx(1, abs=0.03)
            assert (light.max() - light.min()) / 2 == pytest.approx(strength, abs=0.02)
            assert (np.ptp(light, axis=1).max() > strength) == (fault is Fault.BANDING)


def test_infra_red_washes_colours_out_and_tints_them_pink() -> None:
    green = sabotage_frame(np.full((8, 8, 3), (60, 160, 60), np.uint8), Fault.INFRA_RED, 5)[0, 0]
    blue = sabotage_frame(np.full((8, 8, 3), (60, 60, 250), np.uint8), Fault.INFRA_RED, 5)[0, 0]
    assert all(red > other > green_ for red, green_, other in (green, blue))
    assert np.allclose(green / green.sum(), blue / blue.sum(), atol=0.02), "whatever the colour was"


def test_a_mirror_image_and_a_rotated_one_show_the_same_scene() -> None:
    assert any(np.array_equal(sabotage_frame(FRAMES[0], Fault.MIRRORED, 5), cv2.flip(FRAMES[0], f)) for f in (-1, 0, 1))
    for severity, degrees in enumerate(SEVERITIES[Fault.ROTATED], 1):
        mark = np.zeros((201, 201, 3), np.uint8)
        mark[100, 150:190] = 255
        rows, columns = np.nonzero(sabotage_frame(mark, Fault.ROTATED, severity)[..., 0] > 60)
        slope = np.polyfit(columns - 100.0, rows - 100.0, 1)[0]
        assert np.degrees(np.arctan(abs(slope))) == pytest.approx(degrees, abs=1)


def test_there_are_five_severities_and_no_more() -> None:
    assert set(SEVERITIES) == set(Fault)
    for severity in (0, 6):
        with pytest.raises(ValueError, match="severity"):
            sabotage_frame(FRAMES[0], Fault.BLUR, severity)


def test_the_diagnosis_has_a_cause_for_each_fault() -> None:
    assert {fault: fault.cause for fault in Fault if fault.cause is None} == {}
    assert Fault.ROTATED.cause is Cause.CAMERA_MOVED


def test_fog_hides_what_is_far_away_more_than_what_is_near() -> None:
    for severity, share in enumerate(SEVERITIES[Fault.FOG], 1):
        black = sabotage_frame(np.zeros((101, 20, 3), np.uint8), Fault.FOG, severity).mean(axis=(1, 2))
        assert black[0] == pytest.approx(200 * share, abs=1)
        assert (np.diff(black) <= 0).all()
        assert black[-1] < black[0] / 4


def test_a_soiled_lens_covers_the_stated_share_in_places_that_stay_and_that_the_seed_selects() -> None:
    rng = np.random.default_rng(1)
    grain = np.repeat(rng.integers(0, 256, (180, 320, 1), dtype=np.uint8), 3, axis=2)

    def touched(severity: int, seed: int, index: int) -> np.ndarray:
        # More than half of what a pixel showed is gone: of random grain one pixel in ten changes little by chance.
        changed = np.abs(sabotage_frame(grain, Fault.SOILED, severity, seed, index).astype(float) - grain).mean(axis=2)
        return np.asarray(changed > 8)

    for severity, share in enumerate(SEVERITIES[Fault.SOILED], 1):
        # Half of the rims, which fade out, lies outside the spots.
        assert share <= touched(severity, 3, 0).mean() + 0.01 <= 2.2 * share + 0.01
        assert np.array_equal(touched(severity, 3, 0), touched(severity, 3, 7))
    assert (touched(3, 3, 0) & touched(3, 4, 0)).mean() < touched(3, 3, 0).mean() / 2


# --- files --------------------------------------------------------------------------------------------


def test_a_video_keeps_number_size_and_times_of_its_frames(tmp_path: Path) -> None:
    times = [round(t, 3) for t in np.cumsum([0.0] + [0.04, 0.04, 0.2] * 10)[:30].tolist()]
    source = write_clip(tmp_path / "uneven.mp4", FRAMES[:30], times=times)
    target = tmp_path / "out" / "dark.mp4"
    sabotage(source, target, Fault.LOW_LIGHT, 3, title="dark")
    before, after = read(source), read(target)
    assert [frame.time for frame in after] == pytest.approx([frame.time for frame in before], abs=1e-3)
    ratio = np.mean([frame.image.mean() for frame in after]) / np.mean([frame.image.mean() for frame in before])
    assert ratio == pytest.approx(0.4, abs=0.01)
    assert [path.name for path in target.parent.iterdir()] == ["dark.mp4"]


def test_re_encoding_changes_almost_nothing(tmp_path: Path) -> None:
    source, copy = tmp_path / "a.mp4", tmp_path / "b.mp4"
    write_video(source, FRAMES, 25.0)
    write_video(copy, (frame.image for frame in read(source)), 25.0)
    pairs = [(a.image, b.image) for a, b in zip(read(source), read(copy), strict=True)]
    assert max(difference(*pair) for pair in pairs) < 1.5
    assert abs(np.mean([b.mean() - a.mean() for a, b in pairs])) < 0.15
    assert np.mean([detail(b) / detail(a) for a, b in pairs]) == pytest.approx(1.0, abs=0.03)
    mild = difference(FRAMES[0], sabotage_frame(FRAMES[0], Fault.NOISE, 1))
    assert np.mean([difference(*pair) for pair in pairs]) < mild / 2


def test_files_of_the_same_frames_differ_by_their_titles(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "a.mp4", FRAMES[:10])
    for title in ("first", "again"):
        sabotage(source, tmp_path / f"{title}.mp4", Fault.NOISE, 2, title=title)
    first, again = tmp_path / "first.mp4", tmp_path / "again.mp4"
    assert first.read_bytes() != again.read_bytes()
    assert all(np.array_equal(a.image, b.image) for a, b in zip(read(first), read(again), strict=True))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".m4v", ".ts", ".flv", ".3gp", ".webm"])
def test_odd_sizes_lose_a_row_and_a_column_in_every_container(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"odd{suffix}"
    assert write_video(path, scene(8, width=97, height=65), 12.5) == 8
    info = probe(path, SourceKind.RECORDING, LIMITS)
    assert (info.width, info.height, info.frames, round(info.fps, 1)) == (96, 64, 8, 12.5)


def test_images_and_folders_keep_names_and_formats(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "in", FRAMES[:3], suffix=".jpg")
    sabotage(folder, tmp_path / "out", Fault.NOISE, 3)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["frame1.jpg", "frame2.jpg", "frame3.jpg"]
    one = write_images(tmp_path / "one", FRAMES[:1]) / "frame1.png"
    sabotage(one, tmp_path / "noisy.png", Fault.NOISE, 3)
    (frame,) = read(tmp_path / "noisy.png")
    assert np.array_equal(frame.image, sabotage_frame(FRAMES[0], Fault.NOISE, 3))


def test_the_name_of_a_copy_has_a_suffix_that_can_be_written(tmp_path: Path) -> None:
    assert copy_name(Path("a.mkv"), Fault.NOISE, 3) == "a-noise-3.mkv"
    assert copy_name(Path("a.avi"), Fault.NOISE, 3) == "a-noise-3.mp4"
    assert copy_name(Path("a.jpg"), Fault.BLUR, 1) == "a-blur-1.jpg"
    assert copy_name(tmp_path, Fault.BLUR, 1) == f"{tmp_path.name}-blur-1"


def test_a_source_that_cannot_be_sabotaged_is_refused_without_output(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "a.mp4", FRAMES[:5])
    (tmp_path / "notes.mp4").write_text("no video")
    with pytest.raises(BadSource, match=r"notes\.mp4"):
        sabotage(tmp_path / "notes.mp4", tmp_path / "b.mp4", Fault.NOISE, 3)
    with pytest.raises(BadSource, match="overwritten"):
        sabotage(source, source, Fault.NOISE, 3)
    with pytest.raises(BadSource, match=r"\.mp4"):
        sabotage(source, tmp_path / "b.y4m", Fault.NOISE, 3)
    with pytest.raises(BadSource, match="another size"):
        write_video(tmp_path / "c.mp4", [*scene(2), *scene(2, width=128)], 10.0)
    with pytest.raises(BadSource, match="no frames"):
        write_video(tmp_path / "c.mp4", [], 10.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "notes.mp4"]


def test_dropped_frames_leave_the_others_their_times(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "a.mp4", FRAMES)
    times = [frame.time for frame in read(source)]
    kept = []
    for severity, share in enumerate(STREAM_SEVERITIES[StreamFault.DROPPED_FRAMES], 1):
        sabotage(source, tmp_path / f"{severity}.mp4", StreamFault.DROPPED_FRAMES, severity, seed=2)
        after = [frame.time for frame in read(tmp_path / f"{severity}.mp4")]
        assert all(min(abs(time - before) for before in times) < 1e-3 for time in after)
        assert len(after) / len(times) == pytest.approx(1 - share, abs=0.12)
        kept.append(len(after))
    assert kept == sorted(kept, reverse=True)


def test_corrupt_packets_are_found_by_the_decoder_and_are_more_with_each_severity(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "a.mp4", FRAMES)
    errors = []
    for severity in (2, 3, 5):
        sabotage(source, tmp_path / f"{severity}.mp4", StreamFault.CORRUPT_PACKETS, severity, seed=2)
        rows = [frame.vitals for frame in read(tmp_path / f"{severity}.mp4") if frame.vitals is not None]
        errors.append(float(np.mean([row[VITALS_COLUMNS.index("decode_errors")] for row in rows])))
    assert 0 < errors[0] < errors[1] < errors[2]


def test_stills_cannot_have_a_fault_of_a_recording(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "in", FRAMES[:2])
    with pytest.raises(BadSource, match="fault of a recording"):
        sabotage(folder, tmp_path / "out", StreamFault.DROPPED_FRAMES, 3)
    assert {fault.cause for fault in StreamFault} == {Cause.MISSING_FRAMES, Cause.PACKET_LOSS}
