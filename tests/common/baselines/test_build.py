"""What `baseline build` chooses where nothing is set."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.baselines.build import check_embed_every, choose_sampling, sampling_advice
from common.contracts.batches import SourceKind
from common.drift.windows import WindowRule
from common.errors import BadBaseline
from common.modalities.modality import SourceFacts
from common.modalities.video.timeline import key_seconds, read_sampled, read_timeline
from common.sources.capture_time import UNKNOWN_TIMES
from common.sources.limits import Limits
from tests.footage import scene, write_clip


def clip(seconds: float, fps: float = 30.0) -> SourceFacts:
    return SourceFacts(SourceKind.RECORDING, fps, seconds, max(1, round(seconds * fps)), UNKNOWN_TIMES)


@pytest.mark.parametrize(
    ("seconds", "keys", "wanted"),
    [
        (600.0, [None], 1.0),
        (600.0, [1.0], 1.0),  # a key frame a second: just those
        (900.0, [2.0], 0.5),
        (600.0, [2.0], 1.0),  # too short for one frame in two seconds
        (600.0, [8.3], 1.0),  # too rare
        (600.0, [0.04], 1.0),  # every frame is one
        (100.0, [1.0], 4.0),  # 384 frames are wanted
        (10.0, [1.0], None),  # every frame
    ],
)
def test_sampling_follows_the_length_of_the_footage_and_its_key_frames(
    seconds: float, keys: list[float | None], wanted: float | None
) -> None:
    found = choose_sampling([clip(seconds)], 48, None, keys)
    if (seconds, keys) == (600.0, [2.0]):
        assert found is not None and 0.64 <= found <= 1.0
    else:
        assert found == pytest.approx(wanted, abs=0.001) if wanted is not None else found is None
    assert choose_sampling([clip(seconds)], 48, 7.0, keys) == 7.0, "what the user asks for stands"


def test_the_shortest_clip_decides_and_cameras_must_agree_on_key_frames() -> None:
    assert choose_sampling([clip(600), clip(60)], 48, None, [1.0, 1.0]) == 7.0
    assert choose_sampling([clip(600), clip(600)], 48, None, [1.0, None]) == 1.0
    assert choose_sampling([clip(900), clip(900)], 48, None, [1.0, 1.5]) == pytest.approx(0.667, abs=0.001)


def test_the_rate_chosen_by_key_frames_samples_nothing_else(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "camera.mp4", scene(300), fps=30000 / 1001, gop=30)
    spacing = key_seconds(path, Limits())
    assert spacing == pytest.approx(1.001, abs=0.001)
    fps = choose_sampling([clip(600)], 48, None, [spacing])
    assert set(read_sampled(path, fps, Limits()).tolist()) <= set(read_timeline(path, Limits()).keys.tolist())


def test_rare_key_frames_bring_advice_that_holds(tmp_path: Path) -> None:
    rare = write_clip(tmp_path / "rare.mp4", scene(200), fps=10.0, gop=50)
    often = write_clip(tmp_path / "often.mp4", scene(200), fps=10.0, gop=10)
    advice = sampling_advice([key_seconds(path, Limits()) for path in (often, rare)], 1.0, 48)
    assert advice is not None and "key frames come 5.0 s apart" in advice and "SENTINEL_SAMPLE_FPS=0.2," in advice
    assert "from 16 minutes" in advice, "4 windows of 48 frames"
    assert sampling_advice([key_seconds(rare, Limits())], 0.2, 48) is None, "what it says to do leaves nothing to say"
    sampled = read_sampled(rare, 0.2, Limits())
    assert sampled.tolist() == read_timeline(rare, Limits()).keys.tolist()


def test_no_advice_where_nothing_is_gained() -> None:
    assert sampling_advice([1.0], 1.0, 48) is None
    assert sampling_advice([5.0], None, 48) is None
    assert sampling_advice([5.0], 7.0, 48) is None, "footage so short that it has to be sampled densely"
    assert sampling_advice([None], 1.0, 48) is None, "images, or too few key frames to know"


def test_a_backbone_that_would_hardly_look_at_a_window_is_refused() -> None:
    check_embed_every(24, WindowRule(frames=48, stride=12))
    with pytest.raises(BadBaseline, match="set it to 24 or less"):
        check_embed_every(25, WindowRule(frames=48, stride=12))
