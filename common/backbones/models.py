"""The models that `SENTINEL_BACKBONE` may name, and the identity that tells each from all others.

| name | what it is |
|---|---|
| `mobilenet_v2`, `keras:MobileNetV2` | a model of keras.applications, with `SENTINEL_WEIGHTS` |
| `FILE.keras` | a Keras model file |
| `FOLDER` | a TensorFlow SavedModel |
| `FILE.onnx` | an ONNX model |
| `hf:OWNER/NAME[@REVISION]` | the ONNX file of a model on the Hugging Face hub |
| `kaggle:OWNER/MODEL/FRAMEWORK/VARIATION[/VERSION]` | the ONNX or Keras file or SavedModel of a model of Kaggle |

`FILE.onnx#OUTPUT` chooses one of several outputs. To add a kind, add a row to
`_KINDS` here and one to `convert._GRAPHS`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from pydantic import Field, ValidationError

from common.backbones.kaggle import kaggle_model, parse_kaggle_name
from common.backbones.names import find_architecture
from common.backbones.weights import Weights, parse_weights
from common.contracts.ids import Message, content_id
from common.errors import BackboneError
from common.settings import Settings

Triple = tuple[float, float, float]


class ModelKind(StrEnum):
    """The format that a model is stored in."""

    KERAS = "keras"
    """A model of keras.applications."""
    KERAS_FILE = "keras-file"
    SAVED_MODEL = "saved-model"
    ONNX = "onnx"


class Pixels(Message):
    """How a model expects its pixels: (x - mean) / scale per colour (red, green, blue), where x is 0 to 255."""

    mean: Triple
    scale: Triple


PIXELS = {
    "0..255": Pixels(mean=(0.0,) * 3, scale=(1.0,) * 3),
    "0..1": Pixels(mean=(0.0,) * 3, scale=(255.0,) * 3),
    "-1..1": Pixels(mean=(127.5,) * 3, scale=(127.5,) * 3),
    # Mean and standard deviation of ImageNet's images, which nearly all PyTorch models were trained with.
    "imagenet": Pixels(mean=(123.675, 116.28, 103.53), scale=(58.395, 57.12, 57.375)),
}
_HUB_FILES = ("onnx/model.onnx", "model.onnx")
_HUB_CONFIG = "preprocessor_config.json"
_SAVED_MODEL_FILE = "saved_model.pb"
_DIGEST_BYTES = 16


class Model(Message):
    """A backbone to be loaded, identified by its content."""

    kind: ModelKind
    name: str = Field(description="its name in feature specs; the same on every machine")
    identity: str = Field(description="digest of its content, its output and how it expects pixels")
    weights: str = Field("", description="of a model of keras.applications: `imagenet`, a file, or `random:SEED`")
    path: str = ""
    output: str = Field("", description="name of the output that is the embedding; empty: the only one")
    pixels: Pixels = PIXELS["0..255"]


def find_model(settings: Settings) -> Model:
    """Return the model that the settings name.

    Raises
    ------
    BackboneError
        If there is none of that name, or its file or weights cannot be read.
    """
    name, _, output = settings.backbone.strip().partition("#")
    for fits, find in _KINDS:
        if fits(name):
            model: Model = find(name, output, settings)
            return model
    raise AssertionError("the last kind accepts any name")


def is_unchanged(model: Model) -> bool:
    """Return whether what `model` names is still there with the same content."""
    try:
        if model.kind is ModelKind.KERAS:
            return _keras_identity(model.name, parse_weights(model.weights)) == model.identity
        return _file_identity(model.kind, Path(model.path), model.output, model.pixels) == model.identity
    except BackboneError:
        return False


def _keras_identity(name: str, weights: Weights) -> str:
    return f"{name} {weights.identity}"


def _keras(name: str, output: str, settings: Settings) -> Model:
    if "/" in name or "\\" in name:
        raise BackboneError(
            f"{name} is no .keras or .onnx file and no SavedModel folder: correct SENTINEL_BACKBONE, "
            "or name a model of keras.applications"
        )
    architecture = find_architecture(name.removeprefix("keras:"))
    weights = parse_weights(settings.weights)
    return Model(
        kind=ModelKind.KERAS,
        name=architecture.name,
        identity=_keras_identity(architecture.name, weights),
        weights=str(weights.path) if weights.path is not None else weights.identity,
    )


def _keras_file(name: str, output: str, settings: Settings) -> Model:
    return _of_file(ModelKind.KERAS_FILE, Path(name), output, _pixels(settings, "0..255"), settings)


def _saved_model(name: str, output: str, settings: Settings) -> Model:
    return _of_file(ModelKind.SAVED_MODEL, Path(name), output, _pixels(settings, "0..255"), settings)


def _onnx(name: str, output: str, settings: Settings) -> Model:
    return _of_file(ModelKind.ONNX, Path(name), output, _pixels(settings, "imagenet"), settings)


def _hub(name: str, output: str, settings: Settings) -> Model:
    """Return an ONNX model from the Hugging Face hub; what is in its local cache is not requested again."""
    repository, _, revision = name.removeprefix("hf:").partition("@")
    if repository.count("/") != 1 or not all(repository.split("/")):
        raise BackboneError(f"{name!r} names no model of the hub: write hf:owner/name, or hf:owner/name@revision")
    known = next((file for file in _HUB_FILES if _hub_file(repository, file, revision, kept=True)), None)
    here = known is not None
    files = (_hub_file(repository, file, revision, kept=here) for file in _HUB_FILES)
    path = next((file for file in files if file is not None), None)
    if path is None:
        raise BackboneError(
            f"{repository} holds no {' or '.join(_HUB_FILES)} on the Hugging Face hub: "
            "choose a model that was exported to ONNX, or export it and name the file"
        )
    beside = f"{path.parent.name}/" if path.parent.name == "onnx" else ""
    _hub_file(repository, f"{beside}{path.name}_data", revision, kept=here)  # a large model's numbers lie beside it
    config = _hub_file(repository, _HUB_CONFIG, revision, kept=here)
    pixels = _pixels(settings, "imagenet") if config is None or settings.pixels else _pixels_of(config)
    found = _of_file(ModelKind.ONNX, path, output, pixels, settings)
    return found.model_copy(update={"name": f"hf:{repository}"})


def _hub_file(repository: str, file: str, revision: str, *, kept: bool = False) -> Path | None:
    """Return a file of the hub, None if the repository has none of that name; `kept`: look in the local cache only."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(repository, file, revision=revision or None, local_files_only=kept))
    except LocalEntryNotFoundError as error:
        if kept:
            return None
        raise BackboneError(
            f"{repository} is not in the local cache and the Hugging Face hub does not answer: "
            "check the network, set HF_ENDPOINT, or download the ONNX file and name it"
        ) from error
    except EntryNotFoundError:
        return None
    except Exception as error:  # a repository that does not exist or is gated, a proxy that refuses
        raise BackboneError(
            f"{repository} cannot be downloaded from Hugging Face ({str(error).strip().splitlines()[0][:200]}): "
            "check SENTINEL_BACKBONE and the network, log in if it is gated, or download the ONNX file and name it"
        ) from error


