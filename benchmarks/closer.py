"""Looking closer when in doubt: cameras per core against the delay until a fault is known, before and after.

    python -m benchmarks.closer [--data FOLDER] [--segment 10] [--score 0.05] [--weights random:0]

Cameras send a key frame per second, and are handed in by segments, each of which is decoded, embedded and judged by the
functions of the workers. Three ways are compared in one run: every segment sampled at one rate (before; at the rate of
the key frames, it is judged by key frames alone), and closer: key frames while all is quiet, the baseline's rate while
the latest verdict leaves a doubt. What a segment shows is known before the next one is handed in.

Delays are of faults of severity 3, from their first frame to the last frame of the window that FAILs, or confirms. They
begin at several places of a segment. The footage is the virtual camera's, or --data: each clip's first half is golden,
its second half is judged, both shown over and over. Costs are of 1080p30 on one core: processor time for decoding to
features, by segment, and for verdicts; that of closer follows from how often it looked closer at clean footage.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle, islice
from pathlib import Path
from statistics import median

import av
import cv2
import numpy as np
from av.video.stream import VideoStream

from benchmarks.clips import as_camera, clips_below, largest_clip
from benchmarks.machine import machine
from benchmarks.results import save
from benchmarks.workbench import cpu_backbone, embed_every, fit, say
from common.baselines.storage import StoredBaseline
from common.contracts.batches import SourceKind
from common.contracts.verdicts import Status, Verdict
from common.drift.doubt import is_in_doubt
from common.drift.frame_buffer import FrameBuffer
from common.drift.judge import judge
from common.drift.windows import WindowRule, WindowState
from common.extraction import Extractor
from common.features import FeatureBlock, Image
from common.judging import BatchPlace, Thresholds, judge_block
from common.modalities.video.decode import sampled_frames
from common.modalities.video.groups import VIEW
from common.modalities.video.modality import VIDEO
from common.settings import Settings
from common.sources.limits import Limits
from simulation.faults import Fault, sabotage_frames
from simulation.virtual_camera import record

_RULE = WindowRule(frames=48, stride=12)
_FPS, _WIDTH, _HEIGHT = 25, 320, 180  # of the cameras whose faults are found
_KEY_RATE = 1.0
_SCORE = 0.05
_SPARSE = 1.02  # sampled per second, as `StreamFeatures.key_rate` says for a key frame per second
_RATES = (5.0, 3.0, 2.5, _KEY_RATE)  # of the version before
_CLOSER_RATES = (5.0,)  # of the baselines of closer
_FAULTS = (
    Fault.NOISE, Fault.BLUR, Fault.LOW_LIGHT, Fault.COMPRESSION, Fault.COVERED, Fault.FOG, Fault.FLICKER, Fault.FROZEN,
)  # fmt: skip
_SEVERITY, _SEED = 3, 7
_CLEAN_SECONDS, _FAULTY_SECONDS = 60, 20  # of footage that differs: golden and clean; of each fault
_GOLDEN_SECONDS = 300  # that a baseline is made of, so that there are six windows of key frames
_QUIET_SECONDS, _LEAD_SECONDS, _LONGEST_SECONDS = 240, 80, 90  # clean footage judged; before a fault; with it
_PLACES = 4  # of a segment at which faults begin
_VIRTUAL_CAMERAS = 1
_COST_SECONDS, _COST_FPS, _COST_HEIGHT = 10, 30, 1080
_SECONDS_ALLOWED = 10.0
"""The delay until the first FAIL at which cameras per core are compared."""


@dataclass(frozen=True)
class Way:
    """How segments are sampled: at `rate` frames per second; `closer`: only in doubt, else by their key frames."""

    rate: float
    closer: bool = False

    @property
    def name(self) -> str:
        if self.closer:
            return f"closer, baseline of {self.rate:g} per second"
        return "key frames alone" if self.rate == _KEY_RATE else f"always {self.rate:g} per second"


@dataclass
class Outcome:
    """What one way found, over all cameras.

    Attributes
    ----------
    seconds, dense : of clean footage judged, and of it looked at closely
    verdicts : on that footage
    fails, alarms : of these, FAILs, and confirmed ones
    first, told, confirmed : seconds from the beginning of each fault to the first FAIL, to the end of the segment that
        it lies in, and to the first confirmed FAIL; infinite: not within 90 s
    """

    seconds: float = 0.0
    dense: float = 0.0
    verdicts: int = 0
    fails: int = 0
    alarms: int = 0
    first: dict[Fault, list[float]] = field(default_factory=dict)
    told: dict[Fault, list[float]] = field(default_factory=dict)
    confirmed: dict[Fault, list[float]] = field(default_factory=dict)


class Camera:
    """The segments of one camera as files, and what is made of them at each rate.

    Parameters
    ----------
    golden, today : images
    folder : for the files
    seconds : of a segment
    """

    def __init__(
        self, golden: Sequence[Image], today: Sequence[Image], folder: Path, seconds: float, extractor: Extractor
    ) -> None:
        self._extractor, self._folder, self.seconds = extractor, folder, seconds
        self._frames = round(seconds * _FPS)
        self._known: dict[tuple[Path, float], FeatureBlock] = {}
        self.golden = self._write("golden", islice(cycle(golden), _CLEAN_SECONDS * _FPS))
        self.clean = self._write("clean", islice(cycle(today), _CLEAN_SECONDS * _FPS))
        self.faulty = {
            fault: self._write(
                fault,
                sabotage_frames(
                    islice(cycle(today), max(self._frames, _FAULTY_SECONDS * _FPS)), fault, _SEVERITY, _SEED
                ),
            )
            for fault in _FAULTS
        }

    def _write(self, name: str, images: Iterator[Image]) -> list[Path]:
        found: list[Path] = []
        while segment := list(islice(images, self._frames)):
            if len(segment) == self._frames:
                found.append(encode(self._folder / f"{name}{len(found)}.mp4", segment))
        return found

    def features(self, path: Path, rate: float) -> FeatureBlock:
        """Return what the embedding worker makes of a segment, without its view: registering what a fault hides takes
        seconds per window, and none of these faults moves the camera."""
        if (path, rate) not in self._known:
            block = extract(self._extractor, path, rate)
            judged = {name: values for name, values in block.groups.items() if name != VIEW}
            self._known[path, rate] = replace(block, groups=judged)
        return self._known[path, rate]

    def baseline(self, rate: float) -> StoredBaseline:
        paths = islice(cycle(self.golden), math.ceil(_GOLDEN_SECONDS / self.seconds))
        blocks = [self.features(path, rate) for path in paths]
        shifted = [
            replace(block, times=block.times + number * self.seconds, sources=("golden",))
            for number, block in enumerate(blocks)
        ]
        golden = FeatureBlock.concatenate(shifted)
        spec = self._extractor.feature_spec(rate)
        groups = tuple(group for group in self._extractor.groups if group.name in golden.groups)
        baseline = fit("golden", [("golden", golden)], _RULE, spec, groups=groups)
        return StoredBaseline(baseline, "golden", self._folder)


def encode(path: Path, images: Iterable[Image]) -> Path:
    """Write H.264 with a key frame per second, none reordered, as cameras send it."""
    with av.open(str(path), "w") as container:
        options = {"preset": "veryfast", "crf": "20", "g": str(_FPS), "bf": "0", "sc_threshold": "0"}
        stream = container.add_stream("libx264", rate=_FPS, options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def extract(extractor: Extractor, path: Path, rate: float) -> FeatureBlock:
    """Return the features of a segment at a rate."""
    return extractor.extract(path, SourceKind.RECORDING, uri=path.name, sample_fps=rate)


class Stream:
    """A stream as the reducer keeps it, beside the producer that decides how its next segment is sampled."""

    def __init__(self, stored: StoredBaseline, way: Way, thresholds: Thresholds, score: float) -> None:
        self.stored, self.way, self.thresholds, self.score = stored, way, thresholds, score
        self.state = WindowState()
        self.latest: Verdict | None = None
        self._blocks: list[FeatureBlock] = []

    def copy(self) -> Stream:
        other = Stream(self.stored, self.way, self.thresholds, self.score)
        other.state, other.latest, other._blocks = self.state, self.latest, list(self._blocks)
        return other

    @property
    def is_sparse(self) -> bool:
        """Whether the key frames of the next segment are enough."""
        return self.way.closer and self.latest is not None and not is_in_doubt(self.latest, self.score)

    def judge(self, block: FeatureBlock, *, sparse: bool) -> list[Verdict]:
        """Judge the next segment."""
        blocks = self._blocks
        buffer = FrameBuffer(self.state.position, lambda: blocks)
        place = BatchPlace(len(block), opens=False, closes=False, ends_sparse=sparse)
        self.state, judged = judge_block(
            self.state, buffer, block, stored=self.stored, thresholds=self.thresholds, stream="camera", place=place
        )
        self._blocks = [buffer.slice(self.state.latest(_RULE))]
        verdicts = [row.verdict for row in judged]
        self.latest = verdicts[-1] if verdicts else self.latest
        return verdicts


def watch(camera: Camera, way: Way, thresholds: Thresholds, score: float, found: Outcome) -> None:
    """Judge a camera's clean footage, then each fault at several places."""
    begun = Stream(camera.baseline(way.rate), way, thresholds, score)
    segments = cycle(camera.clean)
    quiet: Stream | None = None
    for number in range(math.ceil(_QUIET_SECONDS / camera.seconds)):
        if number * camera.seconds >= _LEAD_SECONDS and quiet is None:
            quiet = begun.copy()
        sparse = begun.is_sparse
        verdicts = begun.judge(camera.features(next(segments), _SPARSE if sparse else way.rate), sparse=sparse)
        if quiet is not None:
            found.seconds += camera.seconds
            found.dense += 0.0 if sparse else camera.seconds
            found.verdicts += len(verdicts)
            found.fails += sum(verdict.status is Status.FAIL for verdict in verdicts)
            found.alarms += sum(verdict.confirmed for verdict in verdicts)
    assert quiet is not None
    for fault, faulty in camera.faulty.items():
        for place in range(_PLACES):
            onset = (place + 0.5) / _PLACES * camera.seconds
            first, told, confirmed = delays(camera, quiet.copy(), faulty, onset)
            found.first.setdefault(fault, []).append(first)
            found.told.setdefault(fault, []).append(told)
            found.confirmed.setdefault(fault, []).append(confirmed)


