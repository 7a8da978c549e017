"""`sentinel check` and the queue judge the same windows of the same footage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from common.baselines.storage import StoredBaseline, save_baseline
from common.contracts.batches import FrameBatch, Source, SourceKind
from common.contracts.verdicts import Status, Verdict
from common.drift.fitting import fit_baseline
from common.drift.frame_buffer import FrameBuffer
from common.drift.windows import WindowState
from common.errors import BaselineMismatch, WindowNotFull
from common.extraction import Extractor
from common.judging import BatchPlace, Thresholds, judge_block
from common.modalities.video.chunking import chunk_video
from common.modalities.video.groups import feature_groups
from common.modalities.video.modality import VIDEO
from common.modalities.video.timeline import read_sampled
from common.sources.limits import Limits
from sentinel.check import STREAM, check
from sentinel.cli.check import show
from sentinel.report import Evidence, page
from tests.footage import scene, write_clip
from tests.sentinel.tiny_check import FPS, OWN, RULE, SAMPLE_FPS, Silent, tiny_baseline, tiny_extractor

CHUNK_FRAMES = 5


@pytest.fixture(scope="module")
def extractor(tmp_path_factory: pytest.TempPathFactory) -> Extractor:
    return tiny_extractor(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def stored(extractor: Extractor, tmp_path_factory: pytest.TempPathFactory) -> StoredBaseline:
    return tiny_baseline(extractor, tmp_path_factory.mktemp("baseline"))


def clip_with_a_gap(path: Path, frames: int, gap_at: int, gap_seconds: float) -> Path:
    """Write a clip whose camera was away for a while: its header counts those seconds, its packets do not."""
    times = [number / FPS + (gap_seconds if number >= gap_at else 0.0) for number in range(frames)]
    return write_clip(path, scene(frames), fps=FPS, times=times)


def judged_by_the_queue(paths: Sequence[Path], stored: StoredBaseline, extractor: Extractor) -> list[Verdict]:
    """Judge as ingest, embedding workers and reducer do: cut into chunks, each embedded by itself, in order."""
    state, frames, verdicts = WindowState(), FrameBuffer(), list[Verdict]()
    for path in paths:
        count, starts = chunk_video(path, SAMPLE_FPS, CHUNK_FRAMES, Limits())
        batch = FrameBatch(
            id=path.stem, stream=STREAM, expected_frames=count, starts=starts, received_at=0.0,
            source=Source(uri=str(path), kind=SourceKind.RECORDING, size=1, digest=path.stem),
            feature_spec=stored.baseline.feature_spec,
        )  # fmt: skip
        for chunk in batch.chunks():
            block = extractor.extract(
                path, SourceKind.RECORDING, uri=str(path), sample_fps=SAMPLE_FPS, start=chunk.start, stop=chunk.stop
            )
            state, judged = judge_block(
                state, frames, block, stored=stored, thresholds=Thresholds.of(OWN), stream=STREAM,
                place=BatchPlace(chunk.batch_frames, opens=chunk.opens_batch, closes=chunk.closes_batch),
            )  # fmt: skip
            verdicts += [row.verdict for row in judged]
    return verdicts


def positions(verdicts: Sequence[Verdict]) -> list[tuple[int, int, str, float, float]]:
    return [(v.start, v.stop, v.status, round(v.drift_score, 6), round(v.p_value, 6)) for v in verdicts]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frames=st.integers(16, 30), gap_at=st.integers(1, 14), gap_seconds=st.floats(0.0, 3.0))
@example(frames=20, gap_at=9, gap_seconds=1.0)  # the header promises 15 frames, 10 or 11 can be sampled
def test_a_batch_near_one_window_is_judged_in_the_same_windows_by_check_and_queue(
    tmp_path: Path, stored: StoredBaseline, extractor: Extractor, frames: int, gap_at: int, gap_seconds: float
) -> None:
    before = write_clip(tmp_path / "before.mp4", scene(30), fps=FPS)
    near = clip_with_a_gap(tmp_path / f"near-{frames}-{gap_at}-{gap_seconds}.mp4", frames, gap_at, gap_seconds)
    paths = [before, near]
    expected = judged_by_the_queue(paths, stored, extractor)
    try:
        found = check(paths, stored, extractor, OWN, Silent()).windows
    except WindowNotFull:
        found = ()
    assert positions(found) == positions(expected)


def test_a_baseline_with_zones_judges_footage_with_the_same_zones_alone(
    tmp_path: Path, stored: StoredBaseline, extractor: Extractor
) -> None:
    """The scene has a bar at its top, whose place tells the frame's number: here it is spoilt."""
    bar = ((0.0, 0.0, 1.0, 0.1),)
    spec = stored.baseline.feature_spec.model_copy(update={"ignore": bar})
    masked = extractor.following(spec)
    golden = masked.extract(
        write_clip(tmp_path / "golden.mp4", scene(240), fps=FPS), SourceKind.RECORDING, uri="g", sample_fps=SAMPLE_FPS
    )
    baseline = fit_baseline(
        [("golden.mp4", golden)], name="masked", feature_spec=spec, rule=RULE,
        groups=feature_groups(golden.widths["embedding"]), created_at=0.0, libraries={},
    )  # fmt: skip
    own = save_baseline(baseline, tmp_path / "masked")
    today = scene(80)
    for image in today:
        image[:6] = 128
    clip = write_clip(tmp_path / "today.mp4", today, fps=FPS)
    assert check([clip], stored, extractor, OWN, Silent()).status is Status.FAIL
    assert check([clip], own, masked, OWN, Silent()).status is Status.PASS
    asked = OWN.model_copy(update={"ignore": ((0.0, 0.0, 0.5, 0.1),)})
    with pytest.raises(BaselineMismatch, match=r"0,0,0\.5,0\.1 are to be ignored, but baseline 'masked' was made"):
        check([clip], own, masked, asked, Silent())
    with pytest.raises(BaselineMismatch, match="ignore"):
        check([clip], own, extractor, OWN, Silent())


def test_a_gap_makes_a_header_promise_more_frames_than_there_are(tmp_path: Path) -> None:
    """The example above is one: were both counts on one side of the window's length, nothing would be shown."""
    clip = clip_with_a_gap(tmp_path / "near.mp4", 20, 9, 1.0)
    promised = VIDEO.probe(clip, SourceKind.RECORDING, Limits()).sampled_count(SAMPLE_FPS)
    there = len(read_sampled(clip, SAMPLE_FPS, Limits()))
    assert there < RULE.frames <= promised


def test_another_resolution_is_said_with_what_to_do(
    tmp_path: Path, stored: StoredBaseline, extractor: Extractor, capsys: pytest.CaptureFixture[str]
) -> None:
    larger = [np.repeat(np.repeat(image, 2, axis=0), 2, axis=1) for image in scene(60)]
    result = check([write_clip(tmp_path / "larger.mp4", larger, fps=FPS)], stored, extractor, OWN, Silent())
    assert all(window.resolution is not None for window in result.windows)
    show(result)
    said = " ".join(capsys.readouterr().out.split())
    assert "resolution changed from 96x64 to 192x128" in said and "sentinel baseline build FILES --name NAME" in said
    count = len(result.windows)
    written = page(result, OWN, Evidence(stored, {}, None))
    assert f"<p>{count} of {count} windows: resolution changed from 96x64 to 192x128" in written
