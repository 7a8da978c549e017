"""The columns of the vitals of a recording, and the smallest changes that matter."""

from __future__ import annotations

_MINIMUM_EFFECTS = {
    # Natural log of the longest interval between consecutive frames, s. A window fails beyond 1.43 times that: at 2.2
    # times golden's interval, so that half and twice the rate pass.
    "gap": 0.56,
    # Share of the frames that would have come at the rhythm of those around.
    "missing_frames": 0.03,
    # Natural log of the seconds between key frames. Encoders count frames: that of a slow camera, encoded again, may
    # send one every fifty seconds in place of every second.
    "key_interval": 2.8,
    # Natural log of the bytes per second. Busy hours change them tenfold, re-encoding nearly without loss fortyfold.
    "bit_rate": 3.0,
    # Share of the frames that are corrupt or could not be decoded, of those that had to be decoded.
    "decode_errors": 0.02,
}
VITALS_COLUMNS = tuple(_MINIMUM_EFFECTS)
VITALS_MINIMUM_EFFECTS = tuple(_MINIMUM_EFFECTS.values())
