"""The golden baseline of a stream: by what is it judged now?"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from common.baselines.owner import owner_of
from common.baselines.reproducible import require_reproducible
from common.baselines.storage import MANIFEST_FILE, StoredBaseline, find_baseline, load_baseline
from common.contracts.golden import GoldenRecord, WaitingStream
from common.contracts.zones import zones_text
from common.errors import BadBaseline, BadMessage, BadModality, BaselineMismatch, SettingsError
from common.settings import Settings
from common.store import Store
from common.stream_config import baseline_of, settings_of_stream, stream_config

_MOST_LOADED = 16  # baselines kept in memory
_LONGEST_REASON = 1_000  # characters


class ComesFrom(StrEnum):
    """Who said that a baseline is a stream's golden one."""

    TABLE = "table"
    """The stream's table in sentinel.toml."""
    SETTINGS = "settings"
    """SENTINEL_BASELINE."""
    ACCEPTED = "accepted"
    """A person, who accepted footage of this stream in place of what the table or the settings name."""


@dataclass(frozen=True)
class Golden:
    """The golden baseline of a stream.

    Attributes
    ----------
    stored : what the stream is judged by
    comes_from : who said so
    origin : the baseline of the stream's table or of the settings; `stored`, unless a person has accepted another
    latest : the latest record of the stream's history over `origin`, if there is one; it may have been undone
    """

    stored: StoredBaseline
    comes_from: ComesFrom
    origin: StoredBaseline
    latest: GoldenRecord | None


class BaselineBinding:
    """Looks up the golden baseline of streams, and caches the baselines that it loads.

    A stream has the baseline of its table in sentinel.toml, else SENTINEL_BASELINE;
    over it, what a person has accepted for this stream. It is judged by no one
    else's: a baseline that was accepted for one stream is refused to any other. A
    rebuilt golden baseline ends what was accepted over the old one.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings = settings
        self.store = store
        self._loaded: dict[Path, tuple[int, StoredBaseline, str | None]] = {}

    def of_stream(self, stream: str) -> StoredBaseline:
        """Return the golden baseline of `stream`; if there is none, note that the stream waits for one.

        It costs one round trip to Redis, so that a person's word holds from the next call on.

        Raises
        ------
        SettingsError
            If no baseline is set for the stream, or the one that is set belongs to another stream, or was made with
            other zones to ignore than those of the stream's table, or by another version with other features.
        BadBaseline
            If it is missing or damaged.
        """
        latest, waiting = self.store.golden.latest_and_waiting(stream)
        try:
            found = self._golden(stream, latest)
        except (BadBaseline, SettingsError) as error:
            reason = str(error)[:_LONGEST_REASON]
            if waiting is None or _reason(waiting) != reason:
                self.store.golden.note_waiting(stream, reason)
            raise
        if waiting is not None:
            self.store.golden.end_waiting(stream)
        return found.stored

    def find(self, stream: str) -> Golden:
        """Return the golden baseline of `stream` and where it comes from; the errors are those of `of_stream`."""
        latest, _ = self.store.golden.latest_and_waiting(stream)
        return self._golden(stream, latest)

    def origin(self, stream: str) -> StoredBaseline:
        """Return the baseline of the stream's table or of the settings; the errors are those of `of_stream`.

        A baseline judges only windows made with the zones that it was made with itself.
        """
        origin, owner = self._load(find_baseline(baseline_of(self.settings, stream), self.settings.baselines_dir))
        if owner not in {None, stream}:
            raise SettingsError(
                f"two streams are bound to one learned baseline: {origin.folder} was accepted for stream {owner!r}, "
                f"and stream {stream!r} names it too: give {stream!r} a baseline of its own with "
                "`sentinel streams bind STREAM --baseline NAME`"
            )
        self._require_zones(stream, origin)
        try:
            require_reproducible(origin)
        except BaselineMismatch as error:
            raise SettingsError(f"stream {stream!r} has no baseline of this version: {error}") from error
        except BadModality:  # whoever reads the samples says which package to install
            pass
        return origin

    def _require_zones(self, stream: str, origin: StoredBaseline) -> None:
        """Raise `SettingsError` if `stream` is to ignore other zones than its baseline was made with."""
        asked, made = settings_of_stream(self.settings, stream).ignore, origin.baseline.feature_spec.ignore
        if asked is None or asked == made:
            return
        name = origin.baseline.name
        options = "".join(f" --ignore {zones_text((zone,))}" for zone in asked)
        raise SettingsError(
            f"stream {stream!r} is to ignore {zones_text(asked)}, but its baseline {name!r} was made with "
            f"{zones_text(made)}: build it again with `sentinel baseline build FILES --name {name} --replace{options}`"
            ", or take `ignore` out of the stream's table, or SENTINEL_IGNORE, to follow the baseline"
        )

    def _golden(self, stream: str, latest: bytes | None) -> Golden:
        origin = self.origin(stream)
        table = stream_config(self.settings).of(stream)
        comes_from = ComesFrom.SETTINGS if table.baseline is None else ComesFrom.TABLE
        record = _record(stream, latest)
        if record is None or record.origin_id != origin.id:
            return Golden(origin, comes_from, origin, None)
        if record.folder is None:
            return Golden(origin, comes_from, origin, record)
        accepted, owner = self._load(Path(record.folder))
        if accepted.id != record.baseline_id or owner != stream:
            raise BadBaseline(
                f"{record.folder} is not the baseline that {record.by} accepted for stream {stream!r}: restore the "
                "folder, or go back to the baseline before with `sentinel streams undo`"
            )
        return Golden(accepted, ComesFrom.ACCEPTED, origin, record)

    def _load(self, folder: Path) -> tuple[StoredBaseline, str | None]:
        """Return the baseline in `folder` and the stream that owns it; it is read again once it was rebuilt."""
        folder = folder.resolve()
        try:
            changed = (folder / MANIFEST_FILE).stat().st_mtime_ns
        except OSError:
            changed = -1  # `load_baseline` raises the error
        known = self._loaded.pop(folder, None)
        if known is None or known[0] != changed:
            known = (changed, load_baseline(folder), owner_of(folder))
        self._loaded = {**dict(list(self._loaded.items())[1 - _MOST_LOADED :]), folder: known}
        return known[1], known[2]


def _record(stream: str, stored: bytes | None) -> GoldenRecord | None:
    try:
        return GoldenRecord.from_json(stored) if stored else None
    except BadMessage as error:
        raise BadBaseline(
            f"what was accepted for stream {stream!r} cannot be read ({error}): upgrade this process, or accept again"
        ) from error


def _reason(stored: bytes) -> str:
    try:
        return WaitingStream.from_json(stored).reason
    except BadMessage:
        return ""
