"""The backbones that can be named without a file: those of keras.applications.

The table is written out so that a worker that runs a cached model knows the
names without importing Keras. A test compares it with the installed Keras.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from common.errors import BackboneError

_SUGGESTIONS = 3


@dataclass(frozen=True)
class Architecture:
    """A model of keras.applications.

    Attributes
    ----------
    name : canonical name, as feature specs carry it
    function : name of its builder in `keras.applications`
    family : module of `keras.applications` with the `preprocess_input` that it was trained with
    """

    name: str
    function: str
    family: str


def _series(stem: str, function: str, family: str, sizes: str) -> list[Architecture]:
    return [Architecture(f"{stem}{size.lower()}", f"{function}{size}", family) for size in sizes.split()]


_ALL = [
    *[Architecture(f"convnext_{size.lower()}", f"ConvNeXt{size}", "convnext") for size in
      ("Tiny", "Small", "Base", "Large", "XLarge")],
    *_series("densenet", "DenseNet", "densenet", "121 169 201"),
    *_series("efficientnet_", "EfficientNet", "efficientnet", "B0 B1 B2 B3 B4 B5 B6 B7"),
    *_series("efficientnet_v2_", "EfficientNetV2", "efficientnet_v2", "B0 B1 B2 B3 S M L"),
    Architecture("inception_resnet_v2", "InceptionResNetV2", "inception_resnet_v2"),
    Architecture("inception_v3", "InceptionV3", "inception_v3"),
    Architecture("mobilenet", "MobileNet", "mobilenet"),
    Architecture("mobilenet_v2", "MobileNetV2", "mobilenet_v2"),
    *_series("mobilenet_v3_", "MobileNetV3", "mobilenet_v3", "Small Large"),
    *_series("nasnet_", "NASNet", "nasnet", "Mobile Large"),
    *_series("resnet", "ResNet", "resnet", "50 101 152"),
    *[Architecture(f"resnet{depth}_v2", f"ResNet{depth}V2", "resnet_v2") for depth in (50, 101, 152)],
    Architecture("vgg16", "VGG16", "vgg16"),
    Architecture("vgg19", "VGG19", "vgg19"),
    Architecture("xception", "Xception", "xception"),
]  # fmt: skip
ARCHITECTURES = {architecture.name: architecture for architecture in _ALL}


def find_architecture(name: str) -> Architecture:
    """Return the architecture called `name`, in snake_case or as Keras writes it.

    Raises
    ------
    BackboneError
        If there is none; the message suggests the nearest names.

    Examples
    --------
    >>> find_architecture("MobileNetV2").name
    'mobilenet_v2'
    """
    simplified = {_simplify(known): architecture for known, architecture in ARCHITECTURES.items()}
    wanted = _simplify(name)
    if wanted in simplified:
        return simplified[wanted]
    near = difflib.get_close_matches(wanted, simplified, n=_SUGGESTIONS, cutoff=0.0)
    raise BackboneError(
        f"no backbone is called {name!r}: set SENTINEL_BACKBONE to a model of keras.applications, "
        f"for example {', '.join(simplified[match].name for match in near)}"
    )


def _simplify(name: str) -> str:
    """Return `name` without what does not tell two models apart: case, underscores and dashes."""
    return name.strip().lower().replace("_", "").replace("-", "")
