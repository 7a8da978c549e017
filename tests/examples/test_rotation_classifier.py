"""The example of a model of one's own: its package is installed, and its model trained, healed and gated as any."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.baselines.binding import BaselineBinding
from common.contracts.decisions import GateOutcome
from common.contracts.verdicts import Cause
from common.errors import BadModel
from common.extraction import Extractor
from common.features import FeatureBlock, Image
from common.modalities.video.encode import write_video
from common.modalities.video.modality import VIDEO
from common.models.decisions import load_decision
from common.models.folders import decision_folders
from common.models.kinds import kind_names, load_kind
from common.models.lineage import diff
from common.models.protocols import Challenger
from common.models.versions import load_version
from common.settings import Settings
from common.sources.limits import Limits
from common.store import Store
from sentinel.stack.redis_server import RedisServer
from simulation.saboteur import Fault, sabotage_frames
from simulation.virtual_camera import SCENES, film, load_photograph
from tests.common.models.site import CLIP_SECONDS, FPS, WINDOW, Site, at_work, build_golden, features_of, statuses
from tests.common.models.thrifty import Thumbnails

PROJECT = Path(__file__).parents[2] / "examples" / "rotation_classifier"
PACKAGE = "rotation_classifier"
WIDTH, HEIGHT = 192, 108


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which `pip` has installed the example, without a look at anything outside."""
    folder = tmp_path_factory.mktemp("example")
    source = shutil.copytree(PROJECT, folder / "source", ignore=shutil.ignore_patterns("__pycache__", "build"))
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(folder / "site"), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "site"


@pytest.fixture
def installed(package: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(package))
    yield package
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, FeatureBlock]:
    """Features of what a camera shows, by its name, beside its baseline `golden`."""
    folder = tmp_path_factory.mktemp("camera")
    photographs = [load_photograph(SCENES[0])]

    def shots(seed: int, seconds: int = CLIP_SECONDS) -> list[Image]:
        return list(film(photographs, count=seconds * FPS, fps=FPS, seed=seed, width=WIDTH, height=HEIGHT))

    clean, other = shots(2), shots(3)
    numbers = np.random.default_rng(0)
    footage = {
        "golden": shots(1, 30),
        "clean": clean,
        "low light": list(sabotage_frames(clean, Fault.LOW_LIGHT, 3)),
        "low light again": list(sabotage_frames(other, Fault.LOW_LIGHT, 3)),
        "noise": list(sabotage_frames(clean, Fault.NOISE, 3)),
        "covered": list(sabotage_frames(clean, Fault.COVERED, 4)),
        "random pixels": [numbers.integers(0, 256, clean[0].shape, np.uint8) for _ in clean],
    }
    for name, images in footage.items():
        write_video(folder / f"{name}.mp4", images, FPS)
    extractor = Extractor(VIDEO, Thumbnails(), Limits())
    golden = build_golden(folder / "golden.mp4", folder / "baselines" / "golden", extractor)
    return {name: features_of(folder / f"{name}.mp4", extractor, golden) for name in footage if name != "golden"}


@pytest.fixture
def site(
    installed: Path,
    clips: dict[str, FeatureBlock],
    store: Store,
    settings: Settings,
    redis_server: RedisServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Site]:
    """Streams that sentinel.toml gives the model of the example; what the gate asks for is what it asks of any."""
    config = tmp_path / "sentinel.toml"
    config.write_text('[streams.dock]\nmodel = "rotation"\n', encoding="utf-8")
    folder = Path(clips["clean"].sources[0]).parent
    own = settings.model_copy(
        update={
            "config": config,
            "baselines_dir": folder / "baselines",
            "baseline": "golden",
            "allowed_roots": (folder,),
            "redis_url": redis_server.url,
            "window_frames": WINDOW,
            "retrain_steps": 100,  # enough for it
        }
    )
    with at_work(Site(store, own, BaselineBinding(own, store), clips, model="rotation"), monkeypatch) as site:
        yield site


