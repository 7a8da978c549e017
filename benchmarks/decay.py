"""`make decay DATA=folder`: is a model that decays found on clean footage, and a sound one left alone?

    python -m benchmarks.decay --data FOLDER [--data FOLDER] [--triplets 3] [--weights random:0]

One half of each clip is golden: a first champion is fitted to a part of it, and its golden scores are of the rest. The
other half is live: every frame is sampled, in windows of 48 with a verdict every 12, of which the scores alone are
judged. Then each weight of the champion is perturbed by normal noise of some share of its layer's spread, three seeds,
and registered as the next version of a model whose scores are known, as a bad promotion would: how many disjoint
windows does it take until `model_decay` is named? Both halves take turns. At last the processor's time of the scores
is set beside that of the features of the same frames.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.clips import clips_below
from benchmarks.machine import machine
from benchmarks.pretrain import limit_threads
from benchmarks.results import save
from benchmarks.shares import Share, total
from benchmarks.workbench import cpu_backbone, embed_every
from common.contracts.batches import SourceKind
from common.contracts.model_scores import GoldenScores
from common.contracts.verdicts import Judgement, Status
from common.drift.confirmation import AlarmRule, Detector, Window, update
from common.drift.decay import with_model
from common.errors import BadSource
from common.extraction import Extractor
from common.features import FeatureBlock, FloatArray
from common.live_scores import LiveScores
from common.modalities.video.decode import probe, sampled_frames
from common.modalities.video.modality import VIDEO
from common.models.golden_reference import golden_values
from common.models.live_scoring import sampled
from common.models.vfi.kind import KIND
from common.models.vfi.triplets import TripletArray, collect_triplets, within_shots
from common.settings import Settings
from common.sources.limits import Limits
from simulation.model_faults import perturbed

_WINDOW, _STRIDE = 48, 12  # frames
_REPLAY = 120  # triplets kept of the golden half; `baseline build` keeps 200 of a clip
_SHARES = (0.4, 1.0)  # of a layer's spread
_SEEDS = (0, 1, 2)
_TIMED = 96  # frames
_CALM_P = 0.5  # of windows that pass, for the detector
_SOUND = Judgement(
    status=Status.PASS, drift_score=0.0, p_value=_CALM_P, cause=None, segment="", feature_groups=(),
    leading_features=(), worst_frames=(),
)  # fmt: skip


@dataclass
class Half:
    """What was found with one half of a clip golden.

    Attributes
    ----------
    clean : windows that FAIL with a sound champion
    confirmed : confirmed alarms of it
    named : by share of noise and seed, disjoint windows until decay is named; None: not in this footage
    behind_db : by share and seed, how far the perturbed champion is below the sound one on golden footage; 0: by no
        more than a promotion may lose
    """

    name: str
    clean: Share = field(default_factory=Share)
    confirmed: int = 0
    named: dict[str, int | None] = field(default_factory=dict)
    behind_db: dict[str, float] = field(default_factory=dict)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True, help="folder with clips of clean footage")
    parser.add_argument("--triplets", type=int, default=3, help="scored per window")
    parser.add_argument("--weights", default="random:0", help="of the backbone whose cost is measured")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    limit_threads(arguments.threads)
    print(machine())
    halves = [half for folder in arguments.data for clip in clips_below(folder) for half in measured(clip, arguments)]
    clean = total(half.clean for half in halves)
    print(f"\nsound champion, clean footage: windows that FAIL {clean}, alarms {sum(h.confirmed for h in halves)}")
    for share in _SHARES:
        mine = [(half, key) for half in halves for key in half.named if key.startswith(f"{share:.0%}")]
        known = [row for row in mine if row[0].behind_db[row[1]] > 0.0]
        for what, rows in (("all", mine), ("more than a promotion may lose behind on golden footage", known)):
            found = Share()
            for half, key in rows:
                windows = half.named[key]
                found.add(windows is not None and windows <= 2)
            print(f"perturbed by {share:.0%}, {what}: named within 2 windows {found}")
    costs = [cost(clip, arguments) for folder in arguments.data for clip in clips_below(folder)]
    save(
        "decay",
        {
            "triplets": arguments.triplets,
            "ms of features and scores per frame": costs,
            "halves": [vars(half) | {"clean": str(half.clean)} for half in halves],
        },
    )


def cost(clip: Path, arguments: argparse.Namespace) -> tuple[float, float]:
    """Return the processor's time per sampled frame of features and of scores, ms, where every frame is sampled."""
    extractor = Extractor(VIDEO, cpu_backbone(arguments.weights), Limits(), embed_every=embed_every())
    times = _times(clip)[:_TIMED]
    places = sampled(len(times), window=_WINDOW, triplets=arguments.triplets)

    def features() -> None:
        extractor.extract(clip, SourceKind.RECORDING, uri=str(clip), sample_fps=None, stop=len(times))

    def scores() -> None:
        KIND.score_live([KIND.shipped_model()], KIND.read_live(clip, [float(times[i]) for i in places], Limits())[0])

    found = []
    for work in (features, scores):
        work()  # the first call compiles, and reads the timeline
        began = time.process_time()
        work()
        found.append(1000.0 * (time.process_time() - began) / len(times))
    print(f"{clip.stem}: features {found[0]:.1f} ms of processor time per frame, scores {found[1]:.1f} ms")
    return found[0], found[1]


