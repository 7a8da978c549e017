"""Which golden baseline a stream has: its table's, else that of the settings, else it waits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from common.baselines.binding import BaselineBinding
from common.baselines.golden import ComesFrom
from common.baselines.storage import load_baseline
from common.contracts.golden import GoldenChange, GoldenRecord
from common.errors import BadBaseline, SettingsError
from common.settings import Settings
from common.store import Store, keys
from common.store.golden import Appended
from common.stream_config import _config_file
from tests.common.baselines.small import small_baseline


@pytest.fixture
def own(settings: Settings, tmp_path: Path) -> Settings:
    """Settings by which stream `night` has a baseline of its own."""
    config = tmp_path / "sentinel.toml"
    config.write_text('[streams.night]\nbaseline = "night"\n', encoding="utf-8")
    small_baseline(settings.baselines_dir / "test")
    return settings.model_copy(update={"baseline": "test", "config": config})


def test_a_stream_has_the_baseline_of_its_table_and_else_that_of_the_settings(store: Store, own: Settings) -> None:
    night = small_baseline(own.baselines_dir / "night", seed=5)
    binding = BaselineBinding(own, store)
    assert (binding.of_stream("night").id, binding.find("night").comes_from) == (night.id, ComesFrom.TABLE)
    assert binding.find("any").comes_from is ComesFrom.SETTINGS
    assert binding.of_stream("any").id == binding.of_stream("other").id != night.id


def test_a_rebuilt_baseline_is_used_at_once_and_an_unchanged_one_is_read_once(store: Store, own: Settings) -> None:
    binding = BaselineBinding(own, store)
    first = binding.of_stream("any")
    assert binding.of_stream("any") is first
    second = small_baseline(own.baselines_dir / "test", seed=2)
    assert binding.of_stream("any").id == second.id != first.id


def test_a_stream_whose_baseline_is_missing_waits_and_says_why(store: Store, own: Settings) -> None:
    binding = BaselineBinding(own, store)
    with pytest.raises(BadBaseline, match="night"):
        binding.of_stream("night")
    assert "sentinel baseline build" in store.golden.waiting()["night"].reason
    small_baseline(own.baselines_dir / "night")
    binding.of_stream("night")
    assert store.golden.waiting() == {}


@pytest.mark.parametrize("what", ["sensors", "decode_pipeline"])
def test_a_stream_whose_baseline_another_version_made_waits_until_it_is_built_again(
    store: Store, own: Settings, what: str
) -> None:
    binding = BaselineBinding(own, store)
    small_baseline(own.baselines_dir / "night", ignore=((0.0, 0.0, 0.3, 0.08),), **{what: "v3:86049a438b06"})
    with pytest.raises(SettingsError, match=f"made by another version .{what} v3:86049a438b06, here "):
        binding.of_stream("night")
    reason = store.golden.waiting()["night"].reason
    name = load_baseline(own.baselines_dir / "night").baseline.name  # it opens, for people to look at
    assert f"`sentinel baseline build FILES --name {name} --replace --ignore 0,0,0.3,0.08`" in reason
    assert binding.of_stream("any"), "other streams go on"
    built = small_baseline(own.baselines_dir / "night")
    assert binding.of_stream("night").id == built.id
    assert store.golden.waiting() == {}


def test_looking_a_stream_up_notes_nothing(store: Store, settings: Settings) -> None:
    with pytest.raises(SettingsError):
        BaselineBinding(settings, store).find("dock")
    assert store.golden.waiting() == {}


def test_however_many_streams_are_named_no_more_than_a_thousand_wait(store: Store, settings: Settings) -> None:
    waiting = '{"stream":"cam%d","reason":"r","since":0}'
    store.client.hset(keys.WAITING, mapping={f"cam{n}": waiting % n for n in range(1_000)})
    binding = BaselineBinding(settings.model_copy(update={"learn": "off"}), store)
    for stream in ("cam7", "cam-new"):
        with pytest.raises(SettingsError):
            binding.of_stream(stream)
    waiting = store.golden.waiting()
    assert "no baseline" in waiting["cam7"].reason
    assert "cam-new" not in waiting


def test_what_a_newer_version_accepted_is_never_guessed_at(store: Store, own: Settings) -> None:
    store.client.set(keys.stream_key("any", "golden"), json.dumps({"format": 99}))
    with pytest.raises(BadBaseline, match="newer version"):
        BaselineBinding(own, store).of_stream("any")


@pytest.mark.parametrize("stored", [b"{}", b"\xff", b"[" * 10_000, b'{"format": 3, "stream": "../x"}'])
def test_a_record_that_was_edited_by_hand_is_a_reason_to_wait(store: Store, own: Settings, stored: bytes) -> None:
    store.client.set(keys.stream_key("any", "golden"), stored)
    with pytest.raises(BadBaseline, match="cannot be read"):
        BaselineBinding(own, store).of_stream("any")


def record(number: int, *, by: str = "ada") -> GoldenRecord:
    return GoldenRecord(
        stream="dock",
        number=number,
        change=GoldenChange.ACCEPTED,
        by=by,
        at=1.5,
        why="",
        origin_id="o",
        folder="/f",
        baseline_id="b",
        replaced_folder=None,
        replaced_id="o",
    )


def test_the_history_is_appended_to_once_and_only_over_what_was_read(store: Store) -> None:
    store.client.zadd(keys.STREAMS, {"dock": 0})
    first, second = record(1), record(2)
    assert store.golden.append(first, over=None, notes=()) is Appended.DONE
    assert store.golden.append(first, over=None, notes=()) is Appended.DONE, "asked again, its answer was lost"
    assert store.golden.append(record(1, by="bob"), over=None, notes=()) is Appended.CHANGED
    assert store.golden.append(second, over=first, notes=()) is Appended.DONE
    assert store.golden.history("dock") == [first, second]
    assert store.golden.latest("dock") == second


def test_a_stream_that_is_gone_gets_no_history(store: Store) -> None:
    assert store.golden.append(record(1), over=None, notes=()) is Appended.UNKNOWN_STREAM
    assert store.client.keys("*") == []


def test_a_baseline_judges_no_windows_with_other_zones_than_its_own(store: Store, own: Settings) -> None:
    clock, tree = (0.0, 0.0, 0.3, 0.08), (0.8, 0.2, 0.2, 0.5)
    small_baseline(own.baselines_dir / "night", ignore=(clock,))
    assert own.config is not None
    binding = BaselineBinding(own, store)
    assert binding.of_stream("night").baseline.feature_spec.ignore == (clock,), "where nothing is said it is followed"

    def says(text: str) -> BaselineBinding:
        (own.config or Path()).write_text(f'[streams.night]\nbaseline = "night"\n{text}', encoding="utf-8")
        _config_file.cache_clear()
        return BaselineBinding(own, store)

    says("ignore = [[0, 0, 0.3, 0.08]]").of_stream("night")
    with pytest.raises(SettingsError, match=r"to ignore no zones, but .* was made with 0,0,0.3,0.08"):
        says("ignore = []").of_stream("night")
    with pytest.raises(
        SettingsError, match=r"--replace --ignore 0,0,0\.3,0\.08 --ignore 0\.8,0\.2,0\.2,0\.5`, or take `ignore` out"
    ):
        says("ignore = [[0, 0, 0.3, 0.08], [0.8, 0.2, 0.2, 0.5]]").of_stream("night")
    assert "was made with 0,0,0.3,0.08" in store.golden.waiting()["night"].reason
    small_baseline(own.baselines_dir / "night", ignore=(clock, tree))
    assert binding.of_stream("night").baseline.feature_spec.ignore == (clock, tree)
    assert store.golden.waiting() == {}
