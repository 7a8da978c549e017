"""Decisions of the gate on disk: the figures, the picture, and what goes when there are too many."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from common.contracts.decisions import DecisionRecord, GateOutcome
from common.errors import BadModel
from common.models import decisions as storing
from common.models import folders
from common.models.comparing import Comparison, Latency, Scores, digests_of
from common.models.decisions import DIGEST_FILE, PICTURE_FILE, RECORD_FILE, load_decision, record_of, save_decision
from common.models.gate import Rules, decide
from common.models.protocols import Examples
from common.models.side_by_side import Shown, chosen, draw, png
from common.store import Store
from tests.common.builders import record

RULES = Rules(min_gain_db=0.05, max_loss_db=0.5, max_worst_loss_db=2.0, max_slowdown=1.5, error=0.0305)


@dataclass
class Grey:
    """Predicts one level of grey."""

    level: int

    def predict(self, examples: Examples) -> npt.NDArray[np.uint8]:
        return np.full((len(examples), *examples.shape[2:]), self.level, np.uint8)


def triplets(count: int = 40) -> Examples:
    return np.random.default_rng(0).integers(0, 256, (count, 3, 36, 64, 3), np.uint8)


def scores(gains: npt.NDArray[np.float32], examples: Examples) -> Scores:
    champion = np.full(len(gains), 30.0, np.float32)
    return Scores(champion, champion + gains, {"dis": champion - 1}, digests_of(examples), np.arange(len(gains)))


def comparison(count: int = 40) -> Comparison:
    gains = np.random.default_rng(1).normal(0.3, 0.1, count).astype(np.float32)
    stretch = scores(gains, triplets(count))
    golden = scores(np.zeros(count, np.float32), triplets(count)[:, ::-1])
    return Comparison(
        {"night@0": stretch}, golden, frozenset({"t1", "t2"}), Latency(5.0, 6.0), {"noise of dock": golden}
    )


def stored(found: Comparison, *, picture: bool = False) -> DecisionRecord:
    return record_of(
        found,
        decide(found, RULES),
        RULES,
        model="vfi",
        number=3,
        champion=2,
        champion_digest="old",
        challenger_digest="new",
        seed=7,
        picture=picture,
    )


# --- figures


def test_what_is_read_is_the_decision_with_its_figures_and_fortunes(tmp_path: Path) -> None:
    found = comparison()
    folder = tmp_path / "champions" / "vfi" / "d3-1000"
    save_decision(folder, stored(found), None)
    read = load_decision(folder)
    assert read == stored(found).model_copy(update={"made_at": read.made_at})
    assert read.outcome is GateOutcome.INCONCLUSIVE, "forty examples are too few"
    assert (read.number, read.champion, read.champion_digest, read.challenger_digest, read.seed) == (
        3,
        2,
        "old",
        "new",
        7,
    )
    (stretch,) = read.stretches
    bets = RULES.gain(found.stretches["night@0"])
    assert (stretch.name, stretch.for_it, stretch.against_it) == ("night@0", bets.for_it, bets.against_it)
    assert (stretch.examples, stretch.block, len(stretch.for_it)) == (40, 10, 4)
    assert stretch.needed == pytest.approx(1 / read.error)
    assert read.golden is not None
    assert [row.name for row in read.conditions] == ["noise of dock"]
    assert (read.champion_ms, read.challenger_ms, read.trained_on) == (5.0, 6.0, 2)
    assert sorted(path.name for path in folder.iterdir()) == [DIGEST_FILE, RECORD_FILE]
    assert list(folder.parent.iterdir()) == [folder], "nothing is left beside it"


def test_scores_that_allow_no_decision_are_stored_with_the_reason(tmp_path: Path) -> None:
    found = comparison(3)
    save_decision(tmp_path / "d3-1", stored(found), None)
    read = load_decision(tmp_path / "d3-1")
    assert (read.outcome, read.stretches, read.golden) == (GateOutcome.REFUSED, (), None)
    assert "only 3 examples" in read.reason


def test_digests_depend_on_the_examples() -> None:
    one, other = stored(comparison()), stored(comparison(30))
    assert one.stretches[0].digest == stored(comparison()).stretches[0].digest != other.stretches[0].digest


def test_a_decision_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storing, "png", full)
    with pytest.raises(BadModel, match=r"cannot be written.*No space left on device; free space"):
        save_decision(tmp_path / "d3-1", stored(comparison()), np.zeros((4, 4, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_decision_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="d3-1 is missing or damaged"):
        load_decision(tmp_path / "d3-1")
    save_decision(tmp_path / "d3-1", stored(comparison()), None)
    (tmp_path / "d3-1" / RECORD_FILE).write_text("{}")
    with pytest.raises(BadModel, match="d3-1 is missing or damaged"):
        load_decision(tmp_path / "d3-1")


def test_a_decision_that_was_edited_or_exchanged_is_refused(tmp_path: Path) -> None:
    digest = save_decision(tmp_path / "d3-1", stored(comparison()), None)
    file = tmp_path / "d3-1" / RECORD_FILE
    assert load_decision(tmp_path / "d3-1", digest).number == 3
    written = file.read_text()
    file.write_text(written.replace('"champion": 2', '"champion":    2'))
    assert load_decision(tmp_path / "d3-1", digest).champion == 2, "laid out in another way, it says the same"
    file.write_text(written.replace('"champion": 2', '"champion": 1'))
    with pytest.raises(BadModel, match="d3-1 is not what was saved there"):
        load_decision(tmp_path / "d3-1")
    file.write_text(written)
    other = save_decision(tmp_path / "d4-1", stored(comparison(30)), None)
    assert load_decision(tmp_path / "d4-1").reason
    with pytest.raises(BadModel, match="d3-1 is not what was saved there"):
        load_decision(tmp_path / "d3-1", other)


# --- the picture


def test_a_picture_shows_the_worst_the_median_and_the_best_example_of_each_stretch(tmp_path: Path) -> None:
    examples = triplets()
    examples[:, 1] = np.arange(40, dtype=np.uint8)[:, None, None, None]  # truths that tell which example it is
    found = scores(np.random.default_rng(1).normal(0.3, 0.1, 40).astype(np.float32), examples)
    shown = {name: Shown(examples, found) for name in ("one", "two")}
    picture = draw(shown, Grey(50), Grey(100), {"dis": Grey(150)})
    assert picture is not None
    save_decision(tmp_path / "d3-1", stored(comparison(), picture=True), picture)
    read = cv2.imread(str(tmp_path / "d3-1" / PICTURE_FILE))
    panels = read.reshape(6, read.shape[0] // 6, 4, read.shape[1] // 4, 3)[:, -20, :, 10, 0]
    places = list(chosen(found.gains_db).values())
    assert panels.tolist() == [[place, 50, 100, 150] for place in places] * 2


def test_the_examples_that_are_drawn_are_those_that_were_scored() -> None:
    examples = triplets()
    examples[:, 1] = np.arange(40, dtype=np.uint8)[:, None, None, None]
    found = scores(np.arange(40, dtype=np.float32), examples)
    backwards = Scores(found.champion, found.challenger, found.references, found.digests, np.arange(40)[::-1])
    picture = draw({"one": Shown(examples, backwards)}, Grey(50), Grey(100), {"dis": Grey(150)})
    assert picture is not None
    assert picture.reshape(3, -1, *picture.shape[1:])[:, -20, 10, 0].tolist() == [39, 19, 0]


def test_many_stretches_make_no_endless_picture_and_other_examples_none() -> None:
    examples = triplets(4)
    found = scores(np.zeros(4, np.float32), examples)
    few, many = (
        draw({str(i): Shown(examples, found) for i in range(count)}, Grey(1), Grey(2), {"dis": Grey(3)})
        for count in (6, 60)
    )
    assert few is not None and many is not None
    assert few.shape == many.shape
    assert len(png(many)) < 2_000_000
    assert draw({"sound": Shown(np.zeros((4, 9), np.uint8), found)}, Grey(1), Grey(2), {}) is None
    assert draw({}, Grey(1), Grey(2), {}) is None


class Sure:
    """Predicts no picture, but a share."""

    def predict(self, examples: Examples) -> npt.NDArray[np.uint8]:
        return np.full((len(examples), 4), 255, np.uint8)


def test_predictions_that_are_no_pictures_are_not_drawn() -> None:
    examples = triplets(4)
    shown = {"one": Shown(examples, scores(np.zeros(4, np.float32), examples))}
    assert draw(shown, Grey(1), Sure(), {"dis": Grey(3)}) is None
    assert draw(shown, Grey(1), Grey(2), {"dis": Grey(3)}) is not None


# --- how many are kept


def test_the_latest_decisions_stay_and_those_that_a_version_names(store: Store, tmp_path: Path) -> None:
    made = [tmp_path / "champions" / "vfi" / f"d{number}-{1000 + number}" for number in range(1, 54)]
    for folder in made:
        folder.mkdir(parents=True)
    promoted = record(1, model_path="/v1").model_copy(update={"decision": str(made[1])})
    assert store.champions.promote(promoted, over=0)
    folders.remove_old_decisions(store.champions, tmp_path, "vfi")
    assert folders.decision_folders(tmp_path, "vfi") == [made[1], *made[3:]]


def test_decisions_are_counted_for_each_model_by_itself(store: Store) -> None:
    assert store.champions.decisions("vfi") == 0
    assert [store.champions.count_decision("vfi") for _ in range(3)] == [1, 2, 3]
    assert (store.champions.count_decision("other"), store.champions.decisions("vfi")) == (1, 3)
    assert store.client.ttl("sentinel:model:{vfi}:decisions") == -1, "it does not expire"
