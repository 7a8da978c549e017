"""Building a baseline folder from golden footage."""

from __future__ import annotations

import contextlib
import importlib.metadata
import math
import re
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import numpy as np

from common.baselines.days import DaySource, Piece, plan_days, spans_days
from common.baselines.learned_in_words import learned_in_words
from common.baselines.storage import StoredBaseline, save_baseline
from common.contracts.batches import SourceKind
from common.contracts.feature_groups import FeatureGroup
from common.drift.baseline import Baseline
from common.drift.bursts import Burst
from common.drift.clean_drift import CleanDrift
from common.drift.fitting import fit_baseline
from common.drift.learned import NEEDED_NULL
from common.drift.learning import fit_learned
from common.drift.one_camera import check_one_camera
from common.drift.windows import WindowRule
from common.errors import BadBaseline, BadSource
from common.extraction import Extractor
from common.features import FeatureBlock
from common.modalities.modality import SourceFacts
from common.models.kinds import load_kind
from common.models.protocols import Examples
from common.settings import Settings
from common.sources.local import check_modality, describe_kind
from common.version import VERSION

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_BLOCK_FRAMES = 64
_MODEL = "vfi"  # the kind of model that trains on the golden examples beside a baseline

# Sampling when none is set: one frame per second finds a fault within a minute. If a camera sends about one key frame
# per second, only key frames are decoded, so that one core serves dozens of cameras. Footage too short to give enough
# windows at that rate is sampled faster, up to every frame.
_DEFAULT_FPS = 1.0
_KEY_SECONDS = (0.5, 2.0)  # key frames at intervals in this range, s, set the sampling rate
_EVERY_KEY_FRAME = 1.01  # sampled frames per key frame; a little above 1, as times are rounded
_WINDOWS_WANTED = 8
# A clip must hold at least four windows to show its normal variation. Frames of a very short window are so alike that
# they are little more than one independent frame.
_WINDOWS_NEEDED = 4
_SHORTEST_WINDOW = 12
_SEEN_NEEDED = 2  # frames of a window that the backbone sees, at least: a distance needs a sample
_STRIDES_PER_WINDOW = 4
_MOST_SOURCES = 24  # recordings that examples for the model are taken from
_MOST_EXAMPLES, _FEWEST_EXAMPLES = 240, 48  # for the model, of all sources together, but of each at least so many
_LIBRARIES = ("numpy", "scipy")
_LIBRARIES_OF_BACKBONES = ("openvino", "keras")


class FrameCounter(Protocol):
    """Counts the frames of one source."""

    def advance(self, frames: int) -> None: ...


class BuildProgress(Protocol):
    """Shows the progress of a build."""

    def source(self, name: str, frames: int) -> AbstractContextManager[FrameCounter]:
        """Return a context that counts the frames of one source; `frames` is the expected number."""

    def say(self, text: str) -> None:
        """Show one line."""


def check_name(name: str) -> None:
    """Raise `BadBaseline` unless `name` is a valid folder name on every system."""
    if not _NAME.fullmatch(name):
        raise BadBaseline(f"a baseline cannot be called {name!r}: use letters, digits, '.', '_' and '-', at most 100")


def choose_sampling(
    infos: Sequence[SourceFacts],
    window: int,
    asked: float | None,
    key_seconds: Sequence[float | None] = (),
    windows: int = _WINDOWS_WANTED,
) -> float | None:
    """Return the sampling rate in frames per second (None: every frame) that suits the shortest clip.

    Parameters
    ----------
    infos : of the golden clips
    window : frames per window
    asked : the user's choice, which is returned unchanged; None: choose
    key_seconds : interval between key frames of each clip, s; None: unknown
    windows : that each clip has to hold
    """
    if asked is not None:
        return asked
    needed = max((window * windows / info.duration for info in infos if info.duration > 0), default=math.inf)
    native = max((info.fps for info in infos if info.fps > 0), default=0.0)
    default_rate = _default_fps(key_seconds)
    fps = default_rate if needed <= default_rate else float(math.ceil(needed)) if needed < native else needed
    return None if fps >= native else fps


def _default_fps(key_seconds: Sequence[float | None]) -> float:
    """Return the lowest key-frame rate of the clips if all have a key frame every 0.5 to 2 s, else 1 per second."""
    shortest, longest = _KEY_SECONDS
    known = [seconds for seconds in key_seconds if seconds is not None and shortest <= seconds <= longest]
    if not known or len(known) < len(key_seconds):
        return _DEFAULT_FPS
    return round(1 / max(known), 4)


