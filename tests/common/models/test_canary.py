"""The canary: what is no worse stays champion, what is worse is rolled back soon, and a chunk counts once."""

from __future__ import annotations

import hypothesis
import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from common.contracts.models import ChampionRecord
from common.models.canary import bets_on, compared_with
from common.settings import Settings
from common.store import Store

ALLOWED = Settings(_env_file=None).promote_max_loss_db  # type: ignore[call-arg]


def drawn(mean: float, count: int, seed: int, spread: float = 0.4) -> list[float]:
    """Return by how much the version before is better on live examples, dB."""
    return list(np.random.default_rng(seed).normal(mean, spread, count))


def version(number: int, *, digest: str, parent: int | None = None, decision: str | None = None) -> ChampionRecord:
    return ChampionRecord(
        model="vfi", version=number, model_path=f"/v{number}", model_digest=digest, parent=parent, reason="",
        gain_db=None, loss_db=None, created_at=float(number), decision=decision,
    )  # fmt: skip


@pytest.mark.parametrize("mean", [-0.3, 0.0, ALLOWED])
def test_a_champion_that_loses_no_more_than_a_promotion_may_is_hardly_ever_rolled_back(
    settings: Settings, mean: float
) -> None:
    found = [bets_on(drawn(mean, 300, seed), 1, settings) is not None for seed in range(200)]
    assert sum(found) <= 0.05 * len(found) + 5


@pytest.mark.parametrize("streams", [1, 20])
def test_one_that_is_much_worse_is_found_within_a_hundred_examples(settings: Settings, streams: int) -> None:
    found = [bets_on(drawn(1.5, 100, seed), streams, settings) is not None for seed in range(100)]
    assert sum(found) >= 95


def test_one_that_was_as_good_by_day_is_found_to_be_worse_by_night(settings: Settings) -> None:
    found = [bets_on([*drawn(0.0, 150, seed), *drawn(2.0, 150, seed)], 1, settings) is not None for seed in range(50)]
    assert all(found)


def test_a_large_loss_of_some_is_found(settings: Settings) -> None:
    numbers = np.random.default_rng(0)
    found = []
    for _ in range(50):
        some = np.where(numbers.random(300) < 0.6, 4.0, 0.0) + numbers.normal(0.0, 0.2, 300)
        found.append(bets_on(some.tolist(), 1, settings) is not None)
    assert sum(found) >= 45


def test_the_more_streams_the_more_each_has_to_show(settings: Settings) -> None:
    bets = [bets_on(drawn(2.0, 100, 0), streams, settings) for streams in (1, 10, 100)]
    needed = [row.needed for row in bets if row is not None]
    assert needed == sorted(needed) and len(set(needed)) == 3


def test_a_score_that_is_no_number_is_left_out(settings: Settings) -> None:
    assert bets_on([float("nan"), *drawn(2.0, 99, 0)], 1, settings) is not None


def before(*history: ChampionRecord, proven: int = 0) -> ChampionRecord | None:
    """Return what the latest is compared with, where versions up to `proven` have stood their own comparison."""
    return compared_with(history, lambda row: row.version <= proven)


def test_only_what_the_gate_promoted_is_compared_with_what_it_replaced() -> None:
    first = version(1, digest="a")
    promoted = version(2, digest="b", parent=1, decision="/d1")
    back = version(3, digest="a", parent=2)
    again = version(4, digest="b", parent=3, decision="/d1")
    anew = version(4, digest="b", parent=3, decision="/d2")
    assert before(first) is None, "nothing was before it"
    assert before(first, promoted) == first
    assert before(first, promoted, back) is None, "a rollback was a choice"
    assert before(first, promoted, back, again) is None, "and so is going back on it"
    assert before(first, promoted, back, anew) == back, "the gate promoted the same weights once more"


def test_a_bad_promotion_is_not_hidden_by_another_on_top_of_it() -> None:
    first = version(1, digest="a")
    second = version(2, digest="b", parent=1, decision="/d1")
    third = version(3, digest="c", parent=2, decision="/d2")
    assert before(first, second, third) == first
    assert before(first, second, third, proven=2) == second


@hypothesis.settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 4), st.lists(st.floats(-2, 2), min_size=1, max_size=4)), min_size=1, max_size=12)
)
def test_a_chunk_counts_once_however_often_it_comes(store: Store, rows: list[tuple[int, list[float]]]) -> None:
    store.client.flushall()
    first: dict[int, list[float]] = {}
    two, three = (version(number, digest="b", decision="/d") for number in (2, 3))
    for chunk, values in rows:
        store.canaries.add("yard", two, f"c{chunk}", values)
        first.setdefault(chunk, values)
    wanted = {f"c{chunk}": [round(value, 5) for value in values] for chunk, values in first.items()}
    assert store.canaries.by_chunk("yard", two) == wanted
    assert list(store.canaries.by_chunk("yard", two)) == list(wanted)
    assert store.canaries.by_chunk("yard", three) == {}
