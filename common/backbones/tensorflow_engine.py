"""A backbone on a GPU: TensorFlow runs the Keras model, frozen to one graph."""

from __future__ import annotations

import os

import numpy as np

from common.backbones.backbone import INPUT_SIZE, PRECISION, Images, check_images
from common.backbones.names import Architecture
from common.backbones.weights import Weights
from common.contracts import FloatArray
from common.errors import BackboneError

_LARGEST_BATCH = 128


def claim_gpu() -> None:
    """Make TensorFlow ready to compute on a GPU beside other processes, exactly.

    Raises
    ------
    BackboneError
        If TensorFlow sees no GPU.
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
    # TF32 keeps 10 bits of a number's 23, so features would not be those of the CPU.
    tf.config.experimental.enable_tensor_float_32_execution(False)


class TensorFlowBackbone:
    """A Keras backbone on the device that TensorFlow prefers. Imports TensorFlow only when made: after the fork.

    Parameters
    ----------
    architecture, weights : what to load

    Raises
    ------
    BackboneError
        If the weights cannot be had.
    """

    def __init__(self, architecture: Architecture, weights: Weights) -> None:
        os.environ["KERAS_BACKEND"] = "tensorflow"
        import keras
        from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

        from common.backbones.keras_models import as_function, build_backbone

        keras.mixed_precision.set_dtype_policy("float32")
        model, self._digest = build_backbone(architecture, weights)
        self._name = architecture.name
        self._output_size = int(model.output_shape[-1])
        self._graph = convert_variables_to_constants_v2(as_function(model).get_concrete_function())

    @property
    def name(self) -> str:
        return self._name

    @property
    def weights_digest(self) -> str:
        return self._digest

    @property
    def precision(self) -> str:
        return PRECISION

    @property
    def input_size(self) -> int:
        return INPUT_SIZE

    @property
    def output_size(self) -> int:
        return self._output_size

    def embed(self, images: Images) -> FloatArray:
        """Return (n, d) float32 for (n, side, side, 3) uint8 RGB images."""
        check_images(images, self.input_size)
        batches = [self._embed_batch(images[i : i + _LARGEST_BATCH]) for i in range(0, len(images), _LARGEST_BATCH)]
        return np.concatenate(batches) if batches else np.zeros((0, self.output_size), np.float32)

    def _embed_batch(self, images: Images) -> FloatArray:
        import tensorflow as tf

        # Each new shape costs a search for its fastest kernels, so batches are filled up to a power of two.
        size = 1 << (len(images) - 1).bit_length()
        filled = np.zeros((size, *images.shape[1:]), np.uint8)
        filled[: len(images)] = images
        (embedding,) = self._graph(tf.constant(filled))
        return np.asarray(embedding, np.float32)[: len(images)]
