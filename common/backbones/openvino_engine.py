"""A backbone on a CPU: OpenVINO runs the converted model, several times faster than Keras."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import cast

import numpy as np

from common.backbones.backbone import BackboneCard, Images, Precision, check_images
from common.errors import BackboneError
from common.features import FloatArray

_BATCH = 32  # images per call: a larger number takes more memory and is no faster


@cache
def openvino() -> ModuleType:
    """Import OpenVINO without the telemetry that its import would send.

    OpenVINO falls back to a stub where its telemetry package is missing. A None in
    `sys.modules` makes it missing for this process only.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino as module

    return cast(ModuleType, module)


class OpenVinoBackbone:
    """A converted backbone.

    Frames are embedded one at a time. Larger batches are no faster (one thread: 200
    frames per second at batch 1, 176 at batch 8), and an embedding then cannot depend
    on which frames it was computed with. The caller's thread computes them: passing
    them to another thread costs a twentieth of the processor time.

    Parameters
    ----------
    model : the converted model's .xml file
    card : its description
    threads : number of processor threads to use
    precision : the arithmetic to compute in; a model in int8 was quantised when it was converted

    Raises
    ------
    BackboneError
        If OpenVINO does not load the model.
    """

    def __init__(self, model: Path, card: BackboneCard, *, threads: int, precision: Precision) -> None:
        ov = openvino()
        self.card = card
        self._precision = precision
        core = ov.Core()
        try:
            graph = core.read_model(model)
            graph.reshape([1, card.input_size, card.input_size, 3])
            compiled = core.compile_model(graph, "CPU", _compile_options(threads, precision))
        except RuntimeError as error:
            raise BackboneError(
                f"{model} does not load in OpenVINO ({str(error).strip().splitlines()[-1]}): delete {model.parent}"
            ) from error
        self._request = compiled.create_infer_request()
        self._frame = self._request.get_input_tensor().data
        self._embedding = self._request.get_output_tensor().data

    @property
    def name(self) -> str:
        return self.card.name

    @property
    def weights_digest(self) -> str:
        return self.card.weights_digest

    @property
    def precision(self) -> Precision:
        return self._precision

    @property
    def input_size(self) -> int:
        return self.card.input_size

    @property
    def output_size(self) -> int:
        return self.card.output_size

    @property
    def batch(self) -> int:
        return _BATCH

    @property
    def offloaded(self) -> bool:
        return False

    def embed(self, images: Images) -> FloatArray:
        """Return (n, d) float32 for (n, side, side, 3) uint8 RGB images."""
        check_images(images, self.input_size)
        out = np.empty((len(images), self.output_size), np.float32)
        for number, image in enumerate(images):
            self._frame[0] = image
            self._request.infer()
            out[number] = self._embedding[0]
        return out


def require_precision(precision: Precision) -> None:
    """Raise `BackboneError` if this machine's processor does not support `precision`."""
    if precision == "bf16" and "BF16" not in openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise BackboneError(
            "bf16 was asked for, but this machine's processor does not compute in it: use a machine with AVX512-BF16 "
            "or AMX, or build a baseline with SENTINEL_PRECISION=f32"
        )


def _compile_options(threads: int, precision: Precision) -> dict[str, str | int | bool]:
    return {
        # Where a processor has bf16, OpenVINO would choose it by itself: results would differ between machines.
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        # Several processes that each pin their threads would pin them to the same cores.
        "ENABLE_CPU_PINNING": False,
    }
