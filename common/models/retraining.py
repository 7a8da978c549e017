"""The steps of a retraining: collect the footage that failed, train a challenger, compare it with the champion.

The last two steps, the decision and the promotion, are in `gate` and `registry`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.baselines.storage import StoredBaseline, load_replay
from common.contracts.models import ChampionRecord
from common.contracts.verdicts import Verdict
from common.errors import BadSource, NothingToLearnFrom
from common.features import FeatureBlock
from common.models.gate import Comparison, compare, digests_of
from common.models.kinds import load_kind
from common.models.protocols import Examples, Model, TrainingProgress
from common.settings import Settings
from common.sources.local import Limits
from common.store.streams import StreamStore

log = logging.getLogger(__name__)

_KIND = "vfi"  # the kind of every model


@dataclass(frozen=True)
class Footage:
    """The footage behind a burst of FAILs.

    Attributes
    ----------
    stretches : (n, ...) uint8 examples of each stretch that failed, by its name
    """

    stretches: Mapping[str, Examples]


def collect(fails: Mapping[str, Verdict], streams: StreamStore, settings: Settings) -> Footage:
    """Gather features and frames of the windows that failed.

    Raises
    ------
    NothingToLearnFrom
        If the evidence has expired, or too few frames can still be read.
    """
    windows = {event_id: streams.evidence(verdict.stream, event_id) for event_id, verdict in fails.items()}
    known = [(fails[event_id], window) for event_id, window in windows.items() if window is not None]
    if not known:
        raise NothingToLearnFrom("the features of the failed windows are no longer kept: see SENTINEL_RETENTION_DAYS")
    clips = stretches(known)
    kind = load_kind(_KIND)
    found: dict[str, Examples] = {}
    left_out: list[str] = []
    each = max(kind.fewest_examples, settings.retrain_max_triplets // len(clips))
    for name, clip in clips:
        try:
            part = kind.read_stretch(clip, limits=Limits.from_settings(settings), roots=settings.roots, most=each)
        except BadSource as error:
            left_out.append(f"{name}: {error}")
            continue
        if part.unfit or len(part.examples) < kind.fewest_examples:
            few = f"only {len(part.examples)} examples can be read, {kind.fewest_examples} are needed"
            left_out.append(f"{name}: {part.unfit or few}")
            continue
        found[name] = part.examples
    if not found:
        raise NothingToLearnFrom(
            f"nothing of the failed footage can be trained on ({'; '.join(left_out)}): "
            "keep the files in place until the retraining is over"
        )
    for reason in left_out:
        log.warning("left out of the training: %s", reason)
    return Footage(found)


def stretches(known: Iterable[tuple[Verdict, FeatureBlock]]) -> list[tuple[str, FeatureBlock]]:
    """Join the overlapping windows of each stream into clips of consecutive frames, each frame once.

    A new clip starts where a window does not overlap the one before, or shares no
    source with it. Returns (name, features) per clip.
    """
    clips: list[tuple[str, FeatureBlock]] = []
    by_stream: dict[str, list[tuple[Verdict, FeatureBlock]]] = {}
    for verdict, window in known:
        by_stream.setdefault(verdict.stream, []).append((verdict, window))
    for stream, rows in sorted(by_stream.items()):
        rows.sort(key=lambda row: row[0].start)
        joined: list[FeatureBlock] = []
        end = -1
        first = 0
        for verdict, window in rows:
            # A window that was emptied at the start of a batch has no source in common with the one before.
            fresh = verdict.start >= end or not joined or not set(window.sources) & set(joined[-1].sources)
            if fresh and joined:
                clips.append((f"{stream}@{first}", FeatureBlock.concatenate(joined)))
                joined = []
            if not joined:
                first, end = verdict.start, verdict.start
            if verdict.stop > end:
                joined.append(window[max(0, end - verdict.start) :])
                end = verdict.stop
        if joined:
            clips.append((f"{stream}@{first}", FeatureBlock.concatenate(joined)))
    return clips


def golden_replay(stored: StoredBaseline) -> Examples:
    """Return the golden examples (n, ...) uint8 that are used in training against forgetting.

    Raises
    ------
    NothingToLearnFrom
        If the baseline keeps too few of them.
    """
    replay = load_replay(stored.folder)
    if replay is None or len(replay) < load_kind(_KIND).fewest_examples:
        raise NothingToLearnFrom(
            f"baseline {stored.baseline.name!r} keeps too few golden frames for replay: rebuild it from moving footage"
        )
    return replay


def champion_model(champion: ChampionRecord, replay: Examples, settings: Settings) -> Model:
    """Return the champion's model. If the champion has no stored model yet, one is fitted to the golden examples."""
    kind = load_kind(_KIND)
    if champion.model_path is not None:
        return kind.load(Path(champion.model_path))
    return kind.first_model(replay, seed=settings.retrain_seed)


def train(
    champion: Model,
    footage: Footage,
    replay: Examples,
    settings: Settings,
    progress: Callable[[float, str], None],
) -> Model:
    """Fine-tune a challenger on `footage` and golden replay, without the examples that `evaluate` scores on.

    `progress` is called with the share of the training time that has passed (0 to 1), and a description.
    """

    def report(step: TrainingProgress) -> None:
        progress(min(step.seconds / settings.retrain_seconds, 1.0), f"step {step.step}, {-step.loss:.1f} dB")

    kind = load_kind(_KIND)
    challenger = kind.trainer().fine_tune(
        champion,
        np.concatenate([part[kind.split_stretch(len(part)).training] for part in footage.stretches.values()]),
        replay[kind.split_golden(len(replay)).training],
        seconds=settings.retrain_seconds,
        seed=settings.retrain_seed,
        progress=report,
    )
    return challenger.model


def evaluate(champion: Model, challenger: Model, footage: Footage, replay: Examples) -> Comparison:
    """Score champion and challenger on the same held-out examples, which the challenger was not trained on."""
    kind = load_kind(_KIND)
    splits = {name: kind.split_stretch(len(part)) for name, part in footage.stretches.items()}
    golden = kind.split_golden(len(replay))
    trained = [footage.stretches[name][split.training] for name, split in splits.items()]
    return compare(
        kind,
        champion,
        challenger,
        {name: footage.stretches[name][split.held_out] for name, split in splits.items()},
        replay[golden.held_out],
        trained_on=digests_of(replay[golden.training]).union(*map(digests_of, trained)),
        live={},
    )
