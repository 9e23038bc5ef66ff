"""DVC on a folder of files: add, status or checkout, with a given kind of link between its cache and the folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

os.environ["DVC_NO_ANALYTICS"] = "1"

from dvc.repo import Repo


def made(root: Path, source: Path, kind: str) -> None:
    """Make a repository with a copy of the folder that is already added."""
    root.mkdir()
    shutil.copytree(source, root / "photos")
    begun(root, kind)
    os.chdir(root)
    with Repo(str(root)) as repo:
        repo.add("photos")


def begun(root: Path, kind: str) -> None:
    """Begin a repository; what an earlier one stored is forgotten."""
    shutil.rmtree(root / ".dvc", ignore_errors=True)
    for name in ("photos.dvc", ".dvcignore"):
        (root / name).unlink(missing_ok=True)
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "init", "--no-scm", "-q"], cwd=root, check=True)
    subprocess.run([*dvc, "config", "cache.type", kind], cwd=root, check=True)
    subprocess.run([*dvc, "config", "core.analytics", "false"], cwd=root, check=True)


def main(action: str, root: Path, source: Path, kind: str) -> float:
    """Do one thing and return how many seconds it took."""
    if not root.exists():
        made(root, source, kind)
    if action == "add":
        begun(root, kind)
    elif action == "checkout":
        shutil.rmtree(root / "photos")
    elif action == "more":
        for path in sorted(source.rglob("*")):
            there = root / "photos" / path.relative_to(source)
            if path.is_file() and not there.exists():
                shutil.copy(path, there)
    os.sync()
    os.chdir(root)
    began = time.perf_counter()
    with Repo(str(root)) as repo:
        if action == "status":
            assert repo.status() == {}
        elif action == "checkout":
            repo.checkout()
        else:
            repo.add("photos")
    return time.perf_counter() - began


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])))
