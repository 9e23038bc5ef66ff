"""The files that a pattern matches in a folder, found with as few calls as there are folders and files."""

from __future__ import annotations

import fnmatch
import itertools
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from treadle.core.errors import SourceUnreadable
from treadle.data.raw import SourceFile

_WILD = frozenset("*?[")


def split_pattern(parts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the parts of a pattern before the first wildcard, and the others; `**` twice in a row is one.

    >>> split_pattern(["landing", "**", "**", "*.csv"])
    (['landing'], ['**', '*.csv'])
    """
    plain = list(itertools.takewhile(lambda part: not _WILD & set(part), parts))
    wild = (
        [part for part, _ in itertools.groupby(parts[len(plain) :])] if "**" in parts else parts[len(plain) :]
    )
    return plain, list(wild)


def is_on_its_way(name: str) -> bool:
    """Whether a file of this name is still being written, or is none of ours."""
    return name.startswith((".", "_")) or name.endswith((".tmp", ".part"))


def matching(root: Path, pattern: str, *, wanted: Callable[[str], bool]) -> list[SourceFile]:
    """Return the files of a pattern that starts at `root`, sorted by path; none is opened.

    A pattern without wildcards that is a folder stands for all files below it whose name is `wanted`.

    Raises:
        SourceUnreadable: the folder may not be listed.
    """
    plain, wild = split_pattern(Path(pattern).parts)
    base = os.path.join(root, *plain)  # noqa: PTH118 - paths are texts here: a hundred thousand `Path`s are slow
    within = len(f"{root}/") if f"{base}/".startswith(f"{root}/") else 0
    if wild:
        places = _below(base, wild)
    elif os.path.isdir(base):  # noqa: PTH112
        places = (place for place in _below(base, ["**", "*"]) if wanted(place.rpartition("/")[2]))
    else:
        places = iter([base])
    found = {file.path: file for place in places if (file := _seen(place, within)) is not None}
    return [found[path] for path in sorted(found)]


def _below(base: str, parts: Sequence[str]) -> Iterator[str]:
    try:
        os.scandir(base).close()
    except (FileNotFoundError, NotADirectoryError):
        return iter(())
    except OSError as error:
        msg = f"The folder {base} cannot be listed: {error.strerror}."
        raise SourceUnreadable(msg) from error
    return _walk(base, list(parts))


def _walk(folder: str, parts: list[str]) -> Iterator[str]:
    """Yield the paths below a folder that the parts match; folders too."""
    first, *rest = parts
    if first == "**":
        yield from _deep(folder, rest or ["*"])
    elif not _WILD & set(first):
        place = f"{folder}/{first}"
        yield from _walk(place, rest) if rest else iter([place])
    else:
        fits = re.compile(fnmatch.translate(first)).match
        for entry in _entries(folder):
            if fits(entry.name) and (not rest or entry.is_dir()):
                yield from _walk(entry.path, rest) if rest else iter([entry.path])


def _deep(folder: str, rest: list[str]) -> Iterator[str]:
    """Yield what the parts match in a folder and in all folders below it; links to folders are not followed."""
    last = re.compile(fnmatch.translate(rest[0])).match if len(rest) == 1 else None
    if last is None:
        yield from _walk(folder, rest)
    for entry in _entries(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _deep(entry.path, rest)
        elif last is not None and last(entry.name):
            yield entry.path


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """Return what is in a folder; nothing where it is gone meanwhile, or may not be looked into."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _seen(place: str, within: int) -> SourceFile | None:
    """Return what is known of a file without opening it; None for folders, files on their way, and files gone meanwhile."""
    if is_on_its_way(place[place.rfind("/") + 1 :]):
        return None
    try:
        state = os.stat(place)  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        # It is there and cannot be asked about: to be told as a problem when it is opened.
        return SourceFile(path=place[within:], place=place, size=0, mtime_ns=0, stamp="unknown")
    if not stat.S_ISREG(state.st_mode):
        return None
    return SourceFile(
        path=place[within:],
        place=place,
        size=state.st_size,
        mtime_ns=state.st_mtime_ns,
        # Not the time of the last change alone: a copy can carry the old one over.
        stamp=f"{state.st_size}-{state.st_mtime_ns}-{state.st_ctime_ns}-{state.st_ino}",
    )
