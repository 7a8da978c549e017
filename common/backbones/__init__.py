"""Embedding models of Keras, ONNX, Hugging Face and Kaggle, run by OpenVINO on a CPU and TensorFlow on a GPU."""

from common.backbones.backbone import Backbone, BackboneCard
from common.backbones.loading import load_backbone
from common.backbones.weights import imagenet_available

__all__ = ["Backbone", "BackboneCard", "imagenet_available", "load_backbone"]
