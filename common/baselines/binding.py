"""The golden baseline of a stream: by what is it judged now?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from common.baselines.golden import ComesFrom, Golden, Learning
from common.baselines.learning.epoch import FITS, epoch_folder, learned_root
from common.baselines.owner import owner_of
from common.baselines.reproducible import require_reproducible, what_differs
from common.baselines.storage import MANIFEST_FILE, StoredBaseline, find_baseline, load_baseline
from common.contracts.golden import GoldenRecord, WaitingStream
from common.contracts.learning import FIRST_EPOCH, LearningPlan
from common.contracts.zones import zones_text
from common.errors import BadBaseline, BadMessage, BadModality, BaselineMismatch, NotLearned, SettingsError
from common.settings import Settings
from common.store import Store
from common.store.golden import StoredBinding
from common.stream_config import baseline_of, settings_of_stream, stream_config

_MOST_LOADED = 16  # baselines kept in memory
_MOST_PLANS = 1_000
_LONGEST_REASON = 1_000  # characters
_TRIES = 3


class BaselineBinding:
    """Looks up the golden baseline of streams, and caches the baselines that it loads.

    A stream has the baseline of its table in sentinel.toml, else SENTINEL_BASELINE,
    else what it learns by itself; over it, what a person has accepted for this
    stream. It is judged by no one else's: a baseline that was accepted for one
    stream is refused to any other. A rebuilt golden baseline ends what was accepted
    over the old one.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings = settings
        self.store = store
        self._loaded: dict[Path, tuple[int, StoredBaseline, str | None]] = {}
        self._plans: dict[str, tuple[bytes, LearningPlan]] = {}

    def of_stream(self, stream: str) -> StoredBaseline:
        """Return the golden baseline of `stream`; the errors are those of `current`, and `NotLearned`."""
        return self.current(stream).require()

    def current(self, stream: str) -> Golden:
        """Return by what `stream` is judged now; if that cannot be told, note that the stream waits for a baseline.

        It costs one round trip to Redis, so that a person's word holds from the next call on.

        Raises
        ------
        SettingsError
            If no baseline is set for the stream and it does not learn, or the one that is set belongs to another
            stream, or was made with other zones to ignore than those of the stream's table, or by another version
            with other features.
        NotLearned
            If it learns, and no footage has come yet.
        BadBaseline
            If it is missing or damaged.
        """
        stored = self.store.golden.bound(stream)
        try:
            found = self._golden(stream, stored)
        except NotLearned:
            raise  # it waits for nothing that a person could give, unless whoever lets it begin says so
        except (BadBaseline, SettingsError) as error:
            reason = str(error)[:_LONGEST_REASON]
            if stored.waiting is None or _reason(stored.waiting) != reason:
                self.store.golden.note_waiting(stream, reason)
            raise
        if stored.waiting is not None:
            self.store.golden.end_waiting(stream)
        return found

    def find(self, stream: str) -> Golden:
        """Return the golden baseline of `stream` and where it comes from; the errors are those of `current`."""
        return self._golden(stream, self.store.golden.bound(stream))

    def origin(self, stream: str) -> tuple[str, str]:
        """Return id and name of the baseline of the stream's table or of the settings, or of what it learned first.

        The errors are those of `current`.
        """
        if self._learns(stream):
            plan = self._plan(stream, self.store.golden.bound(stream).learning.plan)
            return plan.id, stream
        named = self._named(stream)
        return named.id, named.baseline.name

    def _learns(self, stream: str) -> bool:
        own = settings_of_stream(self.settings, stream)
        return not own.baseline and own.learn == "auto"

    def _named(self, stream: str) -> StoredBaseline:
        """Return the baseline of the stream's table or of the settings.

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

    def _require_learned_zones(self, stream: str, plan: LearningPlan) -> None:
        """Raise `SettingsError` if `stream` is to ignore other zones than it has learned with."""
        asked, made = settings_of_stream(self.settings, stream).ignore, plan.feature_spec.ignore
        if asked is not None and asked != made:
            raise SettingsError(
                f"stream {stream!r} is to ignore {zones_text(asked)}, but it has learned with {zones_text(made)}: "
                "`sentinel streams forget` lets it learn anew, or take `ignore` out of the stream's table, or "
                "SENTINEL_IGNORE, to go on as it is"
            )

    def _golden(self, stream: str, stored: StoredBinding) -> Golden:
        if self._learns(stream):
            return self._learned(stream, stored)
        origin = self._named(stream)
        table = stream_config(self.settings).of(stream)
        comes_from = ComesFrom.SETTINGS if table.baseline is None else ComesFrom.TABLE
        record = _record(stream, stored.latest)
        if record is None or record.origin_id != origin.id:
            return Golden(origin, comes_from, origin.id, None)
        if record.folder is None:
            return Golden(origin, comes_from, origin.id, record)
        return Golden(self._accepted(stream, record, record.folder), ComesFrom.ACCEPTED, origin.id, record)

    def _accepted(self, stream: str, record: GoldenRecord, folder: str) -> StoredBaseline:
        accepted, owner = self._load(Path(folder))
        if accepted.id != record.baseline_id or owner != stream:
            raise BadBaseline(
                f"{folder} is not the baseline that {record.by} accepted for stream {stream!r}: restore the "
                "folder, or go back to the baseline before with `sentinel streams undo`"
            )
        return accepted

    def _learned(self, stream: str, stored: StoredBinding) -> Golden:
        plan = self._plan(stream, stored.learning.plan)
        self._require_learned_zones(stream, plan)
        _require_same_features(stream, plan)
        record = _record(stream, stored.latest)
        record = record if record is not None and record.origin_id == plan.id else None
        root = learned_root(self.settings.state_dir, stream)
        if record is not None and record.folder is not None and Path(record.folder).parent != root:
            return Golden(self._accepted(stream, record, record.folder), ComesFrom.ACCEPTED, plan.id, record)
        epoch = stored.learning.epoch(stored.latest)
        learning = Learning(
            plan,
            epoch,
            epoch_folder(root, plan.id, epoch),
            stored.learning.status(epoch),
            stored.learning.coverage(epoch),
        )
        comes_from = ComesFrom.LEARNED if epoch == FIRST_EPOCH else ComesFrom.ACCEPTED
        fit = stored.learning.fit(epoch)
        if fit is None:
            return Golden(None, comes_from, plan.id, record, learning)
        baseline = self._fitted(stream, learning, fit)
        return Golden(replace(baseline, id=learning.id), comes_from, plan.id, record, learning)

    def _fitted(self, stream: str, learning: Learning, fit: str) -> StoredBaseline:
        """Return the latest baseline of an epoch; one that was replaced since its name was read is gone."""
        for _ in range(_TRIES):
            try:
                return self._load(learning.folder / FITS / fit)[0]
            except BadBaseline as error:
                latest, reason = self.store.learning.stored(stream).fit(learning.epoch), error
                if latest in {None, fit}:
                    break
                fit = str(latest)
        raise BadBaseline(
            f"what stream {stream!r} has learned is not in {learning.folder}: every process that judges needs the same "
            f"SENTINEL_STATE_DIR; if it is lost, `sentinel streams forget` lets the stream begin anew ({reason})"
        )

    def _plan(self, stream: str, stored: bytes | None) -> LearningPlan:
        if stored is None:
            raise NotLearned(f"stream {stream!r} has no baseline and no footage yet: it learns from what comes first")
        known = self._plans.get(stream)
        if known is None or known[0] != stored:
            try:
                known = (stored, LearningPlan.from_json(stored))
            except BadMessage as error:
                raise BadBaseline(
                    f"how stream {stream!r} learns cannot be read ({error}): upgrade this process"
                ) from error
            self._plans = {**dict(list(self._plans.items())[1 - _MOST_PLANS :]), stream: known}
        return known[1]

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


def _require_same_features(stream: str, plan: LearningPlan) -> None:
    """Raise `SettingsError` if this version computes other features than `stream` has learned with."""
    try:
        differ = what_differs(plan.feature_spec)
    except BadModality:  # whoever reads the samples says which package to install
        return
    if differ:
        raise SettingsError(
            f"stream {stream!r} has learned with another version ({differ}): `sentinel streams forget` lets it learn "
            "anew, or give it a baseline with `sentinel streams bind STREAM --baseline NAME`"
        )


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
