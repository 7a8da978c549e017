"""What several benchmarks need: the backbone as a worker on a CPU loads it, a baseline, and messages on progress."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from common.backbones import Backbone, load_backbone
from common.contracts.batches import FeatureSpec
from common.contracts.feature_groups import FeatureGroup
from common.contracts.verdicts import Judgement
from common.drift.baseline import Baseline
from common.drift.bursts import Burst
from common.drift.clean_drift import CleanDrift
from common.drift.fitting import fit_baseline
from common.drift.judge import judge
from common.drift.learning import fit_learned
from common.drift.windows import WindowRule
from common.features import FeatureBlock
from common.modalities.video.clean_drift import clean_drift
from common.modalities.video.diagnosis import diagnose
from common.modalities.video.groups import EMBEDDING, feature_groups
from common.settings import Settings

NO_SPEC = FeatureSpec(backbone="-", weights="-", precision="-", decode_pipeline="-", sensors="-", sample_fps=None)
"""For features that were not extracted, or where it does not matter how."""


def cpu_backbone(weights: str, threads: int = 1) -> Backbone:
    """Return the default backbone, whatever the environment says."""
    return load_backbone(Settings(_env_file=None, weights=weights, device="cpu", threads=threads), None)


def embed_every() -> int:
    """Return of how many frames the backbone sees one, as for a baseline that is built in this environment."""
    return Settings(_env_file=None).embed_every


def fit(
    name: str,
    clips: Sequence[tuple[str, FeatureBlock]],
    rule: WindowRule,
    feature_spec: FeatureSpec = NO_SPEC,
    drift: CleanDrift | None = None,
    groups: tuple[FeatureGroup, ...] | None = None,
) -> Baseline:
    """Return a baseline of golden clips, given by name and features; raises what `fit_baseline` raises.

    Parameters
    ----------
    name : of the baseline; its camera's, if that may be in the table of clean drift
    drift : the table of clean drift; None: the one that video ships, without the camera called `name`
    groups : that are compared; None: all groups of video
    """
    by_hand = groups or feature_groups(clips[0][1].widths[EMBEDDING])
    drift = drift or _without(name)
    return fit_baseline(
        clips,
        name=name,
        feature_spec=feature_spec,
        rule=rule,
        groups=drift.applied(by_hand),
        created_at=0.0,
        libraries={},
        clean_ratios=drift.ratios(by_hand),
    )


def fit_bursts(bursts: Sequence[Burst], camera: str, groups: tuple[FeatureGroup, ...], rule: WindowRule) -> Baseline:
    """Return a baseline of golden bursts; `camera` is left out of the table of clean drift, if it is in it."""
    drift = _without(camera)
    return fit_learned(
        bursts,
        name=camera,
        feature_spec=NO_SPEC,
        rule=rule,
        groups=drift.applied(groups),
        created_at=0.0,
        libraries={},
        clean_ratios=drift.ratios(groups),
    )


def _without(camera: str) -> CleanDrift:
    drift = CleanDrift(clean_drift())
    return drift.without(camera) if camera in drift.cameras else drift


def judged(baseline: Baseline, window: FeatureBlock, settings: Settings) -> Judgement:
    """Return the judgement of one window by the rule of the settings, with its cause."""
    return judge(baseline, window, threshold=settings.drift_threshold, p_value=settings.p_value, diagnose=diagnose)


def say(what: str) -> None:
    """Report on standard error, so that printed tables stay intact, that `what` is done."""
    print(f"{what} done", file=sys.stderr, flush=True)
