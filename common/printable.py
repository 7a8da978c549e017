"""Text from outside, made fit to be shown on a terminal, in a log, on a page or in Markdown.

Names of streams, files and cameras, reasons and error messages are written by others. A character that a terminal
obeys instead of showing (an escape sequence, a line break, a change of the writing direction) is written as the escape
that Python would use for it, so that what a reader sees is what is there.
"""

from __future__ import annotations

import json
import unicodedata

_LINE_SEPARATORS = ("Zl", "Zp")
_JSON_WHITESPACE = "\n "


def _shows(character: str) -> bool:
    """Return whether a terminal shows `character`: no control, format, surrogate, private or unassigned one does."""
    category = unicodedata.category(character)
    return not category.startswith("C") and category not in _LINE_SEPARATORS


def printable(text: str) -> str:
    r"""Return `text` with every character that is obeyed instead of shown written as an escape.

    Line breaks are among them, so the result is always one line.

    Examples
    --------
    >>> printable("cam\x1b[2J\n\u202e7")
    'cam\\x1b[2J\\n\\u202e7'
    """
    if text.isprintable():
        return text
    return "".join(c if _shows(c) else c.encode("unicode_escape").decode("ascii") for c in text)


def printable_json(document: str) -> str:
    r"""Return a JSON document that means the same, with such characters in its strings written as JSON escapes.

    Examples
    --------
    >>> printable_json('{"stream": "\x9b2J"}')
    '{"stream": "\\u009b2J"}'
    """
    if document.isprintable():
        return document
    return "".join(c if c in _JSON_WHITESPACE or _shows(c) else json.dumps(c)[1:-1] for c in document)


def markdown(text: str) -> str:
    r"""Return `text` as Markdown shows it as it is: on one line, without a link, a mention, an emoji or a column's end.

    Everything but letters, digits and blanks is written as a character reference, which no Markdown takes for markup.

    Examples
    --------
    >>> markdown("a|b *c*")
    '<code>a&#124;b &#42;c&#42;</code>'
    """
    shown = "".join(c if c.isalnum() or c == " " else f"&#{ord(c)};" for c in printable(text))
    return f"<code>{shown}</code>"


def encodable(text: str) -> str:
    r"""Return `text` as UTF-8 can encode it: the bytes of a file name that are no UTF-8 are written as escapes.

    Examples
    --------
    >>> encodable("clip\udcff.mp4")
    'clip\\udcff.mp4'
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
