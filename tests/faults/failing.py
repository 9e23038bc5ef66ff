"""Makes system calls of a process fail, each of its own number, counted over all its threads.

The kernel asks this process about each call of the other one (`seccomp_unotify(2)`). Unlike with strace the count is one
for the whole process: delta-rs writes from threads, and which of them takes a write is chance.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import select
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

#: By machine: the number of `seccomp`, of the calls that write, and of those that flush.
_NUMBERS = {
    "x86_64": (317, {1, 18, 20, 296, 328}, {74, 75, 306}),
    "aarch64": (277, {64, 68, 66, 70, 287}, {82, 83, 267}),
}
_NO_NEW_PRIVILEGES, _SET_FILTER, _NEW_LISTENER = 38, 1, 8
_ASK, _ALLOW, _CONTINUE = 0x7FC00000, 0x7FFF0000, 1
_RECEIVE, _ANSWER = 0xC0502100, 0xC0182101
#: Load the call's number; return one of two answers where it is this one.
_LOAD, _IF_EQUAL, _RETURN = 0x20, 0x15, 0x06


@dataclass(frozen=True)
class Fault:
    """A call that fails, `write` or `flush`, and those of its kind after it where it `lasts`."""

    kind: str
    error: str
    number: int
    lasts: bool = False

    @property
    def shown(self) -> str:
        """The fault, for messages and file names."""
        return f"{self.error}-{self.kind}-{self.number}{'-and-on' if self.lasts else ''}"


def able() -> str:
    """Return why calls cannot be made to fail here; empty: they can."""
    if platform.system() != "Linux" or platform.machine() not in _NUMBERS:
        return f"System calls of {platform.system()} on {platform.machine()} cannot be made to fail"
    known = Path("/proc/sys/kernel/seccomp/actions_avail")
    if not known.exists() or "user_notif" not in known.read_text():
        return "This kernel does not hand out system calls (seccomp user_notif, Linux 5.0)"
    return ""


def ask_for(channel: socket.socket) -> None:
    """Let whoever is at the other end of a channel decide about this process's calls from now on."""
    number, writes, flushes = _NUMBERS[platform.machine()]
    asked = sorted(writes | flushes)
    code = [struct.pack("HBBI", _LOAD, 0, 0, 0)]
    code += [struct.pack("HBBI", _IF_EQUAL, len(asked) - place, 0, call) for place, call in enumerate(asked)]
    code += [struct.pack("HBBI", _RETURN, 0, 0, answer) for answer in (_ALLOW, _ASK)]
    filters = ctypes.create_string_buffer(b"".join(code))
    program = struct.pack("HxxxxxxP", len(code), ctypes.addressof(filters))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    listener = libc.syscall(number, _SET_FILTER, _NEW_LISTENER, program)
    if listener < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    socket.send_fds(channel, [b"x"], [listener])
    os.close(listener)


def decide(channel: socket.socket, root: Path, fault: Fault | None) -> dict[str, int]:
    """Decide about the calls of the process at the other end until it ends; return how many of each kind there were.

    Only calls for files below a folder count.
    """
    _, (listener,), _, _ = socket.recv_fds(channel, 1, 1)
    counts = {"write": 0, "flush": 0}
    waiting = select.poll()
    waiting.register(listener, select.POLLIN)
    try:
        while not waiting.poll()[0][1] & select.POLLHUP:
            asked = bytearray(80)
            try:
                fcntl.ioctl(listener, _RECEIVE, asked)
            except FileNotFoundError:  # it was killed while it asked
                continue
            call, thread, number, file = _read(asked)
            kind = "write" if number in _NUMBERS[platform.machine()][1] else "flush"
            fails = False
            if _is_below(thread, file, root):
                counts[kind] += 1
                fails = _fails(fault, kind, counts[kind])
            failure = getattr(errno, fault.error) if fault and fails else 0
            answer = struct.pack("QqiI", call, 0, -failure, 0 if fails else _CONTINUE)
            try:
                fcntl.ioctl(listener, _ANSWER, answer)
            except FileNotFoundError:
                continue
    finally:
        os.close(listener)
    return counts


def _read(asked: bytearray) -> tuple[int, int, int, int]:
    """Return the question's id, the thread, the number of the call and its first argument."""
    call, thread, _, number, _, _, file = struct.unpack_from("QIIiIQQ", asked)
    return call, thread, number, file


def _is_below(thread: int, file: int, root: Path) -> bool:
    try:
        return Path(f"/proc/{thread}/fd/{file}").readlink().is_relative_to(root)
    except FileNotFoundError:
        return False


def _fails(fault: Fault | None, kind: str, number: int) -> bool:
    if fault is None or fault.kind != kind:
        return False
    return number >= fault.number if fault.lasts else number == fault.number
