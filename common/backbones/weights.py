"""The weights of a model of keras.applications: `imagenet`, a file, or `random:SEED`."""

from __future__ import annotations

import hashlib
import os
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from common.errors import BackboneError

# What Keras downloads for the default backbone, and from where. A test compares both with the installed Keras.
IMAGENET_URL = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/"
IMAGENET_FILE = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"

DEFAULT_ARCHITECTURE = "mobilenet_v2"

_LARGEST_SEED = 2**32 - 1
_DIGEST_BYTES = 16


class WeightsKind(StrEnum):
    """Where weights come from."""

    IMAGENET = "imagenet"
    RANDOM = "random"
    FILE = "file"


@dataclass(frozen=True)
class Weights:
    """A parsed `SENTINEL_WEIGHTS`.

    Attributes
    ----------
    kind : where they come from
    identity : tells weights apart before they are loaded; a file is identified by its content, not its name
    seed : of seeded weights
    path : of a weights file
    """

    kind: WeightsKind
    identity: str
    seed: int = 0
    path: Path | None = None


def parse_weights(setting: str) -> Weights:
    """Parse `imagenet`, `random:SEED` or the path of a Keras weights file.

    Raises
    ------
    BackboneError
        If the seed is not a number, or the file cannot be read.
    """
    if setting == WeightsKind.IMAGENET:
        return Weights(WeightsKind.IMAGENET, "imagenet")
    kind, _, seed = setting.partition(":")
    if kind == WeightsKind.RANDOM:
        if not (seed.isascii() and seed.isdigit()) or int(seed) > _LARGEST_SEED:
            raise BackboneError(
                f"SENTINEL_WEIGHTS={setting!r} has no seed: write random:SEED, a whole number up to {_LARGEST_SEED}"
            )
        return Weights(WeightsKind.RANDOM, f"random:{int(seed)}", seed=int(seed))
    path = Path(setting).expanduser()
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=_DIGEST_BYTES))
    except OSError as error:
        raise BackboneError(
            f"weights file {path} cannot be read ({error.strerror or error}): "
            "set SENTINEL_WEIGHTS to a Keras weights file, to imagenet or to random:SEED"
        ) from error
    return Weights(WeightsKind.FILE, f"file:{digest.hexdigest()}", path=path.resolve())


def imagenet_available(timeout_seconds: float, architecture: str = DEFAULT_ARCHITECTURE) -> bool:
    """Return whether ImageNet weights of `architecture` are to hand: Keras has the file, or its host answers.

    It imports no library and downloads nothing. It returns within about `timeout_seconds`, even where a name server
    does not answer.
    """
    home = Path(os.environ.get("KERAS_HOME") or Path("~/.keras").expanduser())
    if any(_is_weights_file(path.name, architecture) for path in (home / "models").glob("*.h5")):
        return True
    answers: list[bool] = []
    # A thread, because a name lookup has no time limit.
    asking = threading.Thread(
        target=lambda: answers.append(_host_has(IMAGENET_URL + IMAGENET_FILE, timeout_seconds)), daemon=True
    )
    asking.start()
    asking.join(timeout_seconds)
    return bool(answers) and answers[0]


def _is_weights_file(file: str, architecture: str) -> bool:
    """Return whether Keras may have downloaded `file` for `architecture`.

    Keras spells names in many ways (`efficientnetv2-b0_notop.h5`). A wrong yes costs an attempt that fails.
    """
    plain, wanted = ("".join(filter(str.isalnum, name.lower())) for name in (file, architecture))
    return wanted in plain and "notop" in plain


def _host_has(url: str, timeout_seconds: float) -> bool:
    try:
        request = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(request, timeout=timeout_seconds) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError, urllib.error.URLError):
        return False
