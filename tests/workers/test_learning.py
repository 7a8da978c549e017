"""A stream without a baseline learns by itself: real Redis, reducer and learner, features of small real pictures."""

from __future__ import annotations

import math
import random
import shutil
from typing import Any

import pytest

from common.baselines.golden import ComesFrom
from common.baselines.learning import choosing
from common.baselines.learning.epoch import Epoch, learned_root, superfluous
from common.baselines.learning.learner import Learner
from common.contracts.batches import SourceKind
from common.contracts.incidents import IncidentState
from common.contracts.verdicts import Cause, Status
from common.errors import SettingsError
from common.modalities.video.modality import Video
from common.settings import Settings
from common.store import Store
from common.store.streams import Committed
from sentinel.forget import forget
from tests.feeding import reduce, verdicts
from tests.learning import DAY, HOUR, MORNING, begin, epoch, send, shot, show
from workers import context, learning, reducer


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


def test_half_an_hour_gives_a_burst_and_the_stream_says_how_much_it_has_seen(store: Store, own: Settings) -> None:
    begin(store, "dock")
    for number in range(16):  # a recording of two windows every ten minutes
        show(store, "dock", shot(MORNING + number * 600, windows=2))
        if number % 4 == 0:
            learning.learn("dock")
    learning.learn("dock")
    assert sorted(epoch(store, own, "dock").slots()) == [int(MORNING // 1800) + number for number in range(6)]
    found = context.baselines().find("dock").learning
    assert found is not None
    assert found.status is not None
    assert found.coverage is not None
    assert (found.status.bursts, found.coverage.bursts) == (6, 6)
    assert [hour for hour, days in enumerate(found.coverage.hours) if days] == [6, 7, 8]
    assert found.coverage.false_alarms_per_day == pytest.approx(-math.log(0.05) * 8, rel=0.01)
    assert {row.status for row in verdicts(store, "dock")} == {Status.PASS}


def test_what_was_learned_with_other_sensors_waits_and_says_what_to_do(
    store: Store, own: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(store, "dock")
    show(store, "dock", shot(MORNING))
    learning.learn("dock")
    monkeypatch.setattr(Video, "sensors_version", "of another version")
    with pytest.raises(SettingsError, match=r"another version \(sensors .*streams forget"):
        context.baselines().current("dock")
    assert store.golden.bound("dock").waiting is not None, "its footage waits"


def test_the_order_in_which_files_come_does_not_matter(store: Store, own: Settings) -> None:
    times = [MORNING + number * HOUR / 2 for number in range(6)]
    fits = set()
    for order in (times, times[::-1], random.Random(0).sample(times, len(times))):
        store.client.flushall()
        shutil.rmtree(learned_root(own.state_dir, "dock"), ignore_errors=True)
        begin(store, "dock")
        for at in order:
            show(store, "dock", shot(at))
            if at == times[2]:
                learning.learn("dock")
        learning.learn("dock")
        fits.add(store.learning.stored("dock").fit("0"))
    assert len(fits) == 1, "equal bursts, equal baseline"
    assert None not in fits


def test_a_stream_that_is_forgotten_while_it_learns_leaves_nothing(
    store: Store, own: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(store, "dock")
    show(store, "dock", shot(MORNING))
    publish = store.learning.publish

    def forgotten(*arguments: Any) -> bool:
        forget(store, own, "dock")
        return publish(*arguments)

    monkeypatch.setattr(store.learning, "publish", forgotten)
    learning.learn("dock")
    assert store.forgetting.keys_of("dock") == []
    assert list(learned_root(own.state_dir, "dock").glob("*")) == []


class Killed(Exception):
    """Stands for SIGKILL at this moment."""


@pytest.mark.parametrize("at", ["add", "fit", "publish", "drop_bursts"])
def test_a_learner_that_is_killed_anywhere_counts_no_burst_twice_and_loses_none(
    store: Store, own: Settings, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    begin(store, "dock")
    show(store, "dock", shot(MORNING))
    show(store, "dock", shot(MORNING + HOUR))
    place = {"add": Epoch, "fit": Learner}.get(at, type(store.learning))

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(place, at, die)
        learning.learn("dock")
    assert learning.learn("dock") == 2
    assert len(epoch(store, own, "dock").slots()) == 2
    assert context.baselines().of_stream("dock").baseline.learned is not None
    assert learning.learn("dock") == 0


def test_a_burst_is_taken_in_the_step_that_takes_its_window_or_not_at_all(
    store: Store, own: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(store, "dock")
    send(store, "dock", shot(MORNING))
    read = store.streams.window("dock")
    show(store, "dock", shot(MORNING + 60))  # this reducer takes both
    monkeypatch.setattr(type(store.streams), "window", lambda *_: read)
    choosing._TAKEN.clear()  # as in another process
    send(store, "dock", shot(MORNING + HOUR))
    assert reducer.move_on("dock") is Committed.CONFLICT
    assert store.learning.waiting("dock") == 1


def test_a_clock_that_jumps_back_or_ahead_adds_what_it_shows_and_loses_nothing(store: Store, own: Settings) -> None:
    begin(store, "dock")
    for at in (MORNING, MORNING + 400 * DAY, MORNING - 3000 * DAY, MORNING + HOUR):
        show(store, "dock", shot(at))
        learning.learn("dock")
    back = shot(MORNING + 2 * HOUR)
    back.taken_at[6:] -= DAY  # in the middle of a window: it shows no moment
    show(store, "dock", back)
    learning.learn("dock")
    assert len(epoch(store, own, "dock").slots()) == 4
    assert store.event_log.dead_letter_count() == 0


def test_two_streams_learn_side_by_side(store: Store, own: Settings) -> None:
    for stream in ("dock", "yard"):
        begin(store, stream)
    for number in range(4):
        show(store, "dock", shot(MORNING + number * HOUR))
        show(store, "yard", shot(MORNING + number * HOUR, seed=7))
    learning.learn("yard")
    assert (store.learning.waiting("dock"), store.learning.waiting("yard")) == (4, 0)
    learning.learn("dock")
    fits = {stream: context.baselines().of_stream(stream) for stream in ("dock", "yard")}
    assert len({stored.id for stored in fits.values()}) == len({stored.folder for stored in fits.values()}) == 2


@pytest.mark.parametrize(
    ("picture", "cause"), [("black", Cause.BLACK), ("frozen", Cause.FROZEN), ("covered", Cause.COVERED)]
)
def test_a_stream_that_begins_blind_asks_and_learns_as_soon_as_it_sees(
    store: Store, own: Settings, picture: str, cause: Cause
) -> None:
    begin(store, "dock")
    show(store, "dock", shot(MORNING, picture=picture, windows=3))
    (incident,) = store.streams.open_incidents("dock")
    assert (incident.cause, incident.state) == (cause, IncidentState.FAILING)
    assert store.learning.waiting("dock") == 0
    for number in range(2):
        show(store, "dock", shot(MORNING + (number + 1) * 60, windows=own.close_windows))
        learning.learn("dock")
    assert store.streams.open_incidents("dock") == ()
    assert len(epoch(store, own, "dock").slots()) == 1


def test_nothing_is_learned_of_windows_that_fail_or_while_an_incident_is_open(store: Store, own: Settings) -> None:
    begin(store, "dock")
    show(store, "dock", shot(MORNING))
    learning.learn("dock")
    show(store, "dock", shot(MORNING + HOUR, picture="black", windows=8))
    assert [row.cause for row in store.streams.open_incidents("dock")] == [Cause.BLACK]
    show(store, "dock", shot(MORNING + 2 * HOUR, windows=2))
    assert store.learning.waiting("dock") == 0, "two windows do not close an incident"
    show(store, "dock", shot(MORNING + 3 * HOUR, windows=own.close_windows))
    assert store.streams.open_incidents("dock") == ()
    show(store, "dock", shot(MORNING + 4 * HOUR))
    assert learning.learn("dock") == 1


def test_stills_that_come_every_quarter_of_an_hour_are_judged_in_windows_of_a_few(store: Store, own: Settings) -> None:
    begin(store, "dock")
    for number in range(8):
        still = shot(MORNING + number * HOUR / 4)[:1]
        send(store, "dock", still, kind=SourceKind.IMAGE)
        reduce("dock")
    assert context.baselines().find("dock").rule.frames == 4
    assert learning.learn("dock") == 1


def test_what_is_learned_of_a_week_stays_within_its_bound_and_keeps_the_first_days() -> None:
    slots = dict.fromkeys(range(480), 100)  # ten days of half hours
    gone = superfluous(slots, 33_600, 1800.0)
    assert len(slots) - len(gone) == 336
    assert min(gone) >= 336, "the first week stays"
