"""Looks into files for code that would run when they are read, without reading them: pickles, wherever they hide.

A loader that is given another file than it expects mostly fails anyway. This says what the file is, names what it would
have called, and does so before any loader sees a byte.
"""

from __future__ import annotations

import bz2
import io
import lzma
import pickletools
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

import msgspec

from treadle.core.errors import UnsafeFormat

#: Most bytes that are unpacked of one member or stream: what is called stands in front of what it is called with.
_LOOKED_AT = 1 << 20
_MOST_MEMBERS = 10_000
_DEEPEST = 3
_STRINGS = {
    "SHORT_BINUNICODE",
    "BINUNICODE",
    "BINUNICODE8",
    "UNICODE",
    "STRING",
    "BINSTRING",
    "SHORT_BINSTRING",
}
_PACKED: dict[bytes, Callable[[], Any]] = {
    b"\x78": zlib.decompressobj,
    b"\x1f\x8b": lambda: zlib.decompressobj(wbits=31),
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ": lzma.LZMADecompressor,
    b"\x5d\x00\x00": lzma.LZMADecompressor,
}
#: What a pickle of the two oldest protocols can begin with.
_TEXT_STARTS = {bytes([start]) for start in b"(c]}lidtSVFILNU)"}
_WAY_OUT = (
    "Nothing of it was run. Save the model in a format that holds no code (ONNX, skops, the library's own), or declare "
    "allow_pickle=True at a model whose training you trust."
)


def refuse_code(files: Mapping[str, bytes]) -> None:
    """Accept only files that hold no pickle, no object array and no class of code.

    Raises:
        UnsafeFormat: one does; the message names the file and what it would call.
    """
    for name, data in files.items():
        found = _code(data, 0)
        if found:
            msg = f"{name} {found}. {_WAY_OUT}"
            raise UnsafeFormat(msg)


def called_by(data: bytes) -> list[str]:
    """Return the functions and classes that a pickle names, sorted, such as `posix.system`; nothing is imported."""
    return sorted(_pickle(data)[0])


def _code(data: bytes, depth: int) -> str:
    """Return what is wrong with some bytes, as the end of a sentence; empty: nothing."""
    if data.startswith(b"PK"):
        return _archive(data, depth)
    if data.startswith(b"\x93NUMPY"):
        return _array(data)
    if data.startswith(b"\x89HDF"):
        return "is an HDF5 file, in which Keras keeps code" if b'"Lambda"' in data else ""
    for start, opener in _PACKED.items():
        if data.startswith(start):
            inner = _unpacked(opener(), data)
            return f"holds something packed that {found}" if (found := _pickled(inner)) else ""
    return _pickled(data)


def _pickled(data: bytes) -> str:
    called, is_pickle = _pickle(data)
    if not is_pickle:
        return ""
    names = ", ".join(sorted(called)) or "nothing by name"
    return f"is a pickle, which runs code when it is read: it calls {names}"


def _pickle(data: bytes) -> tuple[set[str], bool]:
    """Return what a pickle names, and whether the bytes are one: by their first two, or whole to the last."""
    binary = data[:1] == b"\x80" and data[1:2] in {b"\x02", b"\x03", b"\x04", b"\x05"}
    called: set[str] = set()
    if not binary and data[:1] not in _TEXT_STARTS:
        return called, False
    strings: list[str] = []
    memo: dict[int, str] = {}
    last = ""
    try:
        for op, argument, _ in _operations(data):
            last = op.name
            if last in {"GLOBAL", "INST"}:
                called.add(str(argument).replace(" ", "."))
            elif last == "STACK_GLOBAL":
                called.add(".".join(strings[-2:]) or "something")
            elif last in _STRINGS:
                strings.append(str(argument))
            elif last in {"MEMOIZE", "BINPUT", "LONG_BINPUT", "PUT"}:
                memo[int(argument or len(memo))] = strings[-1] if strings else ""
            elif last in {"BINGET", "LONG_BINGET", "GET"}:
                strings.append(memo.get(int(argument or 0), ""))
    except (ValueError, IndexError, AttributeError):
        last = ""
    return called, binary or (last == "STOP" and bool(called))


def _operations(data: bytes) -> list[Any]:
    """Return a pickle's operations up to the first that is none."""
    found: list[Any] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes in text that is none
        try:
            found.extend(pickletools.genops(data))
        except ValueError:
            return found
    return found


def _archive(data: bytes, depth: int) -> str:
    """Look at the members of a ZIP file, such as those of skops, PyTorch, Keras and NumPy."""
    if depth >= _DEEPEST:
        return "holds archives within archives within archives"
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if len(members) > _MOST_MEMBERS:
                return f"holds {len(members)} files"
            for member in members:
                path = PurePosixPath(member.filename.replace("\\", "/"))
                if path.is_absolute() or ".." in path.parts:
                    return f"holds a file that would be written elsewhere: {member.filename!r}"
                with archive.open(member) as file:
                    found = _member(file.read(_LOOKED_AT), depth)
                if found:
                    return f"holds {member.filename!r}, which {found}"
    # A damaged or encrypted archive, or one packed in an unknown way: its own format says so.
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        RuntimeError,
        EOFError,
        OSError,
        zlib.error,
        lzma.LZMAError,
    ):
        return ""
    return ""


def _member(data: bytes, depth: int) -> str:
    if data.startswith(b"{"):
        return _layers(data)
    if data.startswith(b"PK"):
        return f"is an archive of its own that {found}" if (found := _archive(data, depth + 1)) else ""
    return _code(data, depth + 1)


def _layers(data: bytes) -> str:
    """Look for a layer of Keras that is made of Python code."""
    try:
        waiting = [msgspec.json.decode(data)]
    except (msgspec.MsgspecError, RecursionError):
        return ""
    for value in waiting:  # grows while it is walked
        if isinstance(value, dict):
            if "Lambda" in (value.get("class_name"), value.get("registered_name")):
                return "describes a Keras layer of the class Lambda, which runs Python code"
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return ""


def _array(data: bytes) -> str:
    """Look at the header of a NumPy array for the type that is pickled."""
    header = data[: data.find(b"\n") + 1]
    if b"'|O'" not in header and b"'O'" not in header:
        return ""
    names = ", ".join(called_by(data[len(header) :])) or "nothing by name"
    return f"is an array of Python objects, which is a pickle: it calls {names}"


def _unpacked(opener: Any, data: bytes) -> bytes:
    try:
        return bytes(opener.decompress(data, _LOOKED_AT))
    except (zlib.error, OSError, EOFError, lzma.LZMAError):
        return b""
