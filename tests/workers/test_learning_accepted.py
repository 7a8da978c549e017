"""What a person says of a stream that learns: accept, undo, bind, forget; and healing that keeps no pictures."""

from __future__ import annotations

import numpy as np
import pytest

from common.baselines.acceptance import accept, propose, undo
from common.baselines.binding import BaselineBinding
from common.baselines.golden import ComesFrom
from common.baselines.learning.epoch import learned_root
from common.contracts.golden import GoldenRecord
from common.contracts.verdicts import Cause, Status
from common.errors import NothingToLearnFrom, NotLearned
from common.models.material import golden_examples
from common.settings import Settings
from common.store import Store
from sentinel.forget import forget
from tests.common.baselines.small import small_baseline
from tests.feeding import reduce, verdicts
from tests.learning import FRAMES, HOUR, MORNING, begin, epoch, shot, show
from workers import context, learning


def in_trouble(store: Store, stream: str, picture: str, cause: Cause) -> None:
    """Let `stream` learn an hour, and open an incident of `cause` in another one."""
    begin(store, stream)
    show(store, stream, shot(MORNING))
    learning.learn(stream)
    show(store, stream, shot(MORNING + 4 * HOUR, picture=picture, windows=8))
    (incident,) = store.streams.open_incidents(stream)
    assert incident.cause is cause


def accepted(store: Store, own: Settings, stream: str) -> GoldenRecord:
    proposal = propose(store, context.baselines(), stream)
    record = accept(store, own, proposal, by="ada", why="it is like this")
    reduce(stream)
    return record


def test_an_hour_that_was_not_known_and_is_accepted_is_added_and_learning_goes_on(store: Store, own: Settings) -> None:
    in_trouble(store, "dock", "noisy", Cause.NOISE)
    before = context.baselines().find("dock")
    record = accepted(store, own, "dock")
    now = context.baselines().find("dock")
    assert (record.origin_id, now.comes_from) == (before.id, ComesFrom.ACCEPTED)
    assert store.streams.open_incidents("dock") == ()
    assert now.learning is not None
    assert len(epoch(store, own, "dock", now.learning.epoch).slots()) == 2, "what was learned stays"
    show(store, "dock", shot(MORNING + 5 * HOUR, picture="noisy", windows=2))
    assert {row.status for row in verdicts(store, "dock")[-2:]} == {Status.PASS}
    assert verdicts(store, "dock")[-1].baseline_id == record.baseline_id
    learning.learn("dock")
    assert len(epoch(store, own, "dock", now.learning.epoch).slots()) == 3
    undo(store, context.baselines(), "dock", by="ada", why="it was not")
    again = context.baselines().find("dock")
    assert (again.id, again.comes_from) == (before.id, ComesFrom.LEARNED)
    assert len(epoch(store, own, "dock").slots()) == 1


def test_a_picture_in_which_nothing_can_be_seen_is_accepted_as_it_is_and_not_learned(
    store: Store, own: Settings
) -> None:
    begin(store, "dock", stride=FRAMES // 2)
    dim = shot(MORNING, picture="black", windows=5)
    dim.groups["quality"][:] += np.random.default_rng(0).normal(0, 0.01, dim.groups["quality"].shape)
    show(store, "dock", dim)
    assert [row.cause for row in store.streams.open_incidents("dock")] == [Cause.BLACK]
    accepted(store, own, "dock")
    found = context.baselines().find("dock")
    assert (found.comes_from, found.learning) == (ComesFrom.ACCEPTED, None)
    undo(store, context.baselines(), "dock", by="ada", why="")
    with pytest.raises(NotLearned):
        context.baselines().of_stream("dock")


def test_a_stream_that_is_bound_learns_no_more_and_one_that_is_forgotten_begins_anew(
    store: Store, own: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_trouble(store, "dock", "noisy", Cause.NOISE)
    show(store, "dock", shot(MORNING + 6 * HOUR, windows=own.close_windows + 1))
    small_baseline(own.baselines_dir / "test")
    bound = BaselineBinding(own.model_copy(update={"baseline": "test"}), store)
    assert bound.find("dock").comes_from is ComesFrom.SETTINGS
    with monkeypatch.context() as patch:
        patch.setattr(context, "baselines", lambda: bound)
        show(store, "dock", shot(MORNING + 7 * HOUR))  # made for what it learned: a dead letter says so
        assert learning.learn("dock") == 0
    assert store.event_log.dead_letter_count() == 1
    gone = forget(store, own, "dock")
    assert gone.bursts == 1
    assert not learned_root(own.state_dir, "dock").exists()
    assert store.forgetting.keys_of("dock") == []
    begin(store, "dock")
    show(store, "dock", shot(MORNING))
    assert learning.learn("dock") == 1


def test_healing_says_why_it_cannot_where_no_pictures_are_kept(store: Store, own: Settings) -> None:
    begin(store, "dock")
    show(store, "dock", shot(MORNING))
    learning.learn("dock")
    with pytest.raises(NothingToLearnFrom, match="SENTINEL_KEEP_PICTURES"):
        golden_examples(context.baselines().of_stream("dock"))
