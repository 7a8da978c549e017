"""Reads ONNX models into OpenVINO, and adds the preparation of frames to their graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common.backbones.model_signature import ModelSignature, TensorSignature, find_signature
from common.backbones.models import Model
from common.backbones.openvino_engine import openvino
from common.errors import BackboneError

_TYPES = {"f32": "float32", "u8": "uint8", "f16": "float16", "f64": "float64", "i64": "int64", "i32": "int32"}


def read_graph(model: Model) -> tuple[Any, int]:
    """Return OpenVINO's graph of an ONNX file and the side of its images, in pixels.

    The graph turns uint8 RGB images (n, side, side, 3) into embeddings (n, d).

    Raises
    ------
    BackboneError
        If the file does not load, or does not turn one image into one embedding.
    """
    ov = openvino()
    try:
        graph = ov.Core().read_model(model.path)
    except RuntimeError as error:
        raise BackboneError(
            f"{model.path} does not load as ONNX ({_reason(error)}): it is damaged, cut short, or uses operators that "
            "OpenVINO does not know; export it again"
        ) from error
    name = Path(model.path).name
    inputs, outputs = ([_tensor_signature(tensor) for tensor in tensors] for tensors in (graph.inputs, graph.outputs))
    signature = find_signature(name, inputs, outputs, model.output)
    side = signature.side
    try:
        graph.reshape([-1, 3, side, side] if signature.channels_first else [-1, side, side, 3])
    except RuntimeError:
        # Exported for batches of one image, which is how frames are embedded anyway.
        graph.reshape([1, 3, side, side] if signature.channels_first else [1, side, side, 3])
    out = graph.outputs[signature.output].get_node().input_value(0)
    if signature.pooled:
        out = ov.opset13.reduce_mean(out, list(signature.pooled), keep_dims=False).output(0)
    cut = ov.Model([out], graph.get_parameters(), name)
    return _with_frame_input(cut, signature, model), side


def _with_frame_input(graph: Any, signature: ModelSignature, model: Model) -> Any:
    from openvino import Layout, Type
    from openvino.preprocess import PrePostProcessor

    steps = PrePostProcessor(graph)
    steps.input().tensor().set_element_type(Type.u8).set_layout(Layout("NHWC"))
    steps.input().model().set_layout(Layout("NCHW" if signature.channels_first else "NHWC"))
    if not signature.raw:
        scaled = steps.input().preprocess().convert_element_type(Type.f32)
        scaled.mean(list(model.pixels.mean)).scale(list(model.pixels.scale))
    steps.output().tensor().set_element_type(Type.f32)
    return steps.build()


def _tensor_signature(tensor: Any) -> TensorSignature:
    shape = tensor.get_partial_shape()
    axes = None if shape.rank.is_dynamic else tuple(None if axis.is_dynamic else axis.get_length() for axis in shape)
    kind = tensor.get_element_type().get_type_name()
    return TensorSignature(min(tensor.get_names(), default="?"), axes, _TYPES.get(kind, kind))


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:200]
