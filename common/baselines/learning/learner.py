"""Learning: bursts that the reducer took become files, and a baseline is fitted to all that are kept.

Each step may be repeated: a burst is a file of its slot, a baseline a folder of its
content. Whatever is killed in between goes on where it was, and counts nothing twice.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from common.baselines.golden import Golden, Learning
from common.baselines.learning.choosing import slot_seconds
from common.baselines.learning.epoch import Epoch, superfluous
from common.baselines.learning.pictures import NOT_KEPT, Call, count_pictures, directly, keep_pictures
from common.contracts.learning import LearningStatus
from common.drift.bursts import Burst
from common.drift.coverage import coverage_of, wants
from common.drift.learning import fit_learned
from common.drift.windows import WindowRule
from common.errors import BadBaseline, BadMessage
from common.features import FeatureBlock
from common.settings import Settings
from common.store import Store

log = logging.getLogger(__name__)

_AT_A_TIME = 32  # bursts; each time a baseline is fitted
_BYTES_PER_WEEK = 64_000_000
_DAYS_PER_WEEK = 7


@dataclass
class _Round:
    """What one round dealt with.

    Attributes
    ----------
    ids : of the bursts
    fresh : slot -> features of those that are kept
    refused : why others are not, for the log
    """

    ids: list[str] = field(default_factory=list)
    fresh: dict[int, FeatureBlock] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)


class Learner:
    """Learns for one stream. Hold the stream's lease."""

    def __init__(self, store: Store, settings: Settings, stream: str) -> None:
        self.store = store
        self.settings = settings
        self.stream = stream

    def learn(self, find: Callable[[str], Golden]) -> int:
        """Learn all bursts that wait; return how many were kept.

        Parameters
        ----------
        find : returns by what the stream is judged now, see `BaselineBinding.find`

        Raises
        ------
        BadBaseline
            If files cannot be read or written; the bursts wait on.
        """
        count = 0
        while waiting := self.store.learning.bursts(self.stream, _AT_A_TIME):
            learning = find(self.stream).learning
            if learning is None:  # it was bound to a baseline meanwhile
                self.store.learning.drop_bursts(self.stream, list(waiting))
                continue
            count += self._learn_some(learning, waiting)
        return count

    def _learn_some(self, learning: Learning, waiting: dict[str, bytes]) -> int:
        epoch = Epoch(learning.folder, learning.plan.groups)
        done = self._keep(learning, epoch, waiting)
        if done.fresh:
            self.fit(learning, epoch)
        for reason in done.refused:
            log.info("stream %s: a burst is not learned: %s", self.stream, reason)
        # From here on a file that ends this process costs no more than its pictures.
        self.store.learning.drop_bursts(self.stream, done.ids)
        self.keep_pictures(learning, epoch, done.fresh)
        return len(done.fresh)

    def _keep(self, learning: Learning, epoch: Epoch, waiting: dict[str, bytes]) -> _Round:
        """Write those bursts to files that the stream still has to learn, in the order in which they were shot."""
        known, done = epoch.bursts(), _Round(list(waiting))
        blocks: dict[int, FeatureBlock] = {}
        for burst_id, data in waiting.items():
            of_epoch, _, number = burst_id.rpartition(":")
            if of_epoch != f"{learning.id}:{learning.epoch}":
                done.refused.append("a person has accepted another normal picture since")
                continue
            try:
                blocks[int(number)] = FeatureBlock.from_bytes(data)
            except BadMessage as error:
                done.refused.append(str(error))
        for slot, block in sorted(blocks.items()):
            try:
                burst = Burst.of(block, epoch.groups)
            except (BadBaseline, BadMessage) as error:
                done.refused.append(str(error))
                continue
            if slot not in known and not self._is_wanted(list(known.values()), burst, epoch):
                done.refused.append("this hour, in this light, is known already, or nothing can be seen")
                continue
            epoch.add(slot, burst)
            known[slot] = burst
            done.fresh[slot] = block
        most = _BYTES_PER_WEEK * max(self.settings.learn_days, _DAYS_PER_WEEK) // _DAYS_PER_WEEK
        for slot in superfluous(epoch.slots(), most, slot_seconds(self.settings)):
            epoch.remove(slot)
            done.fresh.pop(slot, None)
        return done

    def _is_wanted(self, known: list[Burst], burst: Burst, epoch: Epoch) -> bool:
        if burst.defect(epoch.groups) is not None:
            return False
        return wants(known, burst, anchor_days=self.settings.learn_days, apart=slot_seconds(self.settings))

    def fit(self, learning: Learning, epoch: Epoch) -> None:
        """Fit the baseline to all bursts, and have the stream judged by it from now on."""
        bursts, plan = list(epoch.bursts().values()), learning.plan
        baseline = fit_learned(
            bursts,
            name=self.stream,
            feature_spec=plan.feature_spec,
            rule=WindowRule(frames=plan.window_frames, stride=plan.window_stride),
            groups=plan.groups,
            created_at=max(burst.moment.taken_at for burst in bursts),  # of equal bursts, an equal baseline
            libraries=plan.libraries,
            clean_ratios=plan.clean_ratios,
        )
        name = epoch.keep_fit(baseline, self.stream)
        fields = {f"fit:{learning.epoch}": name}
        if baseline.learned is not None:
            fields[f"coverage:{learning.epoch}"] = coverage_of(baseline.learned.bursts).to_json()
        if not self.store.learning.publish(plan, fields | self._status_field(learning, epoch)):
            log.warning("stream %s was forgotten while it learned", self.stream)
            shutil.rmtree(epoch.folder, ignore_errors=True)
            return
        epoch.drop_old_fits(name)

    def keep_pictures(
        self, learning: Learning, epoch: Epoch, blocks: Mapping[int, FeatureBlock], call: Call = directly
    ) -> None:
        """Keep frame triplets of the bursts in `blocks` (slot -> features), unless SENTINEL_KEEP_PICTURES is off."""
        if self.settings.keep_pictures == "on" and blocks:
            keep_pictures(epoch.folder, blocks, self.stream, self.settings, call)
            self.store.learning.publish(learning.plan, self._status_field(learning, epoch))

    def _status_field(self, learning: Learning, epoch: Epoch) -> dict[str, str]:
        sizes = epoch.slots()
        status = LearningStatus(
            epoch=learning.epoch,
            bursts=len(sizes),
            pictures=count_pictures(epoch.folder),
            no_pictures=NOT_KEPT if self.settings.keep_pictures == "off" else "",
            bytes=sum(sizes.values()),
        )
        epoch.write_status(status)
        return {f"status:{learning.epoch}": status.to_json()}