def delays(camera: Camera, stream: Stream, faulty: Sequence[Path], onset: float) -> tuple[float, float, float]:
    """Return the seconds from a fault, which begins `onset` seconds into the first segment, to what is known of it."""
    first = told = confirmed = math.inf
    for number in range(math.ceil(_LONGEST_SECONDS / camera.seconds)):
        sparse = stream.is_sparse
        rate = _SPARSE if sparse else stream.way.rate
        block = camera.features(faulty[number % len(faulty)], rate)
        if number == 0:
            before = camera.features(camera.clean[0], rate)
            at, after = np.searchsorted(before.times, onset), np.searchsorted(block.times, onset)
            block = FeatureBlock.concatenate([before[: int(at)], block[int(after) :]])
        for verdict in stream.judge(block, sparse=sparse):
            if verdict.status is not Status.FAIL:
                continue
            seconds = number * camera.seconds + verdict.stop_time - onset
            if seconds < 0:
                continue  # a false alarm just before
            if math.isinf(first):
                first, told = seconds, (number + 1) * camera.seconds - onset
            if verdict.confirmed:
                return first, told, seconds
    return first, told, confirmed


def costs(
    extractor: Extractor, folder: Path, source: Path, seconds: float, rates: Iterable[float]
) -> dict[float, float]:
    """Return, by rate, the processor seconds that a second of 1080p30 takes from decoding to features."""
    path = as_camera(
        source, folder / "cost.mp4", _COST_HEIGHT, frames=round(max(seconds, _COST_SECONDS) * _COST_FPS),
        fps=_COST_FPS, gop=round(_COST_FPS / _KEY_RATE),
    )  # fmt: skip
    rates = list(rates)
    taken: dict[float, list[float]] = {rate: [] for rate in rates}
    for _ in range(3):
        for rate in rates:
            began = time.process_time()
            extract(extractor, path, rate)
            taken[rate].append((time.process_time() - began) / max(seconds, _COST_SECONDS))
    return {rate: median(values) for rate, values in taken.items()}


