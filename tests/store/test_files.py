"""Files that are there as a whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from treadle.store import files
from treadle.store.files import make_folder, replacing


def test_a_file_appears_when_its_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"

    with replacing(path) as file:
        file.write(b"new")
        assert list(tmp_path.rglob("*file*")) == []

    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o077 == 0


def test_an_error_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    with pytest.raises(ZeroDivisionError):
        _write_half(path)

    assert path.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_new_file_never_has_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []
    real = os.link

    def noting(source: str, target: Path, **more: object) -> None:
        names.append(Path(target).name)
        real(source, target, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "link", noting)

    with replacing(tmp_path / "file") as file:
        file.write(b"new")

    assert names == ["file"]


def test_a_file_system_without_nameless_files_works_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def refusing(path: object, flags: int, *rest: int, **more: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "not supported")
        return real(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", refusing)

    with replacing(tmp_path / "file") as file:
        file.write(b"new")

    assert (tmp_path / "file").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_could_not_be_flushed_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(files, "flush_file", _fail)
        with pytest.raises(OSError, match="Input/output"):
            make_folder(tmp_path / "a" / "b")

    assert list(tmp_path.iterdir()) == []


def _fail(_: Path) -> None:
    raise OSError(errno.EIO, "Input/output error")


def _write_half(path: Path) -> None:
    with replacing(path) as file:
        file.write(b"half")
        raise ZeroDivisionError
