"""The reducer judges each stream by its own thresholds, and follows a changed `sentinel.toml` while it runs."""

from __future__ import annotations

import os
import time

import pytest

from common.contracts.verdicts import Status
from common.ingest.accept import Ingestor
from common.store import Store
from tests.workers.test_reducing import feed, footage, verdicts
from workers import reducer


def test_a_streams_own_thresholds_hold_for_it_from_the_next_window_on(
    ingestor: Ingestor, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = ingestor.settings.baselines_dir / "sentinel.toml"
    config.write_text("[streams.another]\ndrift_threshold = 1.0\n", encoding="utf-8")
    own = ingestor.settings.model_copy(update={"config": config})
    monkeypatch.setattr(reducer, "get_settings", lambda: own)
    rule = ingestor.baselines.of_stream("cam").baseline.rule
    whole = footage(ingestor, 4 * rule.frames)

    def window(number: int) -> Status:
        feed(ingestor, store, str(number), whole[number * rule.frames : (number + 1) * rule.frames])
        return verdicts(store)[-1].status

    assert window(0) is Status.FAIL, "as the settings say"
    for number, threshold, expected in [(1, 1.0, Status.PASS), (2, 0.1, Status.FAIL)]:
        config.write_text(f"[streams.cam]\ndrift_threshold = {threshold}\n", encoding="utf-8")
        os.utime(config, (time.time() - 100 + number,) * 2)
        assert window(number) is expected
    config.write_text("[streams.cam]\ndrift_treshold = 1.0\n", encoding="utf-8")
    os.utime(config, (time.time() - 50,) * 2)
    assert window(3) is Status.FAIL, "a typo changes nothing"