def sampling_advice(key_seconds: Sequence[float | None], fps: float | None, window: int) -> str | None:
    """Return advice for cheaper sampling of the videos; None if there is none, or if short footage requires the rate.

    Decoding a frame between two key frames requires the frames that it references, so sampling more often than
    there are key frames costs nearly as much as decoding every frame.
    """
    longest = max((seconds for seconds in key_seconds if seconds is not None), default=0.0)
    if fps is None or fps > 1 / _KEY_SECONDS[0] or longest <= _KEY_SECONDS[1] or fps * longest <= _EVERY_KEY_FRAME:
        return None
    alone = math.floor(100 / longest) / 100 or 1 / longest
    minutes = math.ceil(window * _WINDOWS_NEEDED / alone / 60)
    return (
        f"key frames come {longest:.1f} s apart, so to sample {fps:g} frames/s most of the video has to be decoded. "
        f"Let the camera send a key frame a second, or build with SENTINEL_SAMPLE_FPS={alone:.3g}, key frames alone, "
        f"from {minutes} minutes of footage or more: far cheaper, and faults are seen later"
    )


def choose_rule(
    infos: Sequence[SourceFacts], fps: float | None, settings: Settings, windows: int = _WINDOWS_NEEDED
) -> WindowRule:
    """Return the window rule: as set, or, if it is not set and the shortest clip is too short, a shorter window.

    Unless it is set, the stride is a quarter of the window. The cost of a verdict is proportional to the window, so
    the cost per frame stays constant. Each clip has to hold `windows` windows.
    """
    frames = settings.window_frames
    shortest = min(info.sampled_count(fps) for info in infos)
    if "window_frames" not in settings.model_fields_set and shortest < frames * windows:
        frames = max(_SHORTEST_WINDOW, shortest // windows)
    stride = settings.window_stride or max(1, frames // _STRIDES_PER_WINDOW)
    return WindowRule(frames=frames, stride=min(stride, frames))


def sees_enough(embed_every: int, rule: WindowRule) -> bool:
    """Return whether the backbone sees enough frames of every window."""
    return embed_every * _SEEN_NEEDED <= rule.frames


def check_embed_every(embed_every: int, rule: WindowRule) -> None:
    """Raise `BadBaseline` if the backbone would see too few frames of a window."""
    if not sees_enough(embed_every, rule):
        raise BadBaseline(
            f"SENTINEL_EMBED_EVERY={embed_every} leaves the backbone too few frames of a window of {rule.frames}: "
            f"set it to {rule.frames // _SEEN_NEEDED} or less, or set SENTINEL_WINDOW_FRAMES higher"
        )


def build_baseline(
    paths: Sequence[Path],
    name: str,
    folder: Path,
    extractor: Extractor,
    settings: Settings,
    progress: BuildProgress,
    *,
    examples: bool = True,
) -> StoredBaseline:
    """Extract features of the sources at `paths`, fit a baseline, and save it to `folder`.

    Sources whose capture times span more than a few hours are learned as days; others are fitted to as clips.

    Parameters
    ----------
    examples : whether examples of golden footage are kept beside it, which a model needs to be healed

    Raises
    ------
    BaselineTooShort
        If the footage is too short to calibrate on; the message gives the length that is needed.
    BadBaseline
        If the capture times of days go backwards or jump, or show two cameras, or if the backbone would see too few
        frames of a window.
    BadSource
        If a source cannot be read.
    """
    modality, limits = extractor.modality, extractor.limits
    for path in paths:
        check_modality(path, modality.name, limits)
    kinds = {path: describe_kind(path) for path in paths}
    sources = [DaySource(path, kinds[path], modality.probe(path, kinds[path], limits)) for path in paths]
    keys = [modality.key_seconds(path, limits) if kinds[path] is SourceKind.RECORDING else None for path in paths]
    if spans_days(sources):
        found = _learn_days(sources, keys, name, extractor, settings, progress)
        if found is not None:
            baseline, learned_from = found
            return save_baseline(baseline, folder, _golden_examples(learned_from, extractor) if examples else None)
    infos = [source.facts for source in sources]
    fps = choose_sampling(infos, settings.window_frames, settings.sample_fps, keys)
    rule = choose_rule(infos, fps, settings)
    check_embed_every(extractor.embed_every, rule)
    clips: list[tuple[str, FeatureBlock]] = []
    for path, info in zip(paths, infos, strict=True):
        blocks = []
        with progress.source(path.name, info.sampled_count(fps)) as ticker:
            for block in extractor.blocks(path, kinds[path], uri=str(path), sample_fps=fps, size=_BLOCK_FRAMES):
                ticker.advance(len(block))
                blocks.append(block)
        if not blocks:
            raise BadSource(f"{path} gave no frames: leave it out or replace it")
        clips.append((path.name, FeatureBlock.concatenate(blocks)))
    groups, clean_ratios = clean_bounds(extractor)
    baseline = fit_baseline(
        clips,
        name=name,
        feature_spec=extractor.feature_spec(fps),
        rule=rule,
        groups=groups,
        created_at=time.time(),
        libraries=library_versions(extractor),
        clean_ratios=clean_ratios,
    )
    stored = save_baseline(baseline, folder, _golden_examples(sources, extractor) if examples else None)
    if advice := sampling_advice(keys, fps, settings.window_frames):
        progress.say(advice)
    return stored


def _learn_days(
    sources: Sequence[DaySource],
    keys: Sequence[float | None],
    name: str,
    extractor: Extractor,
    settings: Settings,
    progress: BuildProgress,
) -> tuple[Baseline, list[DaySource]] | None:
    """Return a baseline of days of footage, and the sources that it is made of; None if there is too little of it."""
    infos = [source.facts for source in sources]
    fps = choose_sampling(infos, settings.window_frames, settings.sample_fps, keys, windows=1)
    rule = choose_rule(infos, fps, settings, windows=1)
    plan = plan_days(sources, fps, rule, rule_is_set="window_frames" in settings.model_fields_set)
    if plan is None:
        progress.say(
            f"the footage spans hours but gives fewer than {NEEDED_NULL} bursts, half an hour apart, so it cannot be "
            "learned as days: it is taken as single clips"
        )
        return None
    if not sees_enough(extractor.embed_every, plan.rule):  # of a few pictures an hour it sees every one
        extractor = extractor.following(extractor.feature_spec(fps).model_copy(update={"embed_every": 1}))
    bursts = []
    with progress.source(name, sum(piece.stop - piece.start for piece in plan.pieces)) as ticker:
        for piece in plan.pieces:
            burst = _extract(piece, extractor, fps, progress)
            ticker.advance(piece.stop - piece.start)
            bursts += [] if burst is None else [burst]
    check_one_camera(bursts, extractor.groups)
    groups, clean_ratios = clean_bounds(extractor)
    baseline = fit_learned(
        bursts,
        name=name,
        feature_spec=extractor.feature_spec(fps),
        rule=plan.rule,
        groups=groups,
        created_at=time.time(),
        libraries=library_versions(extractor),
        clean_ratios=clean_ratios,
    )
    for line in learned_in_words(baseline, len(bursts)):
        progress.say(line)
    return baseline, list(dict.fromkeys(piece.source for piece in plan.pieces))


def _extract(piece: Piece, extractor: Extractor, fps: float | None, progress: BuildProgress) -> Burst | None:
    """Return the burst of a part of a source; None, and said, if it cannot be read."""
    path, kind = piece.source.path, piece.source.kind
    try:
        block = extractor.extract(
            path, kind, uri=str(path), sample_fps=fps, start=piece.start, stop=piece.stop, taken=piece.times
        )
        return Burst.of(block, extractor.groups)
    except (BadSource, BadBaseline) as error:
        progress.say(f"left out: {error}")
        return None


def _golden_examples(sources: Sequence[DaySource], extractor: Extractor) -> Examples | None:
    """Return the examples of golden footage that the model trains on; None if no model trains on such footage."""
    model, modality = load_kind(_MODEL), extractor.modality
    if model.modality != modality.name:
        return None
    # Of days of footage a few recordings, spread over them: each gives as many examples as a clip.
    recordings = [source for source in sources if source.kind is SourceKind.RECORDING] or list(sources)
    chosen = [recordings[i] for i in np.unique(np.linspace(0, len(recordings) - 1, _MOST_SOURCES).round().astype(int))]
    kept = chosen if len(recordings) > _MOST_SOURCES else recordings
    most = max(_MOST_EXAMPLES // len(kept), _FEWEST_EXAMPLES)
    return np.concatenate(
        [_spread(model.read_golden(source.path, source.kind, extractor.limits), most) for source in kept]
    )


def _spread(examples: Examples, most: int) -> Examples:
    """Return up to `most` of the examples (n, ...), evenly spread."""
    places = np.linspace(0, len(examples) - 1, min(most, len(examples))).round().astype(int)
    return np.asarray(examples[places], np.uint8)


def clean_bounds(extractor: Extractor) -> tuple[tuple[FeatureGroup, ...], tuple[float, ...]]:
    """Return the groups with what follows from clean footage of other cameras, and the ratios of its windows; the
    groups as they are, and none, for a modality that ships no table of it."""
    table = extractor.modality.clean_drift
    if table is None:
        return extractor.groups, ()
    drift = CleanDrift(table)
    return drift.applied(extractor.groups), drift.ratios(extractor.groups)


def library_versions(extractor: Extractor) -> dict[str, str]:
    """Return the versions of Sentinel and of the installed libraries that features and statistics are made with.

    Keras is missing where backbones are only run that were converted elsewhere.
    """
    of_backbone = () if extractor.backbone is None else _LIBRARIES_OF_BACKBONES
    versions = {"sentinel-drift": VERSION}
    for name in (*_LIBRARIES, *extractor.modality.libraries, *of_backbone):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions
