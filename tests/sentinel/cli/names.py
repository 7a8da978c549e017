"""Names as an attacker chooses them: markup, escapes, and characters that rearrange what stands around them."""

from __future__ import annotations

import os

from hypothesis import strategies as st

from common.printable import printable

FRAGMENTS = (
    "[red]", "[/red]", "[/]", "[link=http://x]", "[bold", "]", ":warning:", "\x1b[2J", "\x1b]0;title\x07", "\x9b31m",
    "\n", "\r", "\t", "\x00", "\x7f", "\u202e", "\u2066", "\u200b", "\u2028", "\ufeff", "\U000e0001", "{0}", "%s",
    "{task.description}", "<script>alert(1)</script>", "&amp;", "'", '"', "{{ 7 * 7 }}", "東京", "שלום", "é", "👩‍👧",
    "-", "--json", " ", "x" * 200, "/", "\\",
)  # fmt: skip

names = (
    st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=4), min_size=1, max_size=6)
    .map("".join)
    .filter(lambda name: all(not "\ud800" <= c <= "\udfff" for c in name))
)
"""Names that travel: any text that UTF-8 can encode."""

WORST = "[/red]\x1b[2J\x9b1m\u202e:warning:{0}<b>\n"


def as_file_name(name: str) -> str:
    """Return `name` as a file can be called: no separator, no NUL, at most 255 bytes, cut where it may."""
    encoded = os.fsencode(name.replace("/", "_").replace("\x00", "_").encode("utf-8", "surrogateescape"))[:255]
    fitting = os.fsdecode(encoded)
    return "_" if fitting in {"", ".", ".."} else fitting


file_names = st.lists(
    st.sampled_from((*FRAGMENTS, "\udcff", "\udc80")) | st.text(max_size=4), min_size=1, max_size=6
).map(lambda parts: as_file_name("".join(c for c in "".join(parts) if not "\ud800" <= c < "\udc80")))
"""Names that a file can have, bytes that are no UTF-8 among them."""


def obeyed(text: str) -> str:
    """Return the characters of `text` that a terminal would obey, line ends aside."""
    return "".join(c for c in text if c != "\n" and printable(c) != c)
