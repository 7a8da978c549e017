"""The story in a few minutes, told by the real parts: Redis, Celery workers, video, training.

baseline -> clean footage passes -> noise and a covered camera fail, with their causes ->
the model is healed for noise on this stream: such footage passes and names its condition ->
the covered camera still fails, and asks for a hand -> the same noise on another stream is
judged by itself, and fails.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from common.contracts.events import (
    BatchCompleted,
    ChallengerRejected,
    Event,
    RetrainProgressed,
    RetrainStarted,
    WindowFailed,
    WindowPassed,
)
from common.contracts.incidents import IncidentState
from common.contracts.policy import Policy
from common.contracts.verdicts import Cause, Status, Verdict, worst
from common.errors import SentinelError, StoryWentOtherwise
from common.models.names import DEFAULT_MODEL
from common.processes import WORKERS
from common.settings import Settings
from common.store import Store
from common.store.client import without_password
from sentinel.cli.console import err, frame_progress
from sentinel.demo.environment import fresh_folder, own_environment
from sentinel.demo.footage import CALLED, HEALED, SAMPLE_FPS, drop, prepare
from sentinel.demo.result import DemoResult, Step
from sentinel.stack.stack import LocalStack, wait_for_workers

STREAM, OTHER_STREAM = "dock", "yard"
BASELINE = "demo"
_STEP_SECONDS = 90.0  # what no step takes on two cores; a stuck story ends with the step's name
_HEALING_SECONDS = 240.0  # nor healing between two reports of its progress; the longest is the first champion's fit


@dataclass
class Story:
    """Listens to the events, and remembers what happened."""

    store: Store
    seen: str = "-"
    events: list[Event] = field(default_factory=list)

    def listen(self) -> Iterator[Event]:
        for event in self.store.event_log.events(after=self.seen):
            self.seen = event.entry_id
            self.events.append(event)
            yield event

    def wait_for(
        self,
        what: str,
        enough: Callable[[], bool],
        look: Callable[[Event], None] = lambda _: None,
        seconds: float = _STEP_SECONDS,
        progress: tuple[type[Event], ...] = (),
    ) -> None:
        """Take events in until `enough`; raise `StoryWentOtherwise` naming `what` if that takes too long.

        Parameters
        ----------
        seconds : how long it may take, from the last event of the `progress` types on, so that a slow machine is not
            mistaken for a stuck one
        """
        deadline = time.monotonic() + seconds
        while True:
            for event in self.listen():
                look(event)
                if isinstance(event, progress):
                    deadline = time.monotonic() + seconds
            if enough():
                return
            if time.monotonic() > deadline:
                stuck = f"within {seconds:.0f} s{' of the last progress' if progress else ''}"
                raise StoryWentOtherwise(f"{what} did not happen {stuck}; the logs say why")
            time.sleep(0.1)

    def complete(self, path: Path) -> bool:
        return any(isinstance(event, BatchCompleted) and event.report.uri == str(path) for event in self.events)

    def verdicts(self, path: Path) -> list[Verdict]:
        verdicts = [event.verdict for event in self.events if isinstance(event, WindowPassed | WindowFailed)]
        return [verdict for verdict in verdicts if verdict.sources == (str(path),)]

    def count(self, kind: type[Event]) -> int:
        return sum(isinstance(event, kind) for event in self.events)


def run_demo(video: Path | None, keep: Path | None) -> DemoResult:
    """Tell the story, with progress on standard error.

    Parameters
    ----------
    video : the user's footage; None: the virtual camera's
    keep : folder in which everything is kept; None: nothing is kept, unless the story goes otherwise
    """
    folder = fresh_folder(keep)
    steps: list[Step] = []
    began = time.monotonic()
    as_told = True
    try:
        with own_environment(folder, BASELINE, SAMPLE_FPS if video is None else None) as settings:
            _tell(settings, folder, video, steps)
    except SentinelError as error:
        as_told = False
        steps.append(Step(name="the story went otherwise", outcome=f"{type(error).__name__}: {error}", seconds=0.0))
    seconds = time.monotonic() - began
    if as_told and keep is None:
        shutil.rmtree(folder, ignore_errors=True)
    kept = keep is not None or not as_told
    return DemoResult(as_told=as_told, steps=tuple(steps), seconds=seconds, folder=str(folder) if kept else None)


def _tell(settings: Settings, folder: Path, video: Path | None, steps: list[Step]) -> None:
    with _step(steps, "footage") as done:
        footage = prepare(folder / "footage", video, err.print)
        done(f"golden, clean and sabotaged clips, {footage.origin}")
    with _step(steps, "golden baseline") as done:
        done(_build(footage.golden, settings))
    with _stack(settings, steps) as store:
        story = Story(store)
        with _step(steps, "clean batch") as done:
            done(_expect(story, settings, [footage.clean], Status.PASS))
        with _step(steps, "noise, a covered camera") as done:
            done(_expect(story, settings, [*footage.healed, footage.called], Status.FAIL))
        with _step(steps, "healing") as done:
            done(_await_healing(story))
        with _step(steps, "the same noise again") as done:
            done(_expect(story, settings, footage.healed_again, Status.PASS))
        with _step(steps, "the camera is covered again") as done:
            done(_expect(story, settings, [footage.called_again], Status.FAIL))
        with _step(steps, "the same noise on another stream") as done:
            done(_expect(story, settings, [footage.elsewhere], Status.FAIL, stream=OTHER_STREAM))
        with _step(steps, "what is left for people") as done:
            done(_open_incidents(store))


def _build(golden: Path, settings: Settings) -> str:
    from common.baselines.build import build_baseline
    from common.extraction import load_extractor
    from common.modalities.video.modality import VIDEO

    extractor = load_extractor(settings, VIDEO, None)
    with frame_progress() as progress:
        stored = build_baseline([golden], BASELINE, settings.baselines_dir / BASELINE, extractor, settings, progress)
    return f"{stored.baseline.name}, id {stored.id[:12]}, weights {settings.weights}"


def _expect(story: Story, settings: Settings, clips: Sequence[Path], wanted: Status, *, stream: str = STREAM) -> str:
    """Drop `clips`, wait for their verdicts, and hold them against `wanted` and, on FAIL, the cause."""
    dropped = [drop(clip, settings.watch_dir / stream) for clip in clips]
    story.wait_for(
        f"a verdict on {', '.join(path.name for path in dropped)}",
        lambda: all(story.complete(path) for path in dropped),
    )
    outcomes = []
    for path in dropped:
        verdicts = story.verdicts(path)
        if not verdicts:
            raise StoryWentOtherwise(f"{path.name} was too short for a verdict")
        decisive = worst(verdicts)
        line = f"{path.stem}: {decisive.status}, score {decisive.drift_score:.2f}, p {decisive.p_value:.2g}"
        line += f", cause {decisive.cause}" if decisive.cause else ""
        outcomes.append(line)
        err.print(f"    {line}")
        if decisive.status is not wanted:
            raise StoryWentOtherwise(f"{path.name} should be {wanted}: {line}")
        if wanted is Status.FAIL and not _is_as_expected(decisive.cause, path):
            raise StoryWentOtherwise(f"{path.name} failed for {decisive.cause}, which is not the fault in it")
    return "; ".join(outcomes)


def _is_as_expected(cause: Cause | None, path: Path) -> bool:
    """Return whether a clip's cause is its fault; for a covered camera, any of those for which people are called.

    A cover over a part of a picture that looks alike everywhere may as well be a camera that was moved.
    """
    if CALLED in path.stem:
        return cause is not None and not Policy().of(cause).trains
    return cause in {fault.cause for fault in HEALED if fault in path.stem}


def _await_healing(story: Story) -> str:
    """Wait until the champion is proved on a condition for each fault that the policy trains on."""

    def show(event: Event) -> None:
        if isinstance(event, RetrainStarted | RetrainProgressed):
            err.print(f"    {event.report.stage}: {event.report.progress:.0%} {event.report.detail}")
        if isinstance(event, ChallengerRejected):
            raise StoryWentOtherwise(f"nothing was healed: {event.report.detail}")

    wanted = {fault.cause for fault in HEALED}

    def proved() -> bool:
        champion = story.store.champions.champion(DEFAULT_MODEL)
        return champion is not None and {row.cause for row in champion.conditions} == wanted

    for event in story.events:
        show(event)
    progress = (RetrainStarted, RetrainProgressed)
    story.wait_for("a champion that is proved on every healed fault", proved, show, _HEALING_SECONDS, progress)
    record = story.store.champions.champion(DEFAULT_MODEL)
    assert record is not None
    learned = ", ".join(f"{row.cause} ({row.gain_db:+.2f} dB over plain flow)" for row in record.conditions)
    return f"champion v{record.version}, proved on {learned}; nothing was learned from the covered camera"


def _open_incidents(store: Store) -> str:
    rows, is_called = [], False
    for stream in store.streams.names():
        for incident in store.streams.incidents(stream):
            if incident.state is not IncidentState.CLOSED:
                rows.append(f"{stream}: {incident.state}, {incident.cause}")
                is_called |= (
                    stream == STREAM
                    and incident.state is IncidentState.FAILING
                    and not Policy().of(incident.cause).trains
                )
    if not is_called:
        raise StoryWentOtherwise(f"the covered camera should be an open incident: {'; '.join(rows)}")
    return "; ".join(rows)


# --- what the story needs ------------------------------------------------------------------------------------


@contextmanager
def _step(steps: list[Step], name: str) -> Iterator[Callable[[str], None]]:
    """Announce a step, time it, and put its outcome on the closing table."""
    err.styled((f"{len(steps) + 1}. {name}", "bold cyan"), " ...")
    began = time.monotonic()
    outcomes: list[str] = []
    yield outcomes.append
    seconds = time.monotonic() - began
    outcome = outcomes[-1] if outcomes else ""
    steps.append(Step(name=name, outcome=outcome, seconds=seconds))
    err.styled(f"   {outcome} ", (f"({seconds:.1f} s)", "dim"))


@contextmanager
def _stack(settings: Settings, steps: list[Step]) -> Iterator[Store]:
    stack = LocalStack(settings, lambda line: err.print(f"    {line}"))
    stop = threading.Event()
    try:
        with _step(steps, "start the stack") as done:
            info = stack.start()
            supervision = threading.Thread(target=stack.run, args=(stop,), daemon=True)
            supervision.start()
            if missing := wait_for_workers(info.redis_url, set(WORKERS), _STEP_SECONDS):
                raise StoryWentOtherwise(f"workers that did not start: {', '.join(sorted(missing))}")
            done(f"Redis {without_password(info.redis_url)}, {len(stack.pids())} processes, Flower {info.flower_url}")
        yield Store(info.redis_url, settings)
        stop.set()
        supervision.join()
    finally:
        stop.set()
        with _step(steps, "stop the stack") as done:
            stack.stop()
            done("every process is gone")