def measured(clip: Path, arguments: argparse.Namespace) -> Iterator[Half]:
    """Yield what is found with each half of a clip golden, as far as there is enough motion in both."""
    try:
        frames = int(probe(clip, SourceKind.RECORDING, Limits()).frames)
    except BadSource as error:
        print(f"{clip.name}: {error}")
        return
    parts = [(0, frames // 2), (frames // 2, frames)]
    for number, (golden, live) in enumerate((parts, parts[::-1])):
        half = judged(f"{clip.stem}, {('first', 'second')[number]} half golden", clip, golden, live, arguments.triplets)
        if half is not None:
            yield half


def judged(name: str, clip: Path, golden: tuple[int, int], live: tuple[int, int], triplets: int) -> Half | None:
    replay = within_shots(_triplets(clip, *golden))
    places = np.array(sampled(live[1] - live[0] - 2, window=_WINDOW, triplets=triplets)) + live[0]
    try:
        split = KIND.split_golden(len(replay))
        champion = KIND.first_model(replay[split.training], steps=Settings().first_steps, seed=0)
        held_out = replay[split.held_out]
    except BadSource as error:
        print(f"{name}: {error}")
        return None
    found, kept = KIND.read_live(clip, [float(t) for t in _times(clip)[places]], Limits())
    places = places[kept]
    started = time.monotonic()
    (own,) = KIND.score_live([champion], found)
    cost = 1000.0 * (time.monotonic() - started) / max(len(found), 1)
    reference = golden_values(KIND, champion, held_out, _loss(), None)
    if not np.isfinite(own).all(axis=1).any() or not len(reference.values):
        print(f"{name}: nothing moves in one half")
        return None
    half = Half(name)
    statuses = list(_verdicts(own, places, _message(reference.values, "sound")))
    detector, rule = Detector(), AlarmRule.of(1.0, _WINDOW, 25.0)
    for start, judgement in statuses:
        failed = judgement.status is Status.FAIL
        half.clean.add(failed)
        before = detector.confirmed
        detector = update(detector, rule, Window(start, start + _WINDOW, judgement.p_value, failed))
        half.confirmed += detector.confirmed and not before
    for share in _SHARES:
        for seed in _SEEDS:
            worse, key = perturbed(champion, share, seed), f"{share:.0%}, seed {seed}"
            held = golden_values(KIND, worse, held_out, _loss(), reference.values)
            half.behind_db[key] = held.behind_db
            (scores,) = KIND.score_live([worse], found)
            fails = [j.status is Status.FAIL for start, j in _verdicts(scores, places, _message(held.values, "sound"))]
            half.named[key] = next((i // (_WINDOW // _STRIDE) + 1 for i, failed in enumerate(fails) if failed), None)
    gain = float(np.nanmean(own[:, 0]))
    print(
        f"{name}: {half.clean} of windows FAIL; gain {gain:+.2f} dB live, {reference.values[:, 0].mean():+.2f} golden; "
        f"{int(np.isfinite(own).all(axis=1).sum())} of {len(own)} triplets scored, {cost:.0f} ms each; "
        f"named after windows {list(half.named.values())}; "
        f"behind on golden by {[round(db, 1) for db in half.behind_db.values()]} dB",
        flush=True,
    )
    return half


def _verdicts(scores: FloatArray, places: np.ndarray, golden: GoldenScores) -> Iterator[tuple[int, Judgement]]:
    """Yield the first frame and the judgement of each window of 48 frames."""
    told = np.isfinite(scores).all(axis=1)
    rows, at, first = scores[told], places[told], int(places[0])
    for start in range(first, int(places[-1]) + 1 - _WINDOW + _STRIDE, _STRIDE):
        inside = (at >= start) & (at < start + _WINDOW)
        columns = tuple(column.name for column in KIND.score_columns)
        live = LiveScores("sound", columns, rows[inside], (at[inside] - start).astype(np.int32))
        times = np.arange(_WINDOW, dtype=np.float64)
        block = FeatureBlock({}, times, ("clip",), np.zeros(_WINDOW, np.int32), scores=live)
        yield start, with_model(_SOUND, block, golden, threshold=0.3, p_value=0.05)


def _message(values: FloatArray, by: str) -> GoldenScores:
    rows = tuple(tuple(float(value) for value in row) for row in values)
    return GoldenScores(
        stream="clip", golden_id="golden", by=by, version=1, behind_db=0.0, columns=KIND.score_columns, values=rows,
        examples=len(rows), made_at=0.0,
    )  # fmt: skip


def _triplets(clip: Path, start: int, stop: int) -> TripletArray:
    frames = sampled_frames(clip, SourceKind.RECORDING, sample_fps=None, start=start, stop=stop, limits=Limits())
    return collect_triplets((frame.image for frame in frames), _REPLAY, expected_frames=stop - start)


def _times(clip: Path) -> np.ndarray:
    frames = sampled_frames(clip, SourceKind.RECORDING, sample_fps=None, start=0, stop=None, limits=Limits())
    return np.array([frame.time for frame in frames])


def _loss() -> float:
    return Settings().promote_max_loss_db


if __name__ == "__main__":
    main()
