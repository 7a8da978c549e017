"""Days of golden footage: what becomes a burst, what is refused, and a real build from stills and from recordings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.days_footage import Thumbnails
from common.baselines.build import build_baseline
from common.baselines.days import DaySource, plan_days, spans_days
from common.contracts.batches import SourceKind
from common.contracts.verdicts import Status
from common.drift.windows import WindowRule
from common.errors import BadBaseline
from common.extraction import Extractor
from common.features import TimeSource
from common.modalities.modality import SourceFacts
from common.modalities.video.modality import VIDEO
from common.settings import Settings
from common.sources.capture_time import UNKNOWN_TIMES, CaptureTimes
from common.sources.limits import Limits
from sentinel.check import check
from tests.footage import scene

RULE = WindowRule(frames=48, stride=12)
FIRST = datetime(2026, 11, 20, tzinfo=UTC)
HOUR = 3600.0


def recording(name: str, start: float, seconds: float, known_by: TimeSource = TimeSource.NAME) -> DaySource:
    """A recording that begins `start` hours after the first midnight."""
    times = CaptureTimes(FIRST.timestamp() + start * HOUR, known_by)
    facts = SourceFacts(SourceKind.RECORDING, 10.0, seconds, round(seconds * 10), times)
    return DaySource(Path(name), SourceKind.RECORDING, facts)


def stills(hours: Sequence[float]) -> DaySource:
    taken = tuple(FIRST.timestamp() + hour * HOUR for hour in hours)
    facts = SourceFacts(
        SourceKind.FOLDER, 1.0, float(len(taken)), len(taken), CaptureTimes(taken[0], TimeSource.NAME, taken)
    )
    return DaySource(Path("stills"), SourceKind.FOLDER, facts)


def plan(*sources: DaySource, fps: float | None = 1.0, rule_is_set: bool = False):  # type: ignore[no-untyped-def]
    return plan_days(sources, fps, RULE, rule_is_set=rule_is_set)


def test_footage_of_one_light_or_of_unknown_times_is_taken_as_clips() -> None:
    assert spans_days([recording("a", 0, 60), recording("b", 4, 60)])
    assert not spans_days([recording("a", 0, 60), recording("b", 2, 60)])
    assert not spans_days([recording("a", 0, 60), recording("b", 9, 60, TimeSource.RECEIVED)])
    unknown = SourceFacts(SourceKind.RECORDING, 10.0, 60.0, 600, UNKNOWN_TIMES)
    assert not spans_days([recording("a", 0, 60), DaySource(Path("c"), SourceKind.RECORDING, unknown)])
    assert plan(recording("a", 0, 60), recording("b", 9, 60)) is None, "two bursts are too few"


def test_long_recordings_give_a_burst_every_half_hour_and_short_ones_one_each() -> None:
    long = plan(*(recording(f"{hour}", hour, 3599) for hour in range(24)))
    assert len(long.pieces) == 48
    assert {piece.stop - piece.start for piece in long.pieces} == {48}
    assert [piece.start for piece in long.pieces[:2]] == [0, 1800]
    short = plan(*(recording(f"{hour}", hour, 60) for hour in range(24)))
    assert len(short.pieces) == 24
    assert short.rule == RULE


def test_a_picture_every_quarter_of_an_hour_gives_a_burst_an_hour_and_windows_of_four() -> None:
    found = plan(stills([quarter / 4 for quarter in range(96)]))
    assert found.rule == WindowRule(frames=4, stride=1)
    assert len(found.pieces) == 24
    assert found.pieces[1].times.stills[0] == FIRST.timestamp() + HOUR
    gap = plan(stills([q / 4 for q in range(48)] + [36 + q / 4 for q in range(1, 49)]))
    assert all(piece.times.stills[-1] - piece.times.stills[0] <= HOUR for piece in gap.pieces), "none across the gap"


def test_pictures_every_second_give_bursts_of_a_window() -> None:
    hours = [hour + second / HOUR for hour in range(24) for second in range(100)]
    found = plan(stills(hours))
    assert found.rule == RULE
    assert {piece.stop - piece.start for piece in found.pieces} == {48}
    assert len(found.pieces) == 24


def test_times_that_go_backwards_or_jump_and_two_cameras_are_refused_with_what_to_do() -> None:
    with pytest.raises(BadBaseline, match=r"backwards at image 3, from .*02:00:00 UTC to .*01:00:00 UTC: name"):
        plan(stills([0, 2, 1, 3, 4, 5]))
    with pytest.raises(BadBaseline, match=r"the clock jumps between images 2 and 3 of stills.*one stretch of days"):
        plan(stills([0, 1, 24 * 400, 24 * 400 + 1]))
    with pytest.raises(BadBaseline, match=r"cam2 begins at .* before cam1 ends .* two cameras build a baseline each"):
        plan(recording("cam1", 0, 3600), recording("cam2", 0.5, 3600), recording("later", 5, 3600))
    with pytest.raises(BadBaseline, match="clock jumps"):
        plan(recording("a", 0, 60), recording("b", 24 * 90, 60))


class Said:
    """Keeps what a build says."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def advance(self, frames: int) -> None: ...

    @contextmanager
    def source(self, name: str, frames: int) -> Iterator[Said]:
        yield self

    def say(self, text: str) -> None:
        self.lines.append(text)


