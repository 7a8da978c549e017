"""Tells people of incidents: a message when one begins, and one when it is over, by Apprise, webhook and workflow.

    sentinel:events  --incident begins, is over-->  outbox in Redis  --when due-->  destinations, each by itself

What is muted or acknowledged is told to nobody. An alert waits a moment before it is sent, so that many streams that
fail at once are one digest. A destination that does not take it is tried again, ever more seldom; one that does not for
a week leaves a dead letter. An alert is settled after it was taken: a process that is killed in between sends it again,
with the same id.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import redis

from common.contracts.alerts import Alert, AlertChange
from common.contracts.dead_letters import DeadLetterKind
from common.contracts.events import Event, IncidentChanged, IncidentClosed, IncidentOpened
from common.contracts.ids import content_id
from common.contracts.incidents import Action, ActionKind, Incident, IncidentNote, IncidentState, NoteKind
from common.contracts.policy import Policy
from common.contracts.verdicts import Cause
from common.errors import DestinationRefused
from common.moments import clock
from common.printable import printable
from common.settings import Settings
from common.store import Store, open_store
from common.store.event_log import dead_letter
from consumers.destinations import Destination, destinations_of
from consumers.listener import Listener, keep_running

log = logging.getLogger(__name__)

GROUP = "alerts"
"""The consumer group."""

_MOST = 200  # alerts that are sent in one turn
_TURN_SECONDS = 60.0  # no message is begun after this
_BACK_SECONDS = 180.0  # alerts that a process took before it died are sent by another one after this
_SAID = {AlertChange.BEGAN: "began", AlertChange.OVER: "is over"}
_LATE_SECONDS = 3600.0  # after this nothing that is over begins
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 5.0, 600.0
_ATTEMPTS = 1000  # about a week
_PRUNE_SECONDS = 3600.0
_REMEMBERED_SECONDS = 30 * 86_400.0  # an incident is reopened within a day; its camera may be offline for weeks


class Alerts:
    """One process of alerts. Any number may run.

    Parameters
    ----------
    destinations : by id; where there are none, nothing is noted either
    """

    def __init__(self, store: Store, destinations: Mapping[str, Destination]) -> None:
        self._store = store
        self._settings = store.settings
        self._policy = Policy.parse(store.settings.policy)
        self._destinations = destinations
        self._pruned_at = 0.0
        self._listener = Listener(store, GROUP, self.note)

    def step(self) -> None:
        """Note what events say, and send what is due."""
        self._listener.step()
        now = time.time()
        self.send(now)
        if now > self._pruned_at + _PRUNE_SECONDS:
            self._store.alerts.prune(now - _REMEMBERED_SECONDS)
            self._pruned_at = now

    def note(self, event: Event) -> None:
        """Put the alert that an event calls for into the outbox, once for each change of an incident."""
        if not isinstance(event, IncidentOpened | IncidentChanged | IncidentClosed) or not self._destinations:
            return
        incident, change = event.incident, _change_of(event.incident)
        if self._is_quiet(incident):
            self._store.alerts.pass_over(incident.id, change, event.entry_id)
            return
        trains = self._policy.of(incident.cause).trains
        told = [name for name, one in self._destinations.items() if one.wants(change, trains=trains)]
        link = f"{self._settings.page_url.rstrip('/')}/#/incident/{incident.id}" if self._settings.page_url else ""
        alert = Alert(
            id=event.id,
            incident=incident.id,
            stream=incident.stream,
            model=incident.model,
            cause=incident.cause,
            change=change,
            title=_title(incident, change),
            body=_body(incident, change, self._policy),
            link=link,
            trains=trains,
            time=event.time,
            open_to=tuple(told),
        )
        self._store.alerts.put(alert, entry=event.entry_id, due=time.time() + self._settings.alert_delay_seconds)

    def _is_quiet(self, incident: Incident) -> bool:
        muted_until = self._store.streams.window(incident.stream).muted_until
        muted = incident.muted or (muted_until is not None and muted_until > time.time())
        return muted or incident.acknowledged_by is not None

    def send(self, now: float) -> int:
        """Send the alerts that are due at `now`, seconds since the epoch; return how many there were.

        A destination that does not take one is asked no more in this turn, and nothing is begun after a minute: a turn
        ends before its alerts would come back.
        """
        back_at = now + _BACK_SECONDS
        due = self._store.alerts.take(now=now, back_at=back_at, most=_MOST)
        due = [alert for alert in due if self._may_be_sent(alert, back_at)]
        open_to = {alert.id: [name for name in alert.open_to if name in self._destinations] for alert in due}
        for alert in due:
            if not open_to[alert.id]:  # nobody is to be told, or its destinations are no longer set
                self._store.alerts.settle(alert, taken_until=back_at, due=None)
        until = time.monotonic() + _TURN_SECONDS
        tried: set[str] = set()
        for name, destination in self._destinations.items():
            mine = [alert for alert in due if name in open_to[alert.id]]
            for group in destination.groups(mine, digest_from=self._settings.alert_digest):
                if time.monotonic() > until:
                    break
                if not self._sent(destination, group):
                    tried.update(alert.id for alert in mine)
                    break
                for alert in group:  # at once: whoever is killed after this does not send it again
                    open_to[alert.id].remove(name)
                    left = alert.model_copy(update={"open_to": tuple(open_to[alert.id])})
                    self._store.alerts.settle(left, taken_until=back_at, due=back_at if left.open_to else None)
                    self._write_down(alert, destination)
        for alert in due:
            if open_to[alert.id]:
                left = alert.model_copy(update={"open_to": tuple(open_to[alert.id])})
                self._try_later(left, back_at, tried=alert.id in tried)
        return len(due)

    def _sent(self, destination: Destination, group: Sequence[Alert]) -> bool:
        """Send one message; return whether it was taken. What goes wrong at one destination holds up no other."""
        try:
            destination.send(group, self._picture(group))
        except DestinationRefused as error:
            log.warning("alerts are not taken by %s: %s", destination.title, error)
        except redis.RedisError:
            raise
        except Exception as error:  # its text may show an address with a secret
            log.warning("alerts are not taken by %s: %s", destination.title, type(error).__name__)
        else:
            return True
        return False

    def _write_down(self, alert: Alert, destination: Destination) -> None:
        """Let the incident's time line say who was told; the reducer does it with the next footage."""
        action = Action(
            id=content_id("alert", alert.id, destination.title),
            kind=ActionKind.ALERT,
            by="sentinel",
            at=alert.time,
            ended_at=time.time(),
            outcome=f"told {destination.title} that it {_SAID[alert.change]}",
        )
        note = IncidentNote(
            id=action.id, stream=alert.stream, kind=NoteKind.ACTION, incident=alert.incident, action=action
        )
        self._store.streams.note(note)

    def _may_be_sent(self, alert: Alert, taken_until: float) -> bool:
        """Return whether an incident still is as the alert says; if not, settle it.

        What is acknowledged or muted by now is told to nobody. What is over waits for the event that says so, which
        takes the alert back; were it lost, the alert would be an hour later.
        """
        if alert.change is AlertChange.OVER:
            return True
        lasting = {row.id: row for row in self._store.streams.open_incidents(alert.stream)}
        incident = lasting.get(alert.incident)
        if incident is not None and _change_of(incident) is AlertChange.BEGAN and not self._is_quiet(incident):
            return True
        now = time.time()
        waits = (incident is None or not self._is_quiet(incident)) and now < alert.time + _LATE_SECONDS
        self._store.alerts.settle(alert, taken_until=taken_until, due=now + 1.0 if waits else None)
        return False

    def _picture(self, group: Sequence[Alert]) -> bytes | None:
        """Return the latest picture of an alert's incident, or of its stream; None: none is kept, or it is a digest."""
        if len(group) != 1 or group[0].cause is Cause.OFFLINE or group[0].change is AlertChange.OVER:
            return None
        stream = group[0].stream
        kept = self._store.pictures.of_stream(stream)
        of_it = kept.incidents.get(group[0].incident)
        shown = (of_it.latest or of_it.first)[-1] if of_it and (of_it.latest or of_it.first) else kept.latest
        return self._store.pictures.jpeg(stream, shown.id) if shown else None

    def _try_later(self, alert: Alert, taken_until: float, *, tried: bool) -> None:
        """Let an alert come again at the destinations that are open."""
        again = alert.model_copy(update={"attempts": alert.attempts + tried})
        pause = min(_FIRST_PAUSE_SECONDS * 2.0 ** min(alert.attempts, 20), _LONGEST_PAUSE_SECONDS) if tried else 0.0
        if again.attempts < _ATTEMPTS:
            self._store.alerts.settle(again, taken_until=taken_until, due=time.time() + pause)
            return
        names = ", ".join(self._destinations[name].title for name in alert.open_to)
        refused = DestinationRefused(f"{names} did not take it in {again.attempts} attempts: {alert.title}")
        subject = f"alert {alert.id}"
        letter = dead_letter(DeadLetterKind.STATE, alert.stream, subject, refused, again, version=alert.id)
        self._store.event_log.bury(letter)
        self._store.alerts.settle(again, taken_until=taken_until, due=None)


