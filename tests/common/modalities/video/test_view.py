"""The view: the same scene gives the same small picture, whatever the resolution."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from common.modalities.video.frame_converter import StillPicture
from common.modalities.video.groups import VIEW_HEADER, VIEW_PIXELS
from common.modalities.video.view import view_of, view_size
from tests.common.modalities.video.test_sensors import picture


@given(st.integers(16, 8000), st.integers(16, 8000))
def test_any_frame_has_a_small_picture_that_fits(width: int, height: int) -> None:
    across, down = view_size(width, height)
    assert 1 <= across <= 255
    assert 1 <= down <= 255
    assert across * down <= VIEW_PIXELS


def test_the_view_of_half_the_resolution_is_the_same() -> None:
    large = cv2.GaussianBlur(picture(size=(640, 480)), (0, 0), 3)
    views = [
        view_of(StillPicture(np.asarray(image, np.uint8)).planes())
        for image in (large, cv2.resize(large, (320, 240), interpolation=cv2.INTER_AREA))
    ]
    assert views[0].shape == (VIEW_HEADER + VIEW_PIXELS,)
    np.testing.assert_array_equal(views[0][:VIEW_HEADER], views[1][:VIEW_HEADER])
    assert np.abs(views[0] - views[1]).mean() < 2.5  # grey levels
    assert np.array_equal(views[0], np.rint(views[0]))