def camera() -> Extractor:
    """An extractor with a stand-in for a backbone: days are learned by readings, and two cameras by thumbnails."""
    return Extractor(VIDEO, Thumbnails(), Limits())  # type: ignore[arg-type]


def write_days(
    folder: Path, hours: Iterable[int], light: Callable[[int], float], *, seeds: tuple[int, ...] = (3,)
) -> Path:
    """Write four stills of a scene in each of `hours` after the first midnight, named by their times; of the scenes of
    several seeds in turn."""
    folder.mkdir()
    scenes = [scene(1, seed=seed)[0] for seed in seeds]
    for number, hour in enumerate(hours):
        for step in range(4):
            at = FIRST + timedelta(hours=hour, minutes=15 * step)
            noise = np.random.default_rng((hour, step)).normal(0, 2, scenes[0].shape)
            image = np.clip(scenes[number % len(seeds)] * light(hour % 24) + noise, 0, 255).astype(np.uint8)
            assert cv2.imwrite(str(folder / f"{at:%Y-%m-%dT%H-%M-%S}Z.png"), image[:, :, ::-1])
    return folder


def test_two_days_of_stills_are_learned_and_a_check_judges_by_their_hours(tmp_path: Path) -> None:
    settings = Settings(_env_file=None)
    golden = write_days(tmp_path / "golden", range(0, 72, 3), lambda hour: 1.0 if 6 <= hour < 18 else 0.5)
    said = Said()
    stored = build_baseline(
        [golden], "days", tmp_path / "days", Extractor(VIDEO, Thumbnails(), Limits()), settings, said
    )
    assert stored.baseline.learned is not None
    assert stored.baseline.rule == WindowRule(frames=4, stride=1)
    assert said.lines[0].startswith("learned as days: 24 bursts") and "each on 3.0 days" in said.lines[0]
    for hour, gain, wanted in ((3, 0.5, Status.PASS), (15, 1.0, Status.PASS), (15, 0.3, Status.FAIL)):
        folder = write_days(tmp_path / f"{hour}-{gain}", [72 + hour], lambda _, gain=gain: gain)
        result = check([folder], stored, camera(), settings, said)
        assert (result.status, result.windows[0].provisional) == (wanted, False)


def test_a_night_alone_says_which_hours_it_does_not_know(tmp_path: Path) -> None:
    settings, said = Settings(_env_file=None), Said()
    golden = write_days(tmp_path / "night", [day * 24 + hour for day in range(5) for hour in range(5)], lambda _: 0.5)
    stored = build_baseline([golden], "night", tmp_path / "baseline", camera(), settings, said)
    assert stored.baseline.learned is not None
    assert "not known are the hours 5-23 UTC: verdicts there are provisional; give footage of them too" in said.lines
    day = write_days(tmp_path / "day", [12 + 24 * 5], lambda _: 1.0)
    assert check([day], stored, camera(), settings, said).windows[0].provisional


def test_two_cameras_in_one_folder_of_days_are_refused(tmp_path: Path) -> None:
    golden = write_days(tmp_path / "two", range(24), lambda _: 1.0, seeds=(3, 4))
    with pytest.raises(BadBaseline, match=r"two scenes in turn.*build a baseline for each camera"):
        build_baseline([golden], "two", tmp_path / "baseline", camera(), Settings(_env_file=None), Said())