def _kaggle(name: str, output: str, settings: Settings) -> Model:
    """Return a model of Kaggle; what is kept in the state folder is not requested again."""
    found = kaggle_model(parse_kaggle_name(name), settings.state_dir)
    path = str(found.path)
    find = _saved_model if found.path.is_dir() else _onnx if path.lower().endswith(".onnx") else _keras_file
    return find(path, output, settings).model_copy(update={"name": f"kaggle:{found.name}"})


_KINDS: tuple[tuple[Callable[[str], bool], Callable[[str, str, Settings], Model]], ...] = (
    (lambda name: name.startswith("hf:"), _hub),
    (lambda name: name.startswith("kaggle:"), _kaggle),
    (lambda name: name.lower().endswith(".onnx"), _onnx),
    (lambda name: name.lower().endswith(".keras"), _keras_file),
    (lambda name: Path(name).is_dir(), _saved_model),
    (lambda name: True, _keras),
)


def _of_file(kind: ModelKind, path: Path, output: str, pixels: Pixels, settings: Settings) -> Model:
    if "weights" in settings.model_fields_set and settings.weights != "imagenet":
        raise BackboneError(
            f"{path} carries its own weights: unset SENTINEL_WEIGHTS, or set SENTINEL_BACKBONE to the name of a model"
        )
    path = path.expanduser().resolve()
    identity = _file_identity(kind, path, output, pixels)
    return Model(
        kind=kind, name=f"{kind.value}:{path.stem}", identity=identity, path=str(path), output=output, pixels=pixels
    )


def _file_identity(kind: ModelKind, path: Path, output: str, pixels: Pixels) -> str:
    return content_id(kind.value, _content(path), output, pixels.to_json())


def _content(path: Path) -> str:
    """Return a digest of a model file and its data file, or of all files of a SavedModel."""
    if path.is_dir() and not (path / _SAVED_MODEL_FILE).is_file():
        raise BackboneError(
            f"{path} is no SavedModel (there is no {_SAVED_MODEL_FILE} in it): name the folder that Keras exported to"
        )
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    files += [p for p in (path.with_name(f"{path.name}_data"),) if p.is_file()]
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    try:
        for file in files:
            with file.open("rb") as opened:
                digest.update(file.relative_to(path.parent).as_posix().encode())
                digest.update(hashlib.file_digest(opened, "blake2b").digest())
    except OSError as error:
        raise BackboneError(
            f"backbone {path} cannot be read ({error.strerror or error}): correct SENTINEL_BACKBONE"
        ) from error
    return digest.hexdigest()


def _pixels(settings: Settings, default: str) -> Pixels:
    return PIXELS[settings.pixels or default]


def _pixels_of(config: Path) -> Pixels:
    """Return how a hub model's image processor scales pixels."""
    try:
        says = json.loads(config.read_text(encoding="utf-8"))
        factor = float(says.get("rescale_factor", 1 / 255)) if says.get("do_rescale", True) else 1.0
        mean, std = [0.0] * 3, [1.0] * 3
        if says.get("do_normalize", "image_mean" in says):
            mean, std = [float(m) for m in says["image_mean"]], [float(s) for s in says["image_std"]]
        scaled = {"mean": [m / factor for m in mean], "scale": [s / factor for s in std]}
        return Pixels.model_validate(scaled)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError, ValidationError) as error:
        raise BackboneError(
            f"{config} does not say how the model wants its pixels ({error!r}): set SENTINEL_PIXELS"
        ) from error
