"""Weights once: what a baseline names by digest and this machine has loaded is found without being named again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from common.backbones import Backbone, load_backbone
from common.backbones.backbone import Images
from common.backbones.convert import CARD_FILE, MODEL_FILE, NUMBERS_FILE, random_images
from common.backbones.openvino_engine import openvino
from common.backbones.quantise import natural_pictures
from common.contracts.batches import FeatureSpec
from common.errors import BackboneError, BaselineMismatch
from common.settings import Settings
from tests.common.backbones.builders import SIDE, write_onnx

ROOT = Path(__file__).resolve().parents[3]
OTHER_DIGEST = "0123456789abcdef" * 2

# A GPU worker, on a processor: TensorFlow runs the model wherever it can. It builds, then loads with nothing set.
GPU_WORKER = """
import os, sys
os.environ.update(CUDA_VISIBLE_DEVICES="-1", TF_CPP_MIN_LOG_LEVEL="3")
from pathlib import Path
from common.backbones import load_backbone, loading, tensorflow_engine
from common.contracts.batches import FeatureSpec
from common.settings import Settings
loading._on_gpu = lambda settings: True
tensorflow_engine.claim_gpu = lambda: None
state = Path(sys.argv[1])
built = load_backbone(Settings(_env_file=None, state_dir=state, weights="random:3"), None)
spec = FeatureSpec(backbone=built.name, weights=built.weights_digest, precision="f32",
                   decode_pipeline="1", sensors="1", sample_fps=None)
