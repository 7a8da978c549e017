"""Alerts that have still to be sent, and what was said of each incident last."""

from __future__ import annotations

import logging

import redis

from common.contracts.alerts import Alert, AlertChange
from common.errors import BadMessage
from common.store import keys
from common.store.client import binary, entry_position, load_script, text

log = logging.getLogger(__name__)

_KEPT = (keys.ALERTS, keys.ALERTS_DUE)


class AlertStore:
    """The outbox of alerts."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self._put = load_script(client, "put_alert")
        self._take = load_script(client, "take_alerts")
        self._settle = load_script(client, "settle_alert")

    def put(self, alert: Alert, *, entry: str, due: float) -> bool:
        """Note an alert that is to be sent at `due`, seconds since the epoch.

        Parameters
        ----------
        entry : id of the event's entry on its Stream, which orders the events of an incident

        Returns
        -------
        Whether it is; not if that change was noted, its event is older, or the beginning of what is over was not told.
        """
        noted, earlier = self._note(alert.incident, alert.change, entry, alert.id, alert.to_json(), due)
        if noted and alert.change is AlertChange.OVER:
            self._take_back(earlier, alert)
        return noted

    def pass_over(self, incident: str, change: AlertChange, entry: str) -> None:
        """Note that nobody is told of a change, nor of the end of what begins with it."""
        self._note(incident, change, entry, "", "", 0.0)

    def _note(
        self, incident: str, change: AlertChange, entry: str, alert_id: str, alert: str, due: float
    ) -> tuple[bool, str]:
        own = [keys.ALERTS_SAID, *_KEPT]
        milliseconds, number = entry_position(entry)
        args = [incident, change.value, milliseconds, number, alert_id, alert, due]
        noted, earlier = self._put(keys=own, args=args)
        return bool(noted), text(earlier)

    def _take_back(self, beginning: str, end: Alert) -> None:
        """Let whoever was not told yet that an incident began hear neither that nor of its end."""
        stored = binary(self.client.hget(keys.ALERTS, beginning))
        if stored is None:
            return
        try:
            untold = Alert.from_json(stored).open_to
        except BadMessage:  # a newer version wrote it, and sends it
            return
        told = end.model_copy(update={"open_to": tuple(name for name in end.open_to if name not in untold)})
        pipe = self.client.pipeline()
        pipe.hset(keys.ALERTS, end.id, told.to_json())
        pipe.hdel(keys.ALERTS, beginning)
        pipe.zrem(keys.ALERTS_DUE, beginning)
        pipe.execute()

    def take(self, *, now: float, back_at: float, most: int) -> list[Alert]:
        """Return alerts that are due at `now`; unless they are settled, they come back at `back_at`.

        One that cannot be read, because a newer version wrote it, is left out and comes back.
        """
        found = []
        for stored in self._take(keys=list(_KEPT), args=[now, back_at, most]):
            try:
                found.append(Alert.from_json(binary(stored) or b""))
            except BadMessage as error:
                log.warning("an alert waits for a version that can read it: %s", error)
        return found

    def settle(self, alert: Alert, *, taken_until: float, due: float | None) -> bool:
        """Write what has become of an alert that was taken; return False if somebody else has taken it since.

        Parameters
        ----------
        taken_until : when it would have come back
        due : when it is sent again to the destinations that are open; None: it is done
        """
        args = [alert.id, repr(taken_until), alert.to_json(), "" if due is None else repr(due)]
        return bool(self._settle(keys=list(_KEPT), args=args))

    def forget(self, stream: str) -> int:
        """Delete the alerts of a stream that wait, and what was noted of their incidents; return their number."""
        count = 0
        for alert_id, stored in self.client.hscan_iter(keys.ALERTS):
            try:
                alert = Alert.from_json(stored)
            except BadMessage:
                continue
            if alert.stream == stream:
                pipe = self.client.pipeline()
                pipe.hdel(keys.ALERTS, alert_id)
                pipe.zrem(keys.ALERTS_DUE, alert_id)
                pipe.hdel(keys.ALERTS_SAID, alert.incident)
                pipe.execute()
                count += 1
        return count

    def prune(self, before: float) -> None:
        """Forget what was noted of incidents of which no event came since `before`, seconds since the epoch."""
        for incident, said in self.client.hscan_iter(keys.ALERTS_SAID):
            if entry_position(text(said).split(" ")[1])[0] < before * 1000.0:
                self.client.hdel(keys.ALERTS_SAID, text(incident))

    def waiting(self) -> int:
        """Return the number of alerts that have still to be sent."""
        return int(self.client.hlen(keys.ALERTS))
