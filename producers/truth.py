"""Takes in what is true of frames, and judges models of users' own by it, by consumer group, acknowledging afterwards.

    sentinel:truth, sentinel:truth:NAME  --TruthMessage-->  rows that wait  --a window of them-->  events, inbox, reduce

Rows wait in Redis (`common.store.truth`), so a process that is killed loses nothing: an entry that was not acknowledged
comes again and counts once, and a window that was not committed is judged by whoever looks next. How a row becomes a
verdict and an incident is told in `common.drift.truth`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from common import broker
from common.errors import SentinelError, UnknownStream
from common.settings import Settings
from common.store import Store, keys, open_store
from common.store.truth import Taken
from common.truth import move_truth
from producers.entry_reader import EntryReader, Fields, will_pass
from producers.truth_message import TruthMessage

log = logging.getLogger(__name__)

_COUNT = 200  # entries per read: after so many, another writer's Stream has its turn


class Truth(EntryReader):
    """One process that takes truth in. Any number may run."""

    def __init__(self, store: Store, settings: Settings) -> None:
        super().__init__(store, "messages of truth", root=keys.TRUTH, count=_COUNT)
        self.settings = settings
        self._said: dict[str, str] = {}

    def step(self) -> int:
        """Take in what one writer's Stream holds, and judge what is due; return the number of entries handled."""
        handled = super().step()
        self.judge()
        return handled

    def accept(self, fields: Fields) -> Taken:
        """Keep the row that an entry brings, once however often it comes."""
        message = TruthMessage.parse(fields)
        measure, row = message.row()
        taken = self.store.truth.take(message.stream, message.model, measure, row)
        if taken is Taken.UNKNOWN_STREAM:
            raise UnknownStream(
                f"there is no stream {message.stream!r}: hand its footage in first, then `sentinel dead retry`; the "
                "streams that there are: `sentinel streams list`"
            )
        return taken

    def stream_named(self, fields: Fields) -> str:
        """Return the stream of an entry that is a message of truth, else an empty string."""
        try:
            return TruthMessage.parse(fields).stream
        except SentinelError:
            return ""

    def judge(self) -> None:
        """Judge every window that is full, of the streams that got rows since they were looked at last."""
        for stream in self.store.truth.due():
            self._beat()
            try:
                self._judge(stream)
                self._said.pop(stream, None)
            except Exception as error:
                if will_pass(error):
                    raise
                # Its rows wait, and those of other streams are judged.
                if self._said.get(stream) != str(error):
                    log.error("stream %s: its truth waits: %s", stream, error, exc_info=_unexpected(error))
                self._said[stream] = str(error)

    def _judge(self, stream: str) -> None:
        """Judge what is full; after a conflict, or rows that came meanwhile, the stream stays due for the next step."""
        _, verdicts = move_truth(self.store, self.settings, stream)
        if verdicts:
            broker.send_reduce(stream)


def _unexpected(error: Exception) -> bool:
    return not isinstance(error, SentinelError)


def main(settings: Settings, stop: threading.Event, beat: Callable[[], None]) -> None:
    """Take in what programs write to `sentinel:truth` and its siblings until `stop` is set."""
    log.info("reading %s", keys.TRUTH)
    Truth(open_store(settings), settings).run(stop, beat)