def verdict_seconds(camera: Camera, extractor: Extractor) -> float:
    """Return the processor seconds that one verdict on clean footage takes, with the view."""
    blocks = [extract(extractor, path, _RATES[0]) for path in camera.clean]
    clean = FeatureBlock.concatenate(
        [replace(block, times=block.times + n * camera.seconds, sources=("clean",)) for n, block in enumerate(blocks)]
    )
    baseline = fit("golden", [("golden", clean)], _RULE)
    windows = [clean[start : start + _RULE.frames] for start in range(0, len(clean) - _RULE.frames, _RULE.frames)]
    began = time.process_time()
    for window in windows:
        judge(baseline, window)
    return (time.process_time() - began) / len(windows)


def cameras_of(data: Path | None, folder: Path, seconds: float, extractor: Extractor) -> Iterator[tuple[str, Camera]]:
    """Yield the cameras with their names."""
    for name, images in _footage(data, folder):
        own = folder / name
        own.mkdir()
        half = len(images) // 2
        yield name, Camera(images[:half], images[half:], own, seconds, extractor)


def _footage(data: Path | None, folder: Path) -> Iterator[tuple[str, list[Image]]]:
    if data is None:
        for seed in range(1, 1 + _VIRTUAL_CAMERAS):
            path = folder / f"virtual{seed}.mp4"
            record(path, seconds=2 * _CLEAN_SECONDS, seed=seed, fps=float(_FPS), width=_WIDTH, height=_HEIGHT)
            yield f"virtual camera {seed}", _images(path)
        return
    for path in clips_below(data):
        yield path.stem, _images(path)


