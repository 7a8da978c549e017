"""Finding the baseline by which a stream is judged now."""

from __future__ import annotations

import time
from pathlib import Path

from common.baselines.storage import MANIFEST_FILE, StoredBaseline, find_baseline, load_baseline
from common.contracts.models import ChampionRecord
from common.errors import BadBaseline, NotPromoted
from common.settings import Settings
from common.store import Store
from common.stream_config import baseline_of

_ATTEMPTS = 3  # two processes may register a golden baseline at once; the second reads the record of the first


class BaselineBinding:
    """Looks up champions, and caches the baselines that it loads.

    A stream belongs to the model that has the name of its golden baseline. The
    model's champion names the current baseline: at first the golden one, after a
    promotion the one that was promoted with the model. A rebuilt golden baseline
    starts a new line of champions.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings = settings
        self.store = store
        self._loaded: dict[str, StoredBaseline] = {}
        self._golden: dict[Path, tuple[int, StoredBaseline]] = {}

    def of_stream(self, stream: str) -> StoredBaseline:
        """Return the baseline that `stream` is judged by now.

        Raises
        ------
        SettingsError
            If no baseline is set for the stream.
        BadBaseline
            If it is missing or damaged.
        """
        golden = self._load_golden(baseline_of(self.settings, stream))
        return self._load(self.champion(golden))

    def of_model(self, model: str) -> tuple[ChampionRecord, StoredBaseline]:
        """Return the champion of `model` and its baseline; raise `BadBaseline` if there is none."""
        record = self.store.champions.champion(model)
        if record is None:
            raise BadBaseline(f"model {model!r} has no champion: it gets one with its first frame")
        return record, self._load(record)

    def champion(self, golden: StoredBaseline) -> ChampionRecord:
        """Return the champion of the line that `golden` started; register `golden` as champion if there is none."""
        champions = self.store.champions
        for _ in range(_ATTEMPTS):
            record = champions.champion(golden.baseline.name)
            if record is not None and record.origin_id == golden.id:
                return record
            version = record.version if record else 0
            first = ChampionRecord(
                model=golden.baseline.name,
                version=version + 1,
                baseline_path=str(golden.folder),
                baseline_id=golden.id,
                model_path=None,
                origin_id=golden.id,
                parent=version or None,
                reason="golden baseline rebuilt" if version else "golden baseline registered",
                gain_db=None,
                loss_db=None,
                created_at=time.time(),
            )
            champions.promote(first, over=version, announce=None)
        raise NotPromoted(
            f"model {golden.baseline.name!r} changes too often: are two golden baselines of that name in use?"
        )

    def _load_golden(self, name: str) -> StoredBaseline:
        folder = find_baseline(name, self.settings.baselines_dir).resolve()
        try:
            changed = (folder / MANIFEST_FILE).stat().st_mtime_ns
        except OSError:
            changed = -1  # `load_baseline` raises the error
        if folder not in self._golden or self._golden[folder][0] != changed:
            self._golden[folder] = (changed, load_baseline(folder))
        return self._golden[folder][1]

    def _load(self, record: ChampionRecord) -> StoredBaseline:
        if record.baseline_id not in self._loaded:
            stored = load_baseline(Path(record.baseline_path))
            if stored.id != record.baseline_id:
                raise BadBaseline(
                    f"{record.baseline_path} is not the baseline of champion {record.model} v{record.version}: "
                    "restore the folder, or roll back with `sentinel champions rollback`"
                )
            self._loaded = {**self._recent(), record.baseline_id: stored}
        return self._loaded[record.baseline_id]

    def _recent(self) -> dict[str, StoredBaseline]:
        """Return the 15 baselines that were loaded last, so that 16 are kept in memory."""
        most = 16
        return dict(list(self._loaded.items())[-most + 1 :])
