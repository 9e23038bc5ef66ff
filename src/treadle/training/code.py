"""Which code a run ran: a digest of the function with the project's files that it imports, and where git stands."""

from __future__ import annotations

import ast
import difflib
import inspect
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from treadle.core.ids import digest_of
from treadle.core.records import Code
from treadle.core.settings import child_environment
from treadle.store.objects.objects import Objects

#: What of the working tree is compared with the commit: code and what pins its libraries, no data and no settings.
_COMPARED = ("*.py", "*.sql", "pyproject.toml", "requirements*.txt", "uv.lock")
_GIT_SECONDS = 20.0
_SKIPPED = {"site-packages", "dist-packages", "node_modules", "__pycache__"}


def digest(function: Callable[..., Any], *, root: Path) -> str:
    """Return the digest of a function's source, its file, and the files under `root` that this one imports.

    Imports are followed from file to file, also those inside functions; what is imported by a computed name is not
    seen. Comments count: the digest is of the files' bytes.
    """
    files = {
        path.relative_to(root).as_posix(): path.read_bytes().decode("utf-8", "replace")
        for path in sources(function, root=root)
    }
    return digest_of({"function": source(function), "name": function.__qualname__, "files": files})


def describe(function: Callable[..., Any], *, root: Path, objects: Objects) -> Code:
    """Return the code of a training function: digest, git commit, and what differs from the commit (an object).

    Without git, or outside a repository, the difference is that from nothing: the project's source files.
    """
    commit = _git(root, "rev-parse", "HEAD").strip()
    used = sources(function, root=root)
    difference = _difference(root, used) if commit else _as_new(used, root)
    stored = objects.put(difference.encode("utf-8", "surrogateescape")) if difference else ""
    files = {path.relative_to(root).as_posix(): objects.put(path.read_bytes()) for path in used}
    return Code(digest=digest(function, root=root), commit=commit, diff=stored, files=files)


def changes(code: Code, function: Callable[..., Any], *, root: Path, objects: Objects) -> dict[str, str]:
    """Return how the source files of a function differ from those of earlier code: path → unified diff."""
    now = {path.relative_to(root).as_posix(): path.read_bytes() for path in sources(function, root=root)}
    found = {}
    for name in sorted({*now, *code.files}):
        before = objects.get(code.files[name]) if name in code.files else b""
        lines = difflib.unified_diff(
            _lines(before), _lines(now.get(name, b"")), fromfile=f"a/{name}", tofile=f"b/{name}"
        )
        difference = "".join(lines)
        if difference:
            found[name] = difference
    return found


def _lines(text: bytes) -> list[str]:
    lines = text.decode("utf-8", "replace").splitlines()
    return [f"{line}\n" for line in lines]


def sources(function: Callable[..., Any], *, root: Path) -> list[Path]:
    """Return the file that defines a function and the files under `root` that it imports, sorted."""
    first = Path(inspect.unwrap(function).__code__.co_filename)
    if not _is_ours(first, root):
        return []
    found, waiting = {first}, [first]
    while waiting:
        for path in _imported(waiting.pop(), root):
            if path not in found:
                found.add(path)
                waiting.append(path)
    return sorted(found)


def source(function: Callable[..., Any]) -> str:
    """Return the text of a function, or what stands for it where there is none."""
    plain = inspect.unwrap(function)
    try:
        return inspect.getsource(plain)
    except (OSError, TypeError):  # typed into an interpreter: the byte code is all there is
        made = plain.__code__
        return repr((made.co_code, made.co_names, [c for c in made.co_consts if not inspect.iscode(c)]))


def _is_ours(path: Path, root: Path) -> bool:
    if not path.is_file() or not path.is_relative_to(root):
        return False
    parts = path.relative_to(root).parts
    return not any(part in _SKIPPED or part.startswith(".") for part in parts)


def _imported(path: Path, root: Path) -> Iterator[Path]:
    """Yield the files of the project that a file's import statements name."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            places = [path.parent, root]
        elif isinstance(node, ast.ImportFrom):
            stem = node.module or ""
            names = [stem, *(f"{stem}.{alias.name}".lstrip(".") for alias in node.names)]
            places = (
                [path.parents[node.level - 1]] if 0 < node.level <= len(path.parents) else [path.parent, root]
            )
        else:
            continue
        for name in names:
            yield from _files_of(name, places, root)


def _files_of(name: str, places: list[Path], root: Path) -> Iterator[Path]:
    parts = name.split(".") if name else []
    for place in places:
        for depth in range(len(parts) + 1):
            stem = place.joinpath(*parts[:depth])
            wanted = (
                [stem / "__init__.py"]
                if depth == 0
                else [stem / "__init__.py", stem.with_name(f"{stem.name}.py")]
            )
            yield from (path for path in wanted if _is_ours(path, root))


def _difference(root: Path, used: list[Path]) -> str:
    """Return the uncommitted changes, new source files included."""
    quiet = ("--no-color", "--no-ext-diff", "--no-textconv")
    changed = _git(root, "diff", *quiet, "HEAD", "--", *_COMPARED)
    listed = _git(root, "ls-files", "-z", "--others", "--", ".").split("\0")
    unknown = {root / name for name in listed if name}
    return changed + _as_new([path for path in used if path in unknown], root)


def _as_new(files: list[Path], root: Path) -> str:
    parts: list[str] = []
    for path in files:
        name = path.relative_to(root).as_posix()
        lines = path.read_bytes().decode("utf-8", "surrogateescape").splitlines(keepends=True)
        if lines and not lines[-1].endswith("\n"):
            lines[-1] += "\n"
        parts.extend(difflib.unified_diff([], lines, fromfile="/dev/null", tofile=f"b/{name}"))
    return "".join(parts)


def _git(root: Path, *arguments: str) -> str:
    """Return what git says, or nothing: no git, no repository and no commit yet are all legal."""
    program = shutil.which("git")
    if program is None:
        return ""
    try:
        done = subprocess.run(  # noqa: S603 - git, with arguments of ours
            [
                program,
                "-C",
                str(root),
                "-c",
                "core.fsmonitor=false",
                "-c",
                "core.quotepath=false",
                *arguments,
            ],
            capture_output=True,
            env=child_environment({"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}),
            stdin=subprocess.DEVNULL,
            timeout=_GIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "surrogateescape") if done.returncode == 0 else ""
