"""The part of GitHub's expressions that the workflows under deploy/github/ use. Whatever else one says is an error.

Values are those of GitHub: strings, numbers, truth values, null. `==` compares strings without case, and values of
different types as numbers; `&&` and `||` return one of their operands.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Value = str | float | bool | None
Context = Mapping[str, object]

_TOKEN = re.compile(r"\s*(?:('(?:[^']|'')*')|(&&|\|\||==|!=|[!()])|([A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*))")
_PLACE = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)


class UnknownExpression(Exception):
    """An expression that is not understood here, or a name that nothing has."""


class Open(dict[str, object]):
    """A context in which a name that is missing is null, as in GitHub's; in any other it is taken for a mistake."""


@dataclass(frozen=True)
class State:
    """What the functions of a condition look at."""

    failed: bool = False
    cancelled: bool = False


_FUNCTIONS: Mapping[str, Callable[[State], bool]] = {
    "always": lambda state: True,
    "cancelled": lambda state: state.cancelled,
    "failure": lambda state: state.failed and not state.cancelled,
    "success": lambda state: not state.failed and not state.cancelled,
}


def interpolated(text: object, context: Context) -> str:
    """Return `text` with the value of each `${{ }}` in its place."""
    return _PLACE.sub(lambda found: _text(_Parser(found[1], context, State()).whole()), _plain(text))


def holds(condition: str | None, context: Context, state: State) -> bool:
    """Return whether the `if:` of a job or step holds. One that asks for no state also wants success, as none does."""
    if condition is None:
        return _FUNCTIONS["success"](state)
    place = _PLACE.fullmatch(condition)
    if place is None:
        raise UnknownExpression(f"write a condition as ${{{{ }}}}: {condition!r}")
    parser = _Parser(place[1], context, state)
    value = _true(parser.whole())
    return value and (parser.asked_for_state or _FUNCTIONS["success"](state))


class _Parser:
    """Recursive descent: or, and, equality, not, parentheses, names and literals."""

    def __init__(self, text: str, context: Context, state: State) -> None:
        self._tokens = _tokens(text)
        self._context = context
        self._state = state
        self.asked_for_state = False

    def whole(self) -> Value:
        value = self._or()
        if self._tokens:
            raise UnknownExpression(f"not understood from {self._tokens[0]!r} on")
        return value

    def _or(self) -> Value:
        value = self._and()
        while self._takes("||"):
            other = self._and()
            value = value if _true(value) else other
        return value

    def _and(self) -> Value:
        value = self._equality()
        while self._takes("&&"):
            other = self._equality()
            value = other if _true(value) else value
        return value

    def _equality(self) -> Value:
        value: Value = self._not()
        while self._tokens and self._tokens[0] in {"==", "!="}:
            equal = self._tokens.pop(0) == "=="
            value = _equal(value, self._not()) == equal
        return value

    def _not(self) -> Value:
        return not _true(self._not()) if self._takes("!") else self._atom()

    def _atom(self) -> Value:
        if self._takes("("):
            value = self._or()
            self._must_take(")")
            return value
        if not self._tokens:
            raise UnknownExpression("it ends too soon")
        token = self._tokens.pop(0)
        if token.startswith("'"):
            return token[1:-1].replace("''", "'")
        if self._takes("("):
            self._must_take(")")
            if token not in _FUNCTIONS:
                raise UnknownExpression(f"there is no function {token} here")
            self.asked_for_state = True
            return _FUNCTIONS[token](self._state)
        return _looked_up(token, self._context)

    def _takes(self, token: str) -> bool:
        if self._tokens[:1] == [token]:
            self._tokens.pop(0)
            return True
        return False

    def _must_take(self, token: str) -> None:
        if not self._takes(token):
            raise UnknownExpression(f"{token} is missing")


def _tokens(text: str) -> list[str]:
    found: list[str] = []
    place = 0
    text = text.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise UnknownExpression(f"not understood from {text[place:]!r} on")
        found.append(next(group for group in match.groups() if group))
        place = match.end()
    return found


def _looked_up(name: str, context: Context) -> Value:
    value: object = context
    for part in name.split("."):
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise UnknownExpression(f"{name}: there is nothing below a plain value")
        if part not in value and not isinstance(value, Open):
            raise UnknownExpression(f"{name}: there is no {part}, but {', '.join(value)}")
        value = value.get(part)
    if value is not None and not isinstance(value, str | float | bool):
        raise UnknownExpression(f"{name} is no plain value")
    return value


def _true(value: Value) -> bool:
    return value not in (None, "", 0.0, False)


def _equal(left: Value, right: Value) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return left.casefold() == right.casefold()
    if left is None and right is None:
        return True
    return _number(left) == _number(right)


def _number(value: Value) -> float:
    if value is None:
        return 0.0
    if not isinstance(value, str):
        return float(value)
    try:
        return float(value) if value.strip() else 0.0
    except ValueError:
        return math.nan


def _text(value: Value) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _plain(value: object) -> str:
    """Return a value of the YAML file as GitHub reads it."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        raise UnknownExpression(f"{value!r} is no text")
    return str(value)
