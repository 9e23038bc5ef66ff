"""Records, with strace, what a program asks of the file system, in the order in which it happened."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import services

#: Every call that can change a file or a name, and those that say which file a number stands for.
_CALLS = (
    "open,openat,openat2,creat,close,dup,dup2,dup3,fcntl,lseek,chdir,fchdir,fork,vfork,"
    "write,pwrite64,writev,pwritev,pwritev2,truncate,ftruncate,fallocate,copy_file_range,sendfile,splice,"
    "fsync,fdatasync,sync_file_range,syncfs,sync,msync,mmap,io_uring_setup,ioctl,"
    "rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,mkdir,mkdirat,rmdir,"
    "chmod,fchmod,fchmodat,utimensat"
)
_LONGEST = 8 * 1024 * 1024
_LINE = re.compile(r"(\d+) +(.*)", re.DOTALL)
_WHOLE = re.compile(r"(\w+)\((.*)\) += (-?\w+)(?: .*)?", re.DOTALL)
_BEGUN = re.compile(r"(\w+)\((.*?),? *<unfinished \.\.\.>", re.DOTALL)
_ENDED = re.compile(r"<\.\.\. (\w+) resumed>,? *(.*)\) += (-?\w+)(?: .*)?", re.DOTALL)
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@dataclass
class Call:
    """One system call."""

    name: str
    arguments: list[str] = field(default_factory=list)
    #: What it returned; None: the program ended before it did.
    result: int | None = None


@dataclass(frozen=True)
class Moment:
    """The begin of a call or its end: calls of several threads overlap."""

    call: Call
    is_end: bool


def record(*command: str, into: Path, faults: tuple[str, ...] = ()) -> list[Moment]:
    """Run a Python program to its end and return every moment of it; `into` is a folder for the notes.

    `faults` are calls to fail, as `inject=` of strace says it: each thread counts its own.
    """
    strace = shutil.which("strace")
    if strace is None:
        services.missing("No strace: apt-get install strace")
    notes = into / "calls.txt"
    failing = [part for fault in faults for part in ("-e", f"inject={fault}")]
    options = [*failing, "-f", "-qq", "--seccomp-bpf", "-xx", "-e", "abbrev=none", "-e", "signal=none"]
    done = subprocess.run(
        [
            str(strace),
            *options,
            "-s",
            f"{_LONGEST}",
            "-e",
            f"trace={_CALLS}",
            "-o",
            notes,
            sys.executable,
            *command,
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode and "ptrace" in done.stderr.lower() and "not permitted" in done.stderr:
        services.missing(f"strace may not trace here ({done.stderr.splitlines()[0]})")
    assert done.returncode == 0, done.stderr
    return parse(notes.read_text())


def parse(notes: str) -> list[Moment]:
    """Return the moments in the notes of strace."""
    moments: list[Moment] = []
    open_calls: dict[str, Call] = {}
    for line in notes.splitlines():
        found = _LINE.fullmatch(line)
        assert found, line
        thread, told = found.groups()
        if whole := _WHOLE.fullmatch(told):
            call = Call(whole[1], _split(whole[2]), _number(whole[3]))
            moments += [Moment(call, is_end=False), Moment(call, is_end=True)]
        elif begun := _BEGUN.fullmatch(told):
            call = open_calls[thread] = Call(begun[1], _split(begun[2]))
            moments.append(Moment(call, is_end=False))
        elif ended := _ENDED.fullmatch(told):
            call = open_calls.pop(thread)
            call.arguments += _split(ended[2])
            call.result = _number(ended[3])
            moments.append(Moment(call, is_end=True))
        else:
            assert told.startswith(("+++", "---")), told[:200]
    return moments


def text(argument: str) -> bytes:
    """Return the bytes of an argument, or of all strings in it."""
    assert '"...' not in argument, f"strace has cut an argument: {argument[:80]}"
    return b"".join(bytes.fromhex(found.replace("\\x", "")) for found in _TEXT.findall(argument))


def _number(told: str) -> int | None:
    return None if told == "?" else int(told, 0)


def _split(arguments: str) -> list[str]:
    """Split at the commas that are in no bracket; strings are in hexadecimal, so they hold none."""
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(arguments):
        if letter in "[{(":
            depth += 1
        elif letter in "]})":
            depth -= 1
        elif letter == "," and depth == 0:
            parts.append(arguments[start:place].strip())
            start = place + 1
    last = arguments[start:].strip()
    return [*parts, last] if last else parts
