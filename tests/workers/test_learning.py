"""A stream without a baseline learns by itself: real Redis, real reducer and learner; features of small real pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from common import broker
from common.baselines.binding import BaselineBinding
from common.baselines.golden import ComesFrom
from common.baselines.learning.epoch import Epoch, learned_root
from common.contracts.incidents import IncidentState
from common.contracts.verdicts import Cause, Status
from common.settings import Settings
from common.store import Store
from sentinel.stack.redis_server import RedisServer
from tests.feeding import verdicts
from tests.learning import DAY, GROUPS, HOUR, MORNING, begin, shot, show
from workers import context, learning, reducer


@pytest.fixture
def own(
    store: Store, settings: Settings, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Settings without a baseline, in a process whose workers have the test's store."""
    own = settings.model_copy(update={"redis_url": redis_server.url, "keep_pictures": "off"})
    binding = BaselineBinding(own, store)
    monkeypatch.setattr(broker, "app", broker.make_app(own))
    monkeypatch.setattr(context, "store", lambda: store)
    monkeypatch.setattr(context, "baselines", lambda: binding)
    for module in (reducer, learning):
        monkeypatch.setattr(module, "get_settings", lambda: own)
    return own


def epoch(own: Settings, stream: str, name: str = "0") -> Epoch:
    return Epoch(learned_root(own.state_dir, stream) / name, GROUPS)


def test_the_first_window_is_learned_at_once_and_the_next_ones_judged_by_it(store: Store, own: Settings) -> None:
    begin(store, "dock")
    show(store, "dock", shot(MORNING))
    assert verdicts(store, "dock") == []
    assert store.learning.waiting("dock") == 1
    assert learning.learn("dock") == 1
    show(store, "dock", shot(MORNING + 60))
    (verdict,) = verdicts(store, "dock")
    assert (verdict.status, verdict.provisional) == (Status.PASS, True)
    assert context.baselines().find("dock").comes_from is ComesFrom.LEARNED
    assert store.learning.waiting("dock") == 0, "half an hour has not passed"
