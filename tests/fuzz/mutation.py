"""Mutations of what is good, seeded: values, names of fields, streams and files, paths."""

from __future__ import annotations

import random
from collections.abc import Mapping
from urllib.parse import quote_from_bytes

_NASTY = (
    b"", b"\x00", b"\xff\xfe", b"../../etc/passwd", b"file:///etc/passwd", b"http://127.0.0.1:1/x.jpg", b"%00", b"{}",
    b"[1,2]", b"null", b"-1", b"1e999", b"NaN", "ſtream/é/漢字".encode(), b"a" * 5000, b"/" * 300, b"\n\r\n",
    b"$(reboot)", b"' OR 1=1 --", b"\x80\x04N.", b"file://", b"~/x.jpg", b"/dev/zero", b"/proc/self/mem", b"s3://b/k",
    b"//[", b"http://[::1", b"[/red]", b"[red]x[/red]", b"[link=file:///x]y", b"<script>alert(1)</script>",
)  # fmt: skip

_NAMES = (
    "[/red]", "[red]x[/red]", "[/]", "[bold", "<b>&amp;", "a\nb", "a\rb", "a\tb", "\x1b[31mred", "\u202egpj.exe",
    "\u200bzero", "é", "e\u0301", "漢字", "𝕫", "{x}", "a{b", "back\\slash", "..", ".", "...", "a/../b", " dock ",
    "a//b", "x" * 255, "漢" * 85, "-rf", "%2e%2e", "%00", "%ff", "nul\x00l", "\ud800", "CON", "$(reboot)", "'\"",
    "?q#f", "",
)  # fmt: skip


def hostile_name(rng: random.Random) -> bytes:
    """Return a name that a stream, folder or file might be given by somebody who means no good; it may be no text."""
    if rng.random() < 0.2:
        return rng.randbytes(rng.randint(1, 40))
    name = rng.choice(_NAMES).encode(errors="surrogatepass")
    return mutated_bytes(name, rng) if rng.random() < 0.2 else name


def file_name(rng: random.Random) -> bytes:
    """Return a name that the file system allows, of at most 200 bytes."""
    name = hostile_name(rng).replace(b"/", b"_").replace(b"\0", b"_").lstrip(b".~")[:200]
    return name or b"name"


def hostile_path(good: bytes, rng: random.Random) -> bytes:
    """Return another way to write the path `good`, or a way out of its folder."""
    folder, _, name = good.rpartition(b"/")
    return rng.choice([
        folder + b"/../" + folder.rpartition(b"/")[2] + b"/" + name,
        folder + b"/../../../../etc/passwd",
        folder + b"/./" + name,
        folder + b"//" + name,
        good + b"/",
        good + b"\0",
        good + b"\n",
        good.replace(b"frame", b"fra\nme"),
        folder + b"/link.jpg",
        folder + b"/loop.jpg",
        folder + b"/out/passwd",
        folder + b"/" + hostile_name(rng),
        b"file://localhost" + good,
        b"file://other" + good,
        b"FILE://" + good,
        b"file:" + good,
        b"file://" + quote_from_bytes(good, safe=b"").encode(),
        b"file://" + good + b"?x=1#y",
        b"file://" + quote_from_bytes(folder + b"/" + hostile_name(rng)).encode(),
        b"x" * 4096,
        b"/" + b"y/" * 2000,
    ])  # fmt: skip


def mutated_event(good: Mapping[bytes, bytes], rng: random.Random) -> dict[bytes, bytes]:
    """Return `good` with one to three things wrong with it."""
    event = dict(good)
    for _ in range(rng.randint(1, 3)):
        _mutate(event, rng)
    return event or {b"nothing": b""}


def _mutate(event: dict[bytes, bytes], rng: random.Random) -> None:
    name = rng.choice(list(event)) if event else b"x"
    action = rng.randrange(10)
    if action == 0 and len(event) > 1:
        event.pop(name, None)
    elif action == 1:
        event[name] = rng.choice(_NASTY)
    elif action == 2:
        event[name] = mutated_bytes(event.get(name, b"x"), rng)
    elif action == 3:
        event[rng.choice([b"data", b"dataref", b"time", b"extra"])] = rng.choice(_NASTY)
    elif action == 4:
        event[name.upper() if rng.random() < 0.5 else name + b"x"] = event.pop(name, b"")
    elif action == 5:
        event[name] = rng.randbytes(rng.randint(0, 200))
    elif action == 6:
        event[hostile_name(rng)] = rng.choice(_NASTY)
    elif action == 7:
        event[mutated_bytes(name, rng)] = event.pop(name, b"")
    elif action == 8:
        raw = hostile_name(rng)
        event[b"source"] = b"/cameras/" + (raw if rng.random() < 0.5 else quote_from_bytes(raw).encode())
    elif b"dataref" in event:
        event[b"dataref"] = hostile_path(event[b"dataref"].removeprefix(b"file://"), rng)


def mutated_bytes(data: bytes, rng: random.Random) -> bytes:
    """Return `data` flipped, cut, doubled or filled in a few places, the beginning spared now and then."""
    changed = bytearray(data)
    spared = 64 if rng.random() < 0.5 and len(changed) > 128 else 0
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        if len(changed) <= spared:
            break
        at = rng.randrange(spared, len(changed))
        length = min(rng.choice([1, 1, 4, 32, 256]), len(changed) - at)
        action = rng.randrange(5)
        if action == 0:
            for i in range(at, at + length):
                changed[i] ^= 1 << rng.randrange(8)
        elif action == 1:
            changed[at : at + length] = rng.randbytes(length)
        elif action == 2:
            del changed[at : at + length]
        elif action == 3:
            changed[at:at] = changed[at : at + length]
        else:
            del changed[max(spared, at) :]
    return bytes(changed)