def _change_of(incident: Incident) -> AlertChange:
    over = incident.state in {IncidentState.CLOSED, IncidentState.HEALED}
    return AlertChange.OVER if over else AlertChange.BEGAN


def _title(incident: Incident, change: AlertChange) -> str:
    stream, cause = printable(incident.stream), incident.cause.value.replace("_", " ")
    if change is AlertChange.OVER:
        return f"{stream}: {cause} is {'over' if incident.state is IncidentState.CLOSED else 'healed'}"
    return f"{stream}: {cause} since {clock(incident.since_time)}"


def _body(incident: Incident, change: AlertChange, policy: Policy) -> str:
    if change is AlertChange.OVER:
        ended = printable(incident.ended) or _latest_outcome(incident)
        return f"It began {clock(incident.since_time)}. {ended}".strip()
    rows = []
    if incident.times_this_week > 1:
        rows.append(f"It is the {incident.times_this_week}. time this week.")
    response = policy.of(incident.cause)
    if incident.cause is Cause.OFFLINE:
        rows.append("No footage comes any more.")
    if incident.model_score is not None:
        rows.append(f"{printable(incident.model_score.sentence)}.")
    if incident.truth is not None:
        rows.append(f"{printable(incident.truth.sentence)}.")
    if incident.is_of_user:
        rows.append("The model is yours: Sentinel cannot retrain it.")
    elif response.trains:
        rows.append(f"Model {printable(incident.model)} is retrained for it by itself.")
    if response.calls:
        rows.append("Please look at the camera.")
    return " ".join(rows)


def _latest_outcome(incident: Incident) -> str:
    return next((printable(action.outcome) for action in reversed(incident.actions) if action.outcome), "")


def main(settings: Settings, stop: threading.Event, beat: Callable[[], None]) -> None:
    """Run one process of alerts until `stop` is set."""
    keep_running(Alerts(open_store(settings), destinations_of(settings)).step, stop, beat)
