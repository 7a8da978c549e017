"""Builds backbones in Keras. Imports TensorFlow: for the converter's process and GPU workers only."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from common.backbones.backbone import INPUT_SIZE
from common.backbones.model_signature import ModelSignature, TensorSignature, find_signature
from common.backbones.models import Model, ModelKind
from common.backbones.names import Architecture, find_architecture
from common.backbones.weights import Weights, WeightsKind, parse_weights
from common.contracts.ids import content_id
from common.errors import BackboneError
from common.features import FloatArray

_DIGEST_BYTES = 16


@dataclass(frozen=True)
class Loaded:
    """A model in TensorFlow.

    Attributes
    ----------
    function : a tf.function from uint8 RGB images (n, side, side, 3) to embeddings (n, d) float32, for any n
    side : side of the images, in pixels
    digest : of the weights
    """

    function: Any
    side: int
    digest: str


def load_function(model: Model) -> Loaded:
    """Load a model of keras.applications, a `.keras` file or a SavedModel.

    Raises
    ------
    BackboneError
        If it is unavailable, or does not turn one image into one embedding.
    """
    if model.kind is ModelKind.KERAS:
        built, digest = build_backbone(find_architecture(model.name), parse_weights(model.weights))
        return Loaded(as_function(built), INPUT_SIZE, digest)
    loaded = _load_keras_file(model) if model.kind is ModelKind.KERAS_FILE else _load_saved_model(model)
    function, inputs, outputs = loaded
    signature = find_signature(Path(model.path).name, inputs, outputs, model.output)
    return Loaded(_with_frame_input(function, signature, model), signature.side, model.identity)


def _with_frame_input(function: Callable[[tf.Tensor], list[tf.Tensor]], signature: ModelSignature, model: Model) -> Any:
    """Return a tf.function that prepares uint8 frames as the model expects them and averages its embedding."""
    mean, scale = (np.array(values, np.float32) for values in (model.pixels.mean, model.pixels.scale))

    def embed(images: tf.Tensor) -> tf.Tensor:
        pixels = images if signature.raw else (tf.cast(images, tf.float32) - mean) / scale
        if signature.channels_first:
            pixels = tf.transpose(pixels, (0, 3, 1, 2))
        embedding = function(pixels)[signature.output]
        return tf.cast(tf.reduce_mean(embedding, signature.pooled) if signature.pooled else embedding, tf.float32)

    frames = tf.TensorSpec((None, signature.side, signature.side, 3), tf.uint8, name="images")
    return tf.function(embed, input_signature=[frames])


_WithSignatures = tuple[Callable[[tf.Tensor], list[tf.Tensor]], list[TensorSignature], list[TensorSignature]]


def _load_keras_file(model: Model) -> _WithSignatures:
    try:
        # Safe mode: a file must not bring code of its own.
        loaded = keras.models.load_model(model.path, compile=False, safe_mode=True)
        inputs, outputs = (
            [TensorSignature(tensor.name, tuple(tensor.shape), tensor.dtype) for tensor in tensors]
            for tensors in (loaded.inputs, loaded.outputs)
        )
    # Whatever an untrusted file makes the reader raise, the answer is the same.
    except Exception as error:
        raise BackboneError(
            f"{model.path} does not load as a Keras model ({_first_line(error)}): it is damaged, or needs code that is "
            "not in it; save it again with model.save, or export it to ONNX"
        ) from error
    names = list(getattr(loaded, "output_names", []))
    if names:
        outputs = [replace(tensor, name=name) for tensor, name in zip(outputs, names, strict=False)]

    def call(pixels: tf.Tensor) -> list[tf.Tensor]:
        return list(keras.tree.flatten(loaded(pixels, training=False)))

    return call, inputs, outputs


def _load_saved_model(model: Model) -> _WithSignatures:
    try:
        loaded = tf.saved_model.load(model.path)
        signature = loaded.signatures["serving_default"]
    except Exception as error:
        raise BackboneError(
            f"{model.path} does not load as a SavedModel with a serving signature ({_first_line(error)}): "
            "export it again with model.export"
        ) from error
    inputs = signature.structured_input_signature[1]
    names = list(signature.structured_outputs)

    def call(pixels: tf.Tensor) -> list[tf.Tensor]:
        given = loaded.signatures["serving_default"](**{next(iter(inputs)): pixels})
        return [given[name] for name in names]

    return (
        call,
        [_tensor_signature(name, spec) for name, spec in inputs.items()],
        [_tensor_signature(name, spec) for name, spec in signature.structured_outputs.items()],
    )


def _tensor_signature(name: str, spec: tf.TensorSpec) -> TensorSignature:
    shape = None if spec.shape.rank is None else tuple(spec.shape.as_list())
    return TensorSignature(name, shape, spec.dtype.name)


def build_backbone(architecture: Architecture, weights: Weights) -> tuple[keras.Model, str]:
    """Return a Keras model from uint8 RGB images to embeddings, and the digest of its weights.

    The family's own `preprocess_input` is part of the model, so that every caller applies it.

    Raises
    ------
    BackboneError
        If the weights are unavailable or belong to another model.
    """
    core = _build_core(architecture, weights)
    family = getattr(keras.applications, architecture.family)
    images = keras.Input((INPUT_SIZE, INPUT_SIZE, 3), dtype="uint8", name="images")
    prepared = family.preprocess_input(keras.ops.cast(images, "float32"))
    model = keras.Model(images, core(prepared, training=False))
    digest = weights_digest(core)
    if weights.kind is not WeightsKind.RANDOM:
        return model, digest
    exponent = _size_exponent(model)
    scaled = keras.Model(images, keras.layers.Rescaling(2.0**-exponent)(model.output))
    return scaled, content_id(digest, exponent)


def as_function(model: keras.Model) -> Any:
    """Return `model` as a graph from uint8 images (n, INPUT_SIZE, INPUT_SIZE, 3), for any n."""
    signature = tf.TensorSpec((None, INPUT_SIZE, INPUT_SIZE, 3), tf.uint8, name="images")
    # In mixed precision the last layer returns bfloat16.
    return tf.function(lambda images: tf.cast(model(images, training=False), tf.float32), input_signature=[signature])


def weights_digest(model: keras.Model) -> str:
    """Return a digest of a model's weights: the name, shape and values of each, in the model's order.

    Layer names are left out, because Keras numbers them consecutively within a process.
    """
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for variable in model.weights:
        values = np.ascontiguousarray(variable.numpy(), np.float32)
        digest.update(f"{variable.name} {values.shape}\n".encode())
        digest.update(values.astype("<f4", copy=False).tobytes())
    return digest.hexdigest()


def _build_core(architecture: Architecture, weights: Weights) -> keras.Model:
    build = getattr(keras.applications, architecture.function)
    shape = (INPUT_SIZE, INPUT_SIZE, 3)
    if weights.kind is WeightsKind.IMAGENET:
        try:
            return build(include_top=False, weights="imagenet", input_shape=shape, pooling="avg")
        # Keras raises a bare Exception when a download fails, and h5py's own errors for a damaged file.
        except Exception as error:
            raise BackboneError(
                f"ImageNet weights of {architecture.name} could not be downloaded or read ({_first_line(error)}): "
                "set SENTINEL_WEIGHTS to a weights file or to random:SEED, "
                "or delete a damaged download from ~/.keras/models"
            ) from error
    core = build(include_top=False, weights=None, input_shape=shape, pooling="avg")
    if weights.path is not None:
        _load_file(core, weights.path, architecture)
    else:
        _seed_weights(core, weights.seed)
    return core


def _load_file(core: keras.Model, path: Path, architecture: Architecture) -> None:
    try:
        core.load_weights(path)
    # Whatever an untrusted file makes the reader raise, the answer is the same.
    except Exception as error:
        raise BackboneError(
            f"{path} does not hold weights of {architecture.name} without its top ({_first_line(error)}): "
            "set SENTINEL_WEIGHTS to a Keras .weights.h5 file of that model, or SENTINEL_BACKBONE to its model"
        ) from error


def _seed_weights(core: keras.Model, seed: int) -> None:
    """Fill every kernel with seeded values, equal on every machine; leave biases and norms as they were built.

    The last bits of Keras' own initial values depend on the processor. Their size
    (Glorot) lets the signal of a deep network vanish: embeddings of MobileNetV2 are
    about 1e-11, which is zero at half precision. These values are uniform with
    variance 2 / fan_in, which preserves the signal's size through rectified layers
    (He et al. 2015, arXiv:1502.01852, equation 10).
    """
    numbers = np.random.Generator(np.random.PCG64(seed))
    for layer in core._flatten_layers(include_self=False, recursive=True):
        depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        for variable in layer.trainable_weights if not getattr(layer, "layers", None) else []:
            if len(variable.shape) > 1:
                variable.assign(_he_uniform(numbers, variable, depthwise or variable.name == "depthwise_kernel"))


def _size_exponent(model: keras.Model) -> int:
    """Return the exponent of the power of two nearest to the root mean square of a seeded model's embeddings.

    Embeddings of seeded residual networks reach 1e6 and those of efficient ones
    1e-5. Features are stored at half precision, which holds neither.
    """
    grey = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (4, 7, 7, 3), dtype=np.uint8)
    images = grey.repeat(INPUT_SIZE // 7, axis=1).repeat(INPUT_SIZE // 7, axis=2)
    size = float(np.sqrt(np.mean(np.square(np.asarray(model(images, training=False), np.float64)))))
    return round(math.log2(size)) if 0.0 < size < math.inf else 0


def _he_uniform(numbers: np.random.Generator, variable: keras.Variable, depthwise: bool) -> FloatArray:
    shape = tuple(int(side) for side in variable.shape)
    # A depthwise filter sums over its own channel only.
    fan_in = int(np.prod(shape[:2])) if depthwise else int(np.prod(shape[:-1]))
    limit = np.sqrt(6.0 / fan_in)
    return np.asarray((2.0 * numbers.random(shape) - 1.0) * limit, np.float32)


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300]
