"""A picture of what the models make of the worst, the median and the best example of each stretch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from common.features import FloatArray, Image
from common.models.comparing import Scores
from common.models.protocols import Examples, Predictor

_SIZE = (240, 135)  # width and height of a panel, pixels: a fault can be seen, and a picture stays below a megabyte
_LABEL = 18  # pixels, above each panel
_MOST_STRETCHES = 6
_FRAME_AXES = 5  # (n, 3, h, w, 3): examples that are three frames, of which the middle one is the truth
_PICTURE_AXES, _COLOURS = 3, 3  # (h, w, 3)
_WHITE, _BLACK = 255, 0


@dataclass(frozen=True, eq=False)
class Shown:
    """A stretch that is drawn: its held-out examples (n, ...), and the scores on them."""

    examples: Examples
    scores: Scores


def draw(
    shown: Mapping[str, Shown], champion: Predictor, challenger: Predictor, references: Mapping[str, Predictor]
) -> Image | None:
    """Return a picture (h, w, 3) uint8 RGB: a row for each example with truth, champion, challenger and references.

    Of many stretches the first six are drawn. There is no picture of examples that are not three frames, nor of
    predictions that are no pictures.

    Parameters
    ----------
    shown : by the name of the stretch
    """
    rows = []
    for name, stretch in list(shown.items())[:_MOST_STRETCHES]:
        if stretch.examples.ndim != _FRAME_AXES or not len(stretch.scores.order):
            return None
        for title, place in chosen(stretch.scores.gains_db).items():
            example = stretch.examples[stretch.scores.order[place]][None]
            panels = [_panel(f"{title} of {name}", example[0, 1])]
            predictors = {"champion": champion, "challenger": challenger, **references}
            for label, db in scores_of(stretch.scores, place).items():
                prediction = np.asarray(predictors[label].predict(example)[0])
                if prediction.ndim != _PICTURE_AXES or prediction.shape[-1] != _COLOURS:
                    return None
                panels.append(_panel(f"{label} {db:.2f} dB", prediction))
            rows.append(np.concatenate(panels, axis=1))
    return np.concatenate(rows) if rows else None


def first_picture(examples: Examples) -> Image | None:
    """Return the middle frame (h, w, 3) of the first of some examples; None if they are not three frames."""
    is_frames = examples.ndim == _FRAME_AXES and examples.shape[-1] == _COLOURS and len(examples) > 0
    return examples[0, 1] if is_frames else None


def chosen(gains_db: FloatArray) -> dict[str, int]:
    """Return which examples are drawn, by what they are in the order of their gains (n,).

    Examples
    --------
    >>> chosen(np.array([0.1, -2.0, 0.3, 0.5, 0.2], np.float32))
    {'worst': 1, 'median': 4, 'best': 3}
    """
    order = np.argsort(gains_db, kind="stable")
    return {"worst": int(order[0]), "median": int(order[len(order) // 2]), "best": int(order[-1])}


def scores_of(scores: Scores, place: int) -> dict[str, float]:
    """Return the score of each predictor on one example, dB, by its label."""
    rows = {"champion": scores.champion, "challenger": scores.challenger, **scores.references}
    return {label: float(row[place]) for label, row in rows.items()}


def png(picture: Image) -> bytes:
    """Return an RGB picture (h, w, 3) as PNG."""
    done, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not done:
        raise ValueError(f"a picture of shape {picture.shape} cannot be encoded")
    return data.tobytes()


def _panel(label: str, frame: npt.NDArray[np.uint8]) -> Image:
    """Return a frame (h, w, 3) at the size of a panel, with its label above, in the ASCII that OpenCV can draw."""
    width, height = _SIZE
    panel = np.full((height + _LABEL, width, 3), _WHITE, np.uint8)
    panel[_LABEL:] = cv2.resize(np.ascontiguousarray(frame), _SIZE, interpolation=cv2.INTER_AREA)
    text = label.encode("ascii", "replace").decode()
    cv2.putText(panel, text, (2, _LABEL - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (_BLACK,) * 3, 1, cv2.LINE_AA)
    return panel