def test_the_installed_package_offers_its_kind_beside_the_one_that_ships(installed: Path) -> None:
    assert {"rotation", "vfi"} <= set(kind_names())
    kind = load_kind("rotation")
    assert Path(sys.modules[type(kind).__module__].__file__ or "").is_relative_to(installed)


def test_a_drift_that_it_does_not_cope_with_is_learned_gated_and_passes_from_then_on(site: Site) -> None:
    failed = site.show("dock", "low light")
    assert (statuses(failed), {row.cause for row in failed}) == ({"FAIL"}, {Cause.LOW_LIGHT})
    assert site.heal("dock").settled_as("dock") == "promoted", site.said("dock")
    assert {"fitting the first champion", "training", "comparing"} <= set(site.reports)

    champion = site.champion
    assert champion is not None
    assert (champion.model, champion.version, champion.parent) == ("rotation", 2, 1)
    (folder,) = decision_folders(site.settings.state_dir, "rotation")
    decision = load_decision(folder)
    assert decision.outcome is GateOutcome.PROMOTED
    assert decision.gain_db > 3.0, "it finds the truth at least twice as likely as before"
    assert decision.picture
    assert site.store.champions.champion("vfi") is None, "the other model has nothing to do with it"

    kind = load_kind("rotation")
    assert load_version(kind, champion).digest == champion.model_digest
    changes = diff(*site.store.champions.history("rotation"))
    assert (len(changes.layers), changes.unknown) == (8, ()), "weights and biases of four layers"
    later = site.show("dock", "low light again")
    assert statuses(later) == {"PASS"}
    assert {row.condition.golden_cause for row in later if row.condition} == {Cause.LOW_LIGHT}
    assert statuses(site.show("dock", "clean")) == {"PASS"}

    weights = Path(champion.model_path or "") / "weights.npz"
    with np.load(weights) as arrays:
        edited = {name: arrays[name] + 0.01 for name in arrays.files}
    np.savez(weights, **edited)
    with pytest.raises(BadModel, match="not what was saved there"):
        load_version(kind, champion)


def test_a_drift_that_it_copes_with_is_proved_as_it_is_where_training_gains_nothing(site: Site) -> None:
    assert statuses(site.show("dock", "noise")) == {"FAIL"}
    site.heal("dock")
    assert "noise: proved as it is: v1 copes" in site.said("dock")
    assert "dB over guess" in site.said("dock")
    assert "; no challenger was better: " in site.said("dock")
    assert "training" in site.reports
    assert site.champion is not None and site.champion.version == 1
    assert [row.cause for row in site.conditions] == [Cause.NOISE]


@pytest.mark.parametrize(
    ("clip", "why"), [("covered", "shows covered"), ("random pixels", "predicted no better by their neighbours")]
)
def test_rubbish_footage_is_refused_with_its_reason(site: Site, clip: str, why: str) -> None:
    assert statuses(site.show("dock", clip)) == {"FAIL"}
    site.heal("dock")
    assert site.said("dock").startswith("refused: ")
    assert why in site.said("dock")
    assert site.champion is None


def test_a_rubbish_challenger_is_refused_by_the_gate(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = type(load_kind("rotation").trainer())

    def ruined(self: object, champion: object, *footage: object, **how: object) -> Challenger:
        numbers = np.random.default_rng(0)
        noise = tuple(numbers.normal(0.0, 1.0, row.shape).astype(np.float32) for row in champion.weights)
        return Challenger(replace(champion, weights=noise), 1, 0.1)

    monkeypatch.setattr(trainer, "fine_tune", ruined)
    site.show("dock", "low light")
    site.heal("dock")
    assert "low_light: v1 stays: " in site.said("dock")
    assert "not surely above guess" in site.said("dock")
    assert site.champion is not None and site.champion.version == 1
    assert site.conditions == ()
