"""Weights that are set, or not found: what counts, what is refused, and what the message advises."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.backbones.convert import CARD_FILE
from common.backbones.models import Model, ModelKind, find_model
from common.backbones.origins import find_origin, known_digest, remember_origin
from common.backbones.wanted import named_model
from common.backbones.weights import IMAGENET_FILE
from common.errors import BaselineMismatch
from tests.common.backbones.builders import write_onnx
from tests.common.backbones.test_backbones import unplug
from tests.common.backbones.test_weights_once import (
    OTHER_DIGEST,
    as_version_0_1,
    build,
    folders,
    forbid_conversion,
    keras_spec,
    load,
    settings_with,
    spec_of,
)

# --- what is set counts ------------------------------------------------------------------------------


def test_another_model_of_that_name_is_refused_with_both_digests(tmp_path: Path) -> None:
    wanted = build(tmp_path, write_onnx(tmp_path / "tiny.onnx"))
    path = write_onnx(tmp_path / "tiny.onnx", kind="maps")
    other = build(tmp_path, path)
    with pytest.raises(BaselineMismatch) as refused:
        load(tmp_path, spec_of(wanted), backbone=path)
    for part in (wanted.weights_digest, other.weights_digest, f"SENTINEL_BACKBONE={path}", "unset"):
        assert part in str(refused.value)


def test_another_backbone_or_weights_for_one_that_carries_its_own_are_refused(tmp_path: Path) -> None:
    tiny = spec_of(build(tmp_path, write_onnx(tmp_path / "tiny.onnx")))
    with pytest.raises(BaselineMismatch, match=r"SENTINEL_BACKBONE=resnet50 .*onnx:tiny.*unset SENTINEL_BACKBONE"):
        load(tmp_path, tiny, backbone="resnet50")
    with pytest.raises(BaselineMismatch, match=r"SENTINEL_WEIGHTS=random:1 .*own weights.*unset SENTINEL_WEIGHTS"):
        load(tmp_path, tiny, weights="random:1")


def test_weights_that_are_set_are_loaded_into_the_backbone_of_the_baseline(tmp_path: Path) -> None:
    spec = keras_spec().model_copy(update={"backbone": "resnet50"})
    asked = named_model(settings_with(tmp_path, weights="random:3"), spec)
    assert asked == find_model(settings_with(tmp_path, backbone="ResNet50", weights="random:3"))
    assert named_model(settings_with(tmp_path), spec) is None
    assert named_model(settings_with(tmp_path, backbone="ResNet50"), spec) is None, "its weights are left open"


# --- not found ---------------------------------------------------------------------------------------


def test_a_baseline_from_another_machine_says_which_weights_it_wants_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unplug(monkeypatch, tmp_path)
    forbid_conversion(monkeypatch)
    with pytest.raises(BaselineMismatch) as refused:
        load(tmp_path, keras_spec())
    cache = str(tmp_path / "backbones")
    for part in (OTHER_DIGEST, "mobilenet_v2", cache, "set SENTINEL_WEIGHTS", "random:SEED", "SENTINEL_STATE_DIR"):
        assert part in str(refused.value)
    for hub_model in ("hf:lab/tiny", "kaggle:lab/tiny/onnx/small/1"):
        with pytest.raises(BaselineMismatch, match=rf"{hub_model}.*set SENTINEL_BACKBONE"):
            load(tmp_path, keras_spec().model_copy(update={"backbone": hub_model}))
    assert not (tmp_path / "kaggle").exists(), "a baseline's name of a model is looked up, not downloaded"
    assert not list(tmp_path.rglob("*.xml"))


def test_nothing_is_downloaded_for_weights_that_are_known_not_to_be_imagenets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unplug(monkeypatch, tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / IMAGENET_FILE).write_bytes(b"cached by Keras")
    forbid_conversion(monkeypatch)
    with pytest.raises(AssertionError, match="downloaded"):
        load(tmp_path, keras_spec())  # while it is not known, they are tried
    imagenet = find_model(settings_with(tmp_path, weights="imagenet"))
    remember_origin(tmp_path / "backbones", imagenet, "another digest")
    with pytest.raises(BaselineMismatch, match=OTHER_DIGEST):
        load(tmp_path, keras_spec())


def test_imagenets_weights_are_tried_last_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    unplug(monkeypatch, tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / IMAGENET_FILE).write_bytes(b"no weights at all")
    with caplog.at_level(logging.WARNING), pytest.raises(BaselineMismatch) as refused:
        load(tmp_path, keras_spec())
    assert "ImageNet's are tried" in caplog.text
    assert OTHER_DIGEST in str(refused.value)
    assert "ImageNet's were tried" in str(refused.value)


def test_a_card_of_a_later_version_is_not_guessed_at(tmp_path: Path) -> None:
    built = build(tmp_path, write_onnx(tmp_path / "tiny.onnx"))
    as_version_0_1(tmp_path)
    (folder,) = folders(tmp_path)
    card = json.loads((folder / CARD_FILE).read_text())
    (folder / CARD_FILE).write_text(json.dumps({**card, "precision": "f4"}))
    with pytest.raises(BaselineMismatch, match=built.weights_digest):
        load(tmp_path, spec_of(built))


# --- origins -----------------------------------------------------------------------------------------


@given(name=st.text(min_size=1), digest=st.text())
def test_an_origin_is_found_under_its_name_and_digest_alone_and_never_leaves_the_cache(
    tmp_path_factory: pytest.TempPathFactory, name: str, digest: str
) -> None:
    root = tmp_path_factory.mktemp("world") / "backbones"
    model = Model(kind=ModelKind.KERAS, name=name, identity=f"{name} imagenet", weights="imagenet")
    remember_origin(root, model, digest)
    remember_origin(root, model, digest)
    assert find_origin(root, name, digest) == model
    assert known_digest(root, model) == digest
    assert find_origin(root, name, f"{digest}0") is None
    assert find_origin(root, f"{name}0", digest) is None
    assert [path.parent for path in root.parent.rglob("*") if path.is_file()] == [root]