found = load_backbone(Settings(_env_file=None, state_dir=state), spec)
print(type(found).__name__, found.weights_digest == built.weights_digest)
"""


@pytest.fixture(scope="module")
def images() -> Images:
    return random_images(SIDE)


def settings_with(state: Path, **chosen: str) -> Settings:
    return Settings(_env_file=None, state_dir=state, device="cpu", **chosen)  # type: ignore[arg-type,call-arg]


def build(state: Path, backbone: str, **chosen: str) -> Backbone:
    """Load as `baseline build` does: what the settings name."""
    return load_backbone(settings_with(state, backbone=backbone, **chosen), None)


def load(state: Path, spec: FeatureSpec, **chosen: str) -> Backbone:
    return load_backbone(settings_with(state, **chosen), spec)


def spec_of(backbone: Backbone, **update: str) -> FeatureSpec:
    made = {"backbone": backbone.name, "weights": backbone.weights_digest, "precision": backbone.precision}
    return FeatureSpec(decode_pipeline="1", sensors="1", sample_fps=None, **{**made, **update})


def keras_spec(weights: str = OTHER_DIGEST) -> FeatureSpec:
    return FeatureSpec(
        backbone="mobilenet_v2", weights=weights, precision="f32", decode_pipeline="1", sensors="1", sample_fps=None
    )


def folders(state: Path) -> list[Path]:
    return sorted(path.parent for path in (state / "backbones").glob(f"*/{CARD_FILE}"))


def as_version_0_1(state: Path) -> None:
    """Make the cache what version 0.1 writes: cards without a precision, no record of where weights came from."""
    for folder in folders(state):
        card = json.loads((folder / CARD_FILE).read_text())
        del card["precision"]
        (folder / CARD_FILE).write_text(json.dumps(card))
    for record in (state / "backbones").glob("origin-*.json"):
        record.unlink()


def forbid_conversion(monkeypatch: pytest.MonkeyPatch) -> None:
    def convert(*_: object) -> None:
        raise AssertionError("a model is converted, or downloaded to be")

    monkeypatch.setattr("common.backbones.cache._run_converter", convert)


# --- found -----------------------------------------------------------------------------------------


def test_what_the_cache_holds_is_found_by_name_and_digest_with_nothing_set(
    tmp_path: Path, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = build(tmp_path, write_onnx(tmp_path / "tiny.onnx"))
    (tmp_path / "tiny.onnx").unlink()
    forbid_conversion(monkeypatch)
    found = load(tmp_path, spec_of(built))
    assert (found.name, found.weights_digest, found.precision) == (built.name, built.weights_digest, built.precision)
    assert np.array_equal(found.embed(images), built.embed(images))


def test_each_baseline_gets_its_own_weights_from_one_cache(tmp_path: Path, images: Images) -> None:
    """Two models of one name, of which only the digests differ."""
    path = write_onnx(tmp_path / "tiny.onnx")
    built = [build(tmp_path, path, pixels=pixels) for pixels in ("0..1", "-1..1")]
    for one in built:
        assert np.array_equal(load(tmp_path, spec_of(one)).embed(images), one.embed(images))


@pytest.mark.parametrize("version", ["0.1", "this"])
def test_an_int8_graph_never_serves_an_f32_baseline_nor_the_other_way_round(
    tmp_path: Path, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("nncf")
    path = write_onnx(tmp_path / "tiny.onnx")
    pictures = natural_pictures(6, SIDE)
    exact, rounded = (build(tmp_path, path, precision=precision) for precision in ("f32", "int8"))
    assert not np.array_equal(exact.embed(pictures), rounded.embed(pictures))
    if version == "0.1":
        as_version_0_1(tmp_path)
    Path(path).unlink()
    forbid_conversion(monkeypatch)
    for built in (exact, rounded):
        found = load(tmp_path, spec_of(built))
        assert found.precision == built.precision
        assert np.array_equal(found.embed(pictures), built.embed(pictures))
    (quantised,) = (folder for folder in folders(tmp_path) if b"FakeQuantize" in (folder / MODEL_FILE).read_bytes())
    shutil.rmtree(quantised)
    with pytest.raises(BaselineMismatch, match="in int8"):
        load(tmp_path, spec_of(rounded))


def test_one_graph_serves_f32_and_bf16(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = build(tmp_path, write_onnx(tmp_path / "tiny.onnx"))
    forbid_conversion(monkeypatch)
    if "BF16" not in openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        with pytest.raises(BackboneError, match="bf16 was asked for"):
            load(tmp_path, spec_of(built, precision="bf16"))
        return
    assert load(tmp_path, spec_of(built, precision="bf16")).precision == "bf16"


def test_a_cache_of_version_0_1_is_used_as_it_is(
    tmp_path: Path, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = build(tmp_path, write_onnx(tmp_path / "tiny.onnx"))
    as_version_0_1(tmp_path)
    before = {path: path.read_bytes() for path in (tmp_path / "backbones").rglob("*") if path.is_file()}
    forbid_conversion(monkeypatch)
    assert np.array_equal(load(tmp_path, spec_of(built)).embed(images), built.embed(images))
    named = build(tmp_path, str(tmp_path / "tiny.onnx"))
    assert np.array_equal(named.embed(images), built.embed(images)), "and under its key when it is named"
    assert {path: path.read_bytes() for path in before} == before


def test_what_other_library_versions_converted_is_found_unless_these_have_converted_it_too(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "tiny.onnx")
    spec = spec_of(build(tmp_path, path))
    (folder,) = folders(tmp_path)
    older = folder.rename(folder.with_name("onnx-tiny-000000000000"))
    assert load(tmp_path, spec).weights_digest == spec.weights
    build(tmp_path, path)
    assert folders(tmp_path) == sorted([folder, older])
    (folder / NUMBERS_FILE).write_bytes(b"")  # damaged: the older one still serves
    assert load(tmp_path, spec).weights_digest == spec.weights
    assert (folder / NUMBERS_FILE).read_bytes() == b""


def test_a_damaged_conversion_is_made_again_from_where_the_weights_came_from(tmp_path: Path, images: Images) -> None:
    path = Path(write_onnx(tmp_path / "tiny.onnx"))
    built = build(tmp_path, str(path))
    (folder,) = folders(tmp_path)
    for name in (NUMBERS_FILE, CARD_FILE):
        (folder / name).write_bytes(b"{}")
        assert np.array_equal(load(tmp_path, spec_of(built)).embed(images), built.embed(images))
    (folder / NUMBERS_FILE).write_bytes(b"")
    write_onnx(path, kind="maps")
    with pytest.raises(BaselineMismatch, match=rf"came from {path}, which is gone or has changed"):
        load(tmp_path, spec_of(built))


def test_a_damaged_record_of_an_origin_is_as_none(tmp_path: Path, images: Images) -> None:
    built = build(tmp_path, write_onnx(tmp_path / "tiny.onnx"))
    (record,) = (tmp_path / "backbones").glob("origin-*.json")
    record.write_text('{"weights_digest":')
    assert np.array_equal(load(tmp_path, spec_of(built)).embed(images), built.embed(images))


def test_a_cache_that_cannot_be_written_is_still_used(tmp_path: Path, images: Images) -> None:
    path = write_onnx(tmp_path / "tiny.onnx")
    built = build(tmp_path, path)
    (record,) = (tmp_path / "backbones").glob("origin-*.json")
    record.unlink()
    record.mkdir()  # a record can be written by nobody, root included
    for found in (build(tmp_path, path), load(tmp_path, spec_of(built))):
        assert np.array_equal(found.embed(images), built.embed(images))
    assert not list((tmp_path / "backbones").glob(".origin-*")), "nothing half-made stays behind"


def test_a_gpu_worker_finds_its_weights_again_too(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", GPU_WORKER, str(tmp_path)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split()[-2:] == ["TensorFlowBackbone", "True"]
