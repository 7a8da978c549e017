"""A retraining for an incident of truth: there is no footage of it, and the incident says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.contracts.incidents import IncidentLog
from common.drift.truth_incidents import judge_by_truth
from common.errors import NothingToLearnFrom
from common.models.broken_off import stretches_of
from common.settings import Settings
from common.store import Store
from tests.common.baselines.small import small_baseline
from tests.truth import verdict


def test_what_only_labels_tell_leaves_nothing_to_train_on_and_says_so(
    store: Store, settings: Settings, tmp_path: Path
) -> None:
    confirmed = verdict(1, fails=True, confirmed=True, healed_as="vfi")
    log, _ = judge_by_truth(IncidentLog(), "n", confirmed, position=0, muted=False)
    golden = small_baseline(tmp_path / "golden")
    with pytest.raises(NothingToLearnFrom, match="what is true of the frames says that the model does worse"):
        stretches_of(store, settings, log.open[0], golden, None)
