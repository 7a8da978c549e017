"""The settle rule: no file system, no clock."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from common.sources.media_types import is_ignored
from producers.folder.stability import StabilityTracker, Version

SETTLE = 2.0
CLIP = Path("dock/clip.mp4")
FIRST = Version(100, 1)
SECOND = Version(900, 2)


def test_a_file_is_due_once_it_was_quiet_for_the_settle_time() -> None:
    tracker = StabilityTracker(SETTLE)
    tracker.touch(CLIP, FIRST, 10.0)
    assert tracker.due(11.9) == []
    assert tracker.due(12.0) == [CLIP]


def test_every_change_starts_the_quiet_time_anew() -> None:
    tracker = StabilityTracker(SETTLE)
    for step in range(100):
        tracker.touch(CLIP, Version(step, step), float(step))
        assert tracker.due(float(step)) == []
    assert tracker.next_due() == 99.0 + SETTLE


def test_observing_an_unchanged_file_does_not_start_its_quiet_time_anew() -> None:
    tracker = StabilityTracker(SETTLE)
    tracker.touch(CLIP, FIRST, 10.0)
    tracker.observe(CLIP, FIRST, 11.0)
    assert tracker.due(12.0) == [CLIP]


def test_an_event_starts_the_quiet_time_anew_even_if_size_and_time_are_the_same() -> None:
    tracker = StabilityTracker(SETTLE)
    tracker.touch(CLIP, FIRST, 10.0)
    tracker.touch(CLIP, FIRST, 11.0)
    assert tracker.due(12.0) == []


def test_a_unit_stays_due_until_it_is_released() -> None:
    tracker = StabilityTracker(SETTLE)
    tracker.touch(CLIP, FIRST, 10.0)
    assert tracker.due(20.0) == tracker.due(30.0) == [CLIP]
    tracker.release(CLIP)
    assert tracker.due(40.0) == []
    assert tracker.next_due() is None


def test_a_copied_file_that_is_reported_twice_is_due_once() -> None:
    tracker = StabilityTracker(SETTLE)
    tracker.touch(CLIP, FIRST, 10.0)
    tracker.release(CLIP)
    tracker.touch(CLIP, FIRST, 15.0)
    assert tracker.due(99.0) == []


def test_new_content_is_due_again() -> None:
    tracker = StabilityTracker(SETTLE)
    tracker.touch(CLIP, FIRST, 10.0)
    tracker.release(CLIP)
    tracker.observe(CLIP, SECOND, 15.0)
    assert tracker.due(17.0) == [CLIP]


def test_a_file_deleted_before_it_settled_is_forgotten() -> None:
    tracker = StabilityTracker(SETTLE)
    tracker.touch(CLIP, FIRST, 10.0)
    tracker.gone(CLIP, 11.0)
    assert tracker.due(99.0) == []
    assert tracker.known() == set()


def test_a_taken_file_stays_taken_under_a_new_name() -> None:
    tracker = StabilityTracker(SETTLE)
    tracker.touch(CLIP, FIRST, 10.0)
    tracker.release(CLIP)
    tracker.moved(CLIP, Path("dock/renamed.mp4"), FIRST, 20.0)
    assert tracker.due(99.0) == []
    assert tracker.was_accepted(Path("dock/renamed.mp4"))


def test_a_refused_file_is_judged_anew_under_a_new_name() -> None:
    tracker = StabilityTracker(SETTLE)
    tracker.touch(Path("clip.mp4"), FIRST, 10.0)
    tracker.release(Path("clip.mp4"), accepted=False)
    tracker.moved(Path("clip.mp4"), CLIP, FIRST, 20.0)
    assert tracker.due(22.0) == [CLIP]


def test_a_folder_is_due_when_none_of_its_files_changes_any_more() -> None:
    tracker = StabilityTracker(SETTLE)
    folder = Path("dock/monday")
    for number in range(5):
        tracker.touch(folder / f"{number}.jpg", FIRST, 10.0 + number, folder)
        assert tracker.due(10.0 + number) == []
    assert tracker.due(16.0) == [folder]
    assert len(tracker.files(folder)) == 5


def test_only_late_images_of_a_taken_folder_wait() -> None:
    tracker = StabilityTracker(SETTLE)
    folder = Path("dock/monday")
    tracker.touch(folder / "1.jpg", FIRST, 10.0, folder)
    tracker.release(folder)
    tracker.observe(folder / "1.jpg", FIRST, 20.0, folder)
    tracker.observe(folder / "2.jpg", FIRST, 20.0, folder)
    assert tracker.files(folder) == (folder / "2.jpg",)
    assert tracker.has_accepted_images(folder)


def test_a_deleted_folder_that_is_filled_again_is_a_new_folder() -> None:
    tracker = StabilityTracker(SETTLE)
    folder = Path("dock/monday")
    tracker.touch(folder / "1.jpg", FIRST, 10.0, folder)
    tracker.release(folder)
    tracker.gone(folder / "1.jpg", 20.0)
    assert not tracker.has_accepted_images(folder)


def test_a_file_may_change_the_unit_it_waits_in() -> None:
    tracker = StabilityTracker(SETTLE)
    folder = Path("dock/3")
    tracker.touch(folder / "1.jpg", FIRST, 10.0, folder)
    tracker.observe(folder / "1.jpg", FIRST, 11.0, folder / "1.jpg")
    assert tracker.files(folder) == ()
    assert tracker.due(13.0) == [folder / "1.jpg"]


def test_a_unstable_folder_is_known_by_how_long_it_waits() -> None:
    tracker = StabilityTracker(SETTLE)
    folder = Path("dock/3")
    for second in range(100):
        tracker.touch(folder / f"{second}.jpg", FIRST, float(second), folder)
    assert tracker.unstable(99.0, patience=60.0) == [folder]
    assert tracker.unstable(99.0, patience=100.0) == []


# --- any order of events ---------------------------------------------------------------------------

_FOLDER = Path("s/batch")
_NAMES = [Path(f"s/{n}") for n in ("a.mp4", "b.mp4", "a.mp4.tmp", ".b.mp4.x7Gh2k")] + [
    _FOLDER / "1.jpg",
    _FOLDER / "2.jpg",
]
_paths = st.sampled_from(_NAMES)


class AnyOrderOfEvents(RuleBasedStateMachine):
    """A model folder whose events all arrive, some of them twice, with looks in between.

    A content is a number, which a rename carries along. The law: whatever
    settles is due exactly once, never early, never under a temporary name.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.tracker = StabilityTracker(SETTLE)
        self.files: dict[Path, int] = {}
        self.quiet_since: dict[Path, float] = {}
        self.contents = 0
        self.taken: Counter[int] = Counter()
        self.was_hidden: set[int] = set()  # contents that went away for a while, as far as a watcher can tell

    @staticmethod
    def unit(path: Path) -> Path:
        return _FOLDER if path.parent == _FOLDER else path

    def version(self, path: Path) -> Version:
        return Version(self.files[path], self.files[path])

    def tell(self, path: Path) -> None:
        if not is_ignored(path.name):
            self.tracker.touch(path, self.version(path), self.now, self.unit(path))

    @rule(path=_paths)
    def write(self, path: Path) -> None:
        self.contents += 1
        self.files[path] = self.contents
        self.quiet_since[self.unit(path)] = self.now
        self.tell(path)

    @rule(path=_paths)
    def report_twice(self, path: Path) -> None:
        if path in self.files:
            self.tell(path)

    @rule(path=_paths)
    def look(self, path: Path) -> None:
        if path in self.files and not is_ignored(path.name):
            self.tracker.observe(path, self.version(path), self.now, self.unit(path))

    @rule(path=_paths)
    def delete(self, path: Path) -> None:
        if self.files.pop(path, None) is not None:
            self.tracker.gone(path, self.now)

    @rule(old=_paths, new=_paths)
    def rename(self, old: Path, new: Path) -> None:
        if old not in self.files or old == new:
            return
        self.files[new] = self.files.pop(old)
        if not self.taken[self.files[new]] or is_ignored(old.name):
            self.quiet_since[self.unit(new)] = self.now  # what was taken is no change to the folder that it comes to
        if is_ignored(new.name):
            self.was_hidden.add(self.files[new])
            self.tracker.gone(old, self.now)
        elif is_ignored(old.name):
            self.tell(new)
        else:
            self.tracker.moved(old, new, self.version(new), self.now, self.unit(new))

    @rule(seconds=st.floats(0.0, 3.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def take(self) -> None:
        for unit in self.tracker.due(self.now):
            assert self.quiet_since[unit] + SETTLE <= self.now, "taken before it was quiet"
            for path in self.tracker.files(unit):
                assert not is_ignored(path.name)
                assert path in self.files, "taken though it is gone"
                self.taken[self.files[path]] += 1
            self.tracker.release(unit)

    @invariant()
    def next_due_agrees_with_due(self) -> None:
        following = self.tracker.next_due()
        assert (following is not None and following <= self.now) == bool(self.tracker.due(self.now))

    def teardown(self) -> None:
        self.now += SETTLE
        self.take()
        assert self.tracker.next_due() is None
        for path, content in self.files.items():
            if not is_ignored(path.name):
                assert self.taken[content] == 1 or (self.taken[content] > 1 and content in self.was_hidden)


TestAnyOrderOfEvents = AnyOrderOfEvents.TestCase
TestAnyOrderOfEvents.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
