"""Text from outside: shown, never obeyed, and the same to a program."""

from __future__ import annotations

import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from common.printable import encodable, printable, printable_json

any_text = st.text(st.characters())


@given(any_text)
def test_nothing_printable_is_a_control_character(text: str) -> None:
    shown = printable(text)
    assert not any(unicodedata.category(c)[0] == "C" or unicodedata.category(c) in {"Zl", "Zp"} for c in shown)
    shown.encode("utf-8")


@given(any_text)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    ordinary = "".join(c for c in text if c.isprintable())
    assert printable(ordinary) == ordinary
    assert printable(printable(text)) == printable(text)


def test_names_in_any_script_are_left_alone() -> None:
    for name in ("Hof 3", "東京 駅", "שלום", "é", "[red]", ":warning:", "5\N{NO-BREAK SPACE}km"):
        assert printable(name) == name


@given(
    st.recursive(st.text(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))
)
def test_a_json_document_means_the_same_and_obeys_nothing(value: object) -> None:
    for document in (json.dumps(value, ensure_ascii=False), json.dumps(value, ensure_ascii=False, indent=1)):
        shown = printable_json(document)
        assert json.loads(shown) == json.loads(document)
        assert printable(shown.replace("\n", "")) == shown.replace("\n", "")


@given(any_text)
def test_encodable_text_is_utf8(text: str) -> None:
    assert encodable(text).encode("utf-8").decode("utf-8") == encodable(text)
