"""The baseline: statistics of footage that is known to be good, which windows of a stream are compared with.

It consists of golden clips, or of bursts that were learned over days.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from common.contracts.batches import FeatureSpec
from common.contracts.feature_groups import FeatureGroup
from common.drift.bursts import Moment
from common.drift.coverage import coverage_of
from common.drift.feature_groups import fits_clean_drift
from common.drift.learned import Learned
from common.drift.learned_arrays import learned_arrays, learned_from_arrays
from common.drift.manifest import BaselineManifest
from common.drift.segment import Segment
from common.drift.segment_arrays import Arrays, digest_of, segment_arrays, segment_from_arrays
from common.drift.windows import WindowRule
from common.errors import BadBaseline, BadMessage
from common.features import FeatureBlock


@dataclass(frozen=True, eq=False)
class Baseline:
    """Golden clips, one segment each, or golden bursts of days.

    `fitting.fit_baseline` makes the first kind, `learning.fit_learned` the second; `judge.judge` uses both.

    Attributes
    ----------
    feature_spec : how the features were made; windows to be judged need features made the same way
    rule : length and stride of the windows that it judges
    groups : the groups of features that it compares; blocks to be judged need all of them
    segments : one per clip; none if it was learned over days
    clean_ratios : largest distance of clean windows of other cameras, in units of bounds made without them, in rising
        order; a window's p-value is its rank among them. Empty: it is that of the KS test
    null_false_alarms : share of the golden clips' own windows that the baseline fails, 0 to 1
    libraries : versions of Sentinel (from 0.4 on) and of the libraries that it was made with
    created_at : seconds since the epoch
    learned : what was learned over days; None: it was fitted to clips
    """

    name: str
    feature_spec: FeatureSpec
    rule: WindowRule
    groups: tuple[FeatureGroup, ...]
    segments: tuple[Segment, ...]
    clean_ratios: tuple[float, ...]
    null_false_alarms: float
    libraries: Mapping[str, str]
    created_at: float
    learned: Learned | None = None

    @property
    def widths(self) -> dict[str, int]:
        """Number of stored columns of each group, by its name."""
        return {group.name: group.size for group in self.groups}

    @property
    def false_alarm_rate_held(self) -> float:
        """The smallest false-alarm rate per window that this much golden footage can support, 1 / (n + 1).

        Of n + 1 exchangeable windows, each is the most distant one with probability 1 / (n + 1); n is the number of
        effective golden windows; of a learned baseline, of bursts that were compared with those of other days.
        """
        if self.learned is not None:
            return 1.0 / (1.0 + len(self.learned.null))
        return 1.0 / (
            1.0 + sum(segment.summary.effective_windows for segment in self.segments if segment.summary.golden)
        )

    @property
    def frames_per_second(self) -> float:
        """Sampled frames per second of the golden footage."""
        if self.learned is not None:
            steps = sum(burst.frames - 1 for burst in self.learned.bursts)
            return steps / max(sum(burst.seconds for burst in self.learned.bursts), 1e-6)
        golden = [segment.summary for segment in self.segments if segment.summary.golden]
        return sum(clip.frames for clip in golden) / max(sum(clip.seconds for clip in golden), 1e-6)

    def segment_like(self, block: FeatureBlock, name: str) -> Segment:
        """Return the golden segment that some footage is held against.

        Parameters
        ----------
        block : the footage; what was learned over days is chosen by its moment
        name : of the segment that a verdict named; if there is none of this name, the first one is returned
        """
        if self.learned is not None:
            return self.learned.reference(Moment.of(block, self.groups)).segment
        return next((segment for segment in self.segments if segment.summary.name == name), self.segments[0])

    @property
    def digest(self) -> str:
        """The baseline's id: equal content, equal digest."""
        return digest_of(self.to_manifest().to_json(), self.to_arrays())

    def to_manifest(self) -> BaselineManifest:
        return BaselineManifest(
            name=self.name,
            feature_spec=self.feature_spec,
            rule=self.rule,
            groups=self.groups,
            clean_ratios=self.clean_ratios,
            clips=tuple(segment.summary for segment in self.segments),
            coverage=None if self.learned is None else coverage_of(self.learned.bursts),
            null_false_alarms=self.null_false_alarms,
            false_alarm_rate_held=self.false_alarm_rate_held,
            libraries=dict(self.libraries),
            created_at=self.created_at,
        )

    def to_arrays(self) -> Arrays:
        """Return everything that is not in the manifest, by name."""
        if self.learned is not None:
            return learned_arrays(self.learned)
        arrays: Arrays = {}
        for number, segment in enumerate(self.segments):
            arrays |= segment_arrays(segment, f"{number}.")
        return arrays

    @classmethod
    def from_parts(cls, manifest: BaselineManifest, arrays: Arrays) -> Baseline:
        """Put a baseline together again; raise `BadBaseline` if manifest and arrays do not fit."""
        learned = None
        try:
            if manifest.coverage is not None:
                learned = learned_from_arrays(arrays, manifest.groups, manifest.rule.frames)
            segments = tuple(
                segment_from_arrays(clip, [group.name for group in manifest.groups], f"{number}.", arrays)
                for number, clip in enumerate(manifest.clips)
            )
        except KeyError as error:
            raise BadBaseline(f"baseline {manifest.name!r} lacks array {error}: rebuild it") from error
        except BadMessage as error:
            raise BadBaseline(f"baseline {manifest.name!r} cannot be read ({error}): rebuild it") from error
        if any(not segment.fits(manifest.groups) for segment in segments):
            raise BadBaseline(f"baseline {manifest.name!r} has arrays of another shape than it says: rebuild it")
        if any(not fits_clean_drift(group) for group in manifest.groups):
            raise BadBaseline(f"baseline {manifest.name!r} has clean effects of other columns than it has: rebuild it")
        if not segments and learned is None:
            raise BadBaseline(f"baseline {manifest.name!r} covers no clip: rebuild it")
        return cls(
            manifest.name,
            manifest.feature_spec,
            manifest.rule,
            manifest.groups,
            segments,
            manifest.clean_ratios,
            manifest.null_false_alarms,
            manifest.libraries,
            manifest.created_at,
            learned,
        )
