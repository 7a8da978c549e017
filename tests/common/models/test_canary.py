"""The canary: what is no worse stays champion, what is worse is rolled back soon, and a chunk counts once."""

from __future__ import annotations

import hypothesis
import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from common.contracts.models import ChampionRecord
from common.models.betting import Finding
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
    found = [bets_on(drawn(mean, 300, seed), 1, settings).finding for seed in range(300)]
    assert found.count(Finding.ABOVE) <= 0.05 * len(found) + 5


@pytest.mark.parametrize("streams", [1, 20])
def test_one_that_is_much_worse_is_found_within_a_hundred_examples(settings: Settings, streams: int) -> None:
    found = [bets_on(drawn(1.0, 100, seed), streams, settings).finding for seed in range(100)]
    assert found.count(Finding.ABOVE) >= 95


def test_the_more_streams_the_more_each_has_to_show(settings: Settings) -> None:
    differences = drawn(1.0, 100, 0)
    needed = [bets_on(differences, streams, settings).needed for streams in (1, 10, 100)]
    assert needed == sorted(needed) and needed[0] < needed[-1]


def test_only_what_the_gate_promoted_is_compared_with_what_it_replaced() -> None:
    first = version(1, digest="a")
    promoted = version(2, digest="b", parent=1, decision="/d1")
    back = version(3, digest="a", parent=2)
    again = version(4, digest="b", parent=3, decision="/d1")
    assert compared_with([first]) is None, "nothing was before it"
    assert compared_with([first, promoted]) == first
    assert compared_with([first, promoted, back]) is None, "a rollback was a choice"
    assert compared_with([first, promoted, back, again]) is None, "and so is going back on it"


@hypothesis.settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 4), st.lists(st.floats(-2, 2), min_size=1, max_size=4)), min_size=1, max_size=12)
)
def test_a_chunk_counts_once_however_often_it_comes(store: Store, rows: list[tuple[int, list[float]]]) -> None:
    store.client.flushall()
    first: dict[int, list[float]] = {}
    for chunk, values in rows:
        store.canaries.add("yard", 2, f"c{chunk}", values)
        first.setdefault(chunk, values)
    wanted = {f"c{chunk}": [round(value, 5) for value in values] for chunk, values in first.items()}
    assert store.canaries.by_chunk("yard", 2) == wanted
    assert list(store.canaries.by_chunk("yard", 2)) == list(wanted)
    assert store.canaries.by_chunk("yard", 3) == {}
