"""The steps of a retraining: collect the footage that failed, train a challenger, compare it with the champion.

The last two steps, the decision and the promotion, are in `gate` and `registry`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.baselines.storage import StoredBaseline
from common.contracts.models import ChampionRecord
from common.contracts.verdicts import Verdict
from common.errors import BadSource, NothingToLearnFrom
from common.features import FeatureBlock
from common.models.protocols import Examples, Model, Trainer, TrainingProgress
from common.models.vfi.footage import source_triplets
from common.models.vfi.model import Interpolator, load_model
from common.models.vfi.scores import Scores, score, split_in_blocks
from common.models.vfi.trainer import InterpolatorTrainer, initial_champion
from common.settings import Settings
from common.sources.local import Limits
from common.store.streams import StreamStore

log = logging.getLogger(__name__)

_FEWEST_TRIPLETS = 12  # with fewer, held-out scores are too noisy


@dataclass(frozen=True)
class Footage:
    """The footage behind a burst of FAILs.

    Attributes
    ----------
    clips : name and features of each stretch that failed; a promotion extends the baseline by them
    triplets : (n, 3, height, width, 3) uint8, consecutive frames to train on
    """

    clips: tuple[tuple[str, FeatureBlock], ...]
    triplets: Examples


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
    parts = []
    each = max(_FEWEST_TRIPLETS, settings.retrain_max_triplets // len(clips))
    for name, clip in clips:
        try:
            parts.append(source_triplets(clip, limits=Limits.from_settings(settings), roots=settings.roots, most=each))
        except BadSource as error:
            log.warning("%s: its frames cannot be trained on: %s", name, error)
    triplets = np.concatenate(parts) if parts else np.zeros((0, 3, 1, 1, 3), np.uint8)
    if len(triplets) < _FEWEST_TRIPLETS:
        raise NothingToLearnFrom(
            f"only {len(triplets)} frame triplets of the failed footage can be read, {_FEWEST_TRIPLETS} are needed: "
            "keep the files in place until the retraining is over"
        )
    return Footage(tuple(clips), triplets)


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
    """Return the golden examples (n, 3, height, width, 3) uint8 that are used in training against forgetting.

    Raises
    ------
    NothingToLearnFrom
        If the baseline keeps too few of them.
    """
    replay = stored.baseline.replay
    if replay is None or len(replay) < _FEWEST_TRIPLETS:
        raise NothingToLearnFrom(
            f"baseline {stored.baseline.name!r} keeps too few golden frames for replay: rebuild it from moving footage"
        )
    return replay


def champion_model(champion: ChampionRecord, replay: Examples, settings: Settings) -> Interpolator:
    """Return the champion's model. If the champion has no stored model yet, one is fitted to the golden examples."""
    if champion.model_path is not None:
        return load_model(Path(champion.model_path))
    return initial_champion(replay, seed=settings.retrain_seed)


def train(
    champion: Interpolator,
    footage: Footage,
    replay: Examples,
    settings: Settings,
    progress: Callable[[float, str], None],
) -> Interpolator:
    """Fine-tune a challenger on `footage` and golden replay, without the examples that `evaluate` scores on.

    `progress` is called with the share of the training time that has passed (0 to 1), and a description.
    """

    def report(step: TrainingProgress) -> None:
        progress(min(step.seconds / settings.retrain_seconds, 1.0), f"step {step.step}, {-step.loss:.1f} dB")

    trainer: Trainer[Interpolator] = InterpolatorTrainer()
    challenger = trainer.fine_tune(
        champion,
        footage.triplets[split_in_blocks(len(footage.triplets)).training],
        replay[split_in_blocks(len(replay)).training],
        seconds=settings.retrain_seconds,
        seed=settings.retrain_seed,
        progress=report,
    )
    return challenger.model


def evaluate(champion: Model, challenger: Model, footage: Footage, replay: Examples) -> Scores:
    """Score champion and challenger on the same held-out examples, which the challenger was not trained on."""
    drifted = footage.triplets[split_in_blocks(len(footage.triplets)).held_out]
    golden = replay[split_in_blocks(len(replay)).held_out]
    return Scores(
        champion_drifted=score(champion, drifted),
        challenger_drifted=score(challenger, drifted),
        champion_golden=score(champion, golden),
        challenger_golden=score(challenger, golden),
    )