def _images(path: Path) -> list[Image]:
    frames = sampled_frames(path, SourceKind.RECORDING, sample_fps=None, start=0, stop=None, limits=Limits())
    size = (_WIDTH, _HEIGHT)
    return [np.asarray(cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA), np.uint8) for frame in frames]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    settings = Settings(_env_file=None)
    parser.add_argument("--data", type=Path, help="folder with clips of fixed cameras; without: the virtual camera")
    parser.add_argument("--segment", type=float, default=settings.segment_seconds, help="seconds of a segment")
    parser.add_argument("--score", type=float, default=_SCORE, help="above which to look closer")
    parser.add_argument("--weights", default="random:0")
    chosen = parser.parse_args()
    extractor = Extractor(VIDEO, cpu_backbone(chosen.weights), Limits(), embed_every=embed_every())
    thresholds = Thresholds.of(settings)
    ways = [*(Way(rate) for rate in _RATES), *(Way(rate, closer=True) for rate in _CLOSER_RATES)]
    outcomes = {way: Outcome() for way in ways}
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        verdict = 0.0
        for title, camera in cameras_of(chosen.data, folder, chosen.segment, extractor):
            say(f"footage of {title}")
            for way in ways:
                watch(camera, way, thresholds, chosen.score, outcomes[way])
                say(f"{title}, {way.name}")
            verdict = verdict or verdict_seconds(camera, extractor)
        source = largest_clip(chosen.data, folder)
        cost = costs(extractor, folder, source, chosen.segment, {*_RATES, *_CLOSER_RATES, _SPARSE})
    report(outcomes, cost, verdict, chosen.segment, chosen.score)


def report(
    outcomes: dict[Way, Outcome], cost: dict[float, float], verdict: float, segment: float, score: float
) -> None:
    """Print the tables, and store the figures."""
    rows = {way: _row(way, found, cost, verdict) for way, found in outcomes.items()}
    print(f"\nsegments of {segment:g} s, a key frame per second; closer above a score of {score:g}\n")
    print(
        "| segments are sampled | CPU ms per camera-second | cameras per core | first FAIL, s | "
        "its segment is in, s | confirmed, s | found | clean windows that FAIL | clean footage looked at closely |"
    )
    print("|---|" + "---|" * 8)
    for way, row in rows.items():
        found = outcomes[way]
        print(
            f"| {way.name} | {1000 * row['cost']:.1f} | {1 / row['cost']:.1f} | {row['first']:.1f} | "
            f"{row['told']:.1f} | "
            f"{row['confirmed']:.1f} | {row['found']:.0%} | {found.fails}/{found.verdicts} | "
            f"{found.dense / found.seconds:.0%} |"
        )
    before = [1 / row["cost"] for way, row in rows.items() if not way.closer and row["first"] <= _SECONDS_ALLOWED]
    after = [1 / row["cost"] for way, row in rows.items() if way.closer and row["first"] <= _SECONDS_ALLOWED]
    print(
        f"\ncameras per core at a median delay of at most {_SECONDS_ALLOWED:g} s to the first FAIL: "
        f"before {max(before, default=0.0):.1f}, after {max(after, default=0.0):.1f}, "
        f"{max(after, default=0.0) / max(before, default=math.inf):.2f} times as many\n"
    )
    names = [way for way in outcomes if way.closer or way.rate in {_RATES[0], _KEY_RATE}]
    print("| median seconds to the first FAIL, and confirmed | " + " | ".join(way.name for way in names) + " |")
    print("|---|" + "---|" * len(names))
    for fault in _FAULTS:
        cells = [f"{median(outcomes[w].first[fault]):.1f}, {median(outcomes[w].confirmed[fault]):.1f}" for w in names]
        print(f"| {fault} | " + " | ".join(cells) + " |")
    save("closer", {way.name: row for way, row in rows.items()})


def _row(way: Way, found: Outcome, cost: dict[float, float], verdict: float) -> dict[str, float]:
    dense = found.dense / found.seconds
    own = dense * cost[way.rate] + (1 - dense) * cost[_SPARSE]
    first, told, confirmed = (
        [seconds for rows in times.values() for seconds in rows] for times in (found.first, found.told, found.confirmed)
    )
    return {
        "cost": own + verdict * found.verdicts / found.seconds,
        "first": median(first),
        "told": median(told),
        "confirmed": median(confirmed),
        "found": sum(map(math.isfinite, first)) / len(first),
    }


if __name__ == "__main__":
    main()
