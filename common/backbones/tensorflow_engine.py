"""A backbone on a GPU: TensorFlow runs the Keras model, frozen to one graph."""

from __future__ import annotations

import os

import numpy as np

from common.backbones.backbone import Images, Precision, check_images
from common.backbones.models import Model, ModelKind
from common.errors import BackboneError
from common.features import FloatArray

_LARGEST_BATCH = 128


def claim_gpu() -> None:
    """Prepare TensorFlow to share a GPU with other processes and to compute at full f32 precision.

    Raises
    ------
    BackboneError
        If TensorFlow finds no GPU.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        raise BackboneError(
            "TensorFlow sees no GPU: install its CUDA libraries (pip install 'tensorflow[and-cuda]'), "
            "or set SENTINEL_DEVICE=cpu"
        )
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)  # several processes share one GPU
    # TF32 keeps 10 of the 23 mantissa bits, so features would differ from those of a CPU.
    tf.config.experimental.enable_tensor_float_32_execution(False)


class TensorFlowBackbone:
    """A backbone on the device that TensorFlow prefers. TensorFlow is imported when it is created, after the fork.

    Parameters
    ----------
    model : what to load
    precision : f32, or bf16 (Keras' mixed precision: weights in f32, most arithmetic in bf16)

    Raises
    ------
    BackboneError
        If the model is unavailable, or TensorFlow does not run it in that precision.
    """

    def __init__(self, model: Model, precision: Precision) -> None:
        if model.kind is ModelKind.ONNX:
            raise BackboneError(
                f"{model.name} is an ONNX model, which TensorFlow does not run: set SENTINEL_DEVICE=cpu"
            )
        if precision == "int8" or (precision == "bf16" and model.kind is not ModelKind.KERAS):
            raise BackboneError(
                f"TensorFlow does not run {model.name} in {precision}: set SENTINEL_DEVICE=cpu, or use f32"
            )
        os.environ["KERAS_BACKEND"] = "tensorflow"
        import keras
        from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

        from common.backbones.keras_models import load_function

        keras.mixed_precision.set_dtype_policy("mixed_bfloat16" if precision == "bf16" else "float32")
        loaded = load_function(model)
        self._name, self._digest, self._side, self._precision = model.name, loaded.digest, loaded.side, precision
        self._graph = convert_variables_to_constants_v2(loaded.function.get_concrete_function())
        self._output_size = int(self._graph.outputs[0].shape[-1])

    @property
    def name(self) -> str:
        return self._name

    @property
    def weights_digest(self) -> str:
        return self._digest

    @property
    def precision(self) -> Precision:
        return self._precision

    @property
    def input_size(self) -> int:
        return self._side

    @property
    def output_size(self) -> int:
        return self._output_size

    @property
    def batch(self) -> int:
        return _LARGEST_BATCH

    @property
    def offloaded(self) -> bool:
        return True

    def embed(self, images: Images) -> FloatArray:
        """Return (n, d) float32 for (n, side, side, 3) uint8 RGB images."""
        check_images(images, self.input_size)
        batches = [self._embed_batch(images[i : i + _LARGEST_BATCH]) for i in range(0, len(images), _LARGEST_BATCH)]
        return np.concatenate(batches) if batches else np.zeros((0, self.output_size), np.float32)

    def _embed_batch(self, images: Images) -> FloatArray:
        import tensorflow as tf

        # TensorFlow searches for the fastest kernels for each new shape, so batches are padded to powers of two.
        size = 1 << (len(images) - 1).bit_length()
        filled = np.zeros((size, *images.shape[1:]), np.uint8)
        filled[: len(images)] = images
        (embedding,) = self._graph(tf.constant(filled))
        return np.asarray(embedding, np.float32)[: len(images)]
