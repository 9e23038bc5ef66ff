"""A connection of HTTP/2, seen from the server: frames come in, streams of requests go out to a host.

Only what gRPC needs: no pushed answers, no priorities, no upgrade from HTTP/1. What is written in one turn of the event loop
leaves in one piece. Header blocks that a client repeats, as it does with each call, are looked up and not decoded.
"""

from __future__ import annotations

import asyncio
from typing import Any

from treadle.core.clock import monotonic
from treadle.serving.http2 import frames
from treadle.serving.http2.blocks import Blocks
from treadle.serving.http2.frames import Broken, Code
from treadle.serving.http2.streams import Host, Stream

#: What clients may send: bytes of one stream and of all of them before more are asked for, bytes of a frame and of headers.
STREAM_WINDOW, ALL_WINDOW, LARGEST_FRAME, MOST_HEADERS = 1 << 20, 8 << 20, 1 << 18, 32 * 1024
#: Streams of a connection at once; resets of streams under way after which a client is sent away.
MOST_STREAMS, MOST_RESETS = 512, 1000
#: Seconds that a client has to close its side of a connection that has ended.
_LINGER = 1.0
_SETTINGS = {
    frames.INITIAL_WINDOW: STREAM_WINDOW,
    frames.MAX_FRAME: LARGEST_FRAME,
    frames.MAX_HEADERS: MOST_HEADERS,
}


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, host: Host, *, most: int = MOST_STREAMS) -> None:
        """Prepare it; `host` answers, and takes `most` streams of one client at once."""
        self._host, self._most = host, min(most, MOST_STREAMS)
        self.transport: Any = None
        self.peer = ""
        self.streams: dict[int, Stream] = {}
        #: Those whose answer waits until the client has room for it.
        self._full: dict[int, Stream] = {}
        #: The last stream that the client has begun.
        self.last = 0
        self._rest = b""
        #: Whether it has said that it speaks HTTP/2.
        self.has_begun = False
        self._blocks = Blocks(host.understood, most=MOST_HEADERS)
        #: A header block that goes on in the next frame: stream, flags, what has come.
        self._block: tuple[int, int, bytearray] | None = None
        self._window, self._stream_window, self._frame = frames.WINDOW, frames.WINDOW, frames.FRAME
        self._taken = self._resets = 0
        self._out: list[bytes] = []
        self.is_asked_to_leave = self._is_leaving = self._is_closed = False
        #: When it was made.
        self.since = monotonic()
        self._loop = asyncio.get_running_loop()

    # What comes of the transport.

    def connection_made(self, transport: Any) -> None:
        """Say what this side takes."""
        self.transport = transport
        name = transport.get_extra_info("peername")
        self.peer = f"{name[0]}:{name[1]}" if isinstance(name, tuple) else ""
        said = frames.settings({frames.MAX_STREAMS: self._most, **_SETTINGS})
        self.write(said + frames.window_update(0, ALL_WINDOW - frames.WINDOW))
        self._host.met(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Let go of all streams."""
        del error
        self._host.lost(self)
        for stream in list(self.streams.values()):
            self._host.gone(stream)
        self.streams.clear()
        self._out.clear()

    def eof_received(self) -> bool:
        """Close it: nobody reads answers any more."""
        return False

    def pause_writing(self) -> None:
        """Take nothing more while the client does not take its answers."""
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        if self._is_closed:
            return
        data = self._rest + data if self._rest else data
        try:
            if not self.has_begun:
                data = self._greeted(data)
            self._rest = self._taken_of(data) if self.has_begun else data
        except Broken as error:
            self.close(error.code, str(error))

    def _greeted(self, data: bytes) -> bytes:
        """Take what every client says first, and return the rest."""
        if not frames.PREFACE.startswith(data[: len(frames.PREFACE)]):
            raise Broken(Code.PROTOCOL_ERROR, "this port speaks gRPC")
        if len(data) < len(frames.PREFACE):
            return data
        self.has_begun = True
        return data[len(frames.PREFACE) :]

    def _taken_of(self, data: bytes) -> bytes:
        """Take all frames that are whole, and return the rest."""
        at, size, unpack = 0, len(data), frames.HEAD.unpack_from
        while size - at >= 9:
            high, low, kind, flags, number = unpack(data, at)
            length = high << 8 | low
            if length > LARGEST_FRAME:
                raise Broken(Code.FRAME_SIZE_ERROR, f"a frame of {length} bytes, at most {LARGEST_FRAME}")
            if size - at < 9 + length:
                break
            payload = data[at + 9 : at + 9 + length]
            at += 9 + length
            if self._block is not None and kind != frames.CONTINUATION:
                raise Broken(Code.PROTOCOL_ERROR, "headers are not whole")
            if kind == frames.DATA:
                self._data(flags, number & frames.LAST_STREAM, payload)
            elif kind in _TAKE:
                _TAKE[kind](self, flags, number & frames.LAST_STREAM, payload)
        return data[at:]

    # What comes in frames.

    def _data(self, flags: int, number: int, payload: bytes) -> None:
        stream, size = self.streams.get(number), len(payload)
        self._taken += size
        if self._taken > ALL_WINDOW // 2:
            self.write(frames.window_update(0, self._taken))
            self._taken = 0
        if stream is None or stream.ended:
            if not 0 < number <= self.last or not number & 1:
                raise Broken(Code.PROTOCOL_ERROR, f"data of stream {number}, which was not begun")
            return  # what was sent before the client knew that the stream has ended
        stream.taken += size
        if (
            stream.taken > STREAM_WINDOW
        ):  # its requests wait here until they are taken: nobody may fill the memory
            raise Broken(Code.FLOW_CONTROL_ERROR, f"more of stream {number} than there is room for")
        stream.ended = bool(flags & frames.END_STREAM)
        self._host.came(stream, frames.unpadded(flags, payload))

    def _headers(self, flags: int, number: int, payload: bytes) -> None:
        found = frames.unpadded(flags, payload)
        if flags & frames.PRIORITISED:
            if len(found) < 5:
                raise Broken(Code.FRAME_SIZE_ERROR, "headers without their priority")
            found = found[5:]
        if flags & frames.END_HEADERS:
            self._opened(flags, number, found)
        else:
            self._block = number, flags, bytearray(found)

    def _continuation(self, flags: int, number: int, payload: bytes) -> None:
        if self._block is None or self._block[0] != number:
            raise Broken(Code.PROTOCOL_ERROR, "nothing is to be continued")
        _, first, found = self._block
        found += payload
        if len(found) > MOST_HEADERS or not payload:
            raise Broken(Code.ENHANCE_YOUR_CALM, f"headers of more than {MOST_HEADERS} bytes")
        if flags & frames.END_HEADERS:
            self._block = None
            self._opened(first, number, bytes(found))

    def _opened(self, flags: int, number: int, block: bytes) -> None:
        asked = self._blocks.understood(block)
        stream = self.streams.get(number)
        if stream is not None:  # trailers
            if stream.ended or not flags & frames.END_STREAM:
                raise Broken(Code.PROTOCOL_ERROR, "headers in the middle of a stream")
            stream.ended = True
            self._host.came(stream, b"")
            return
        if number <= self.last and number & 1:
            return  # trailers of a stream that has ended already
        if not number & 1:
            raise Broken(Code.PROTOCOL_ERROR, f"{number} is no client's stream")
        self.last = number
        if len(self.streams) >= self._most or self._is_leaving:
            self.write(frames.reset(number, Code.REFUSED_STREAM))
            return
        stream = self.streams[number] = Stream(self, number, asked, self._stream_window)
        stream.ended = bool(flags & frames.END_STREAM)
        self._host.begun(stream)
        if stream.ended and number in self.streams:
            self._host.came(stream, b"")

    def _reset(self, _: int, number: int, payload: bytes) -> None:
        frames.number(payload)
        stream = self.streams.pop(number, None)
        if stream is not None:
            self._full.pop(number, None)
            self._resets += 1
            self._host.gone(stream)
            if self._resets > MOST_RESETS:
                raise Broken(Code.ENHANCE_YOUR_CALM, "too many streams were reset")
        elif number > self.last or not number:
            raise Broken(Code.PROTOCOL_ERROR, f"stream {number} was not begun")

    def _settings(self, flags: int, number: int, payload: bytes) -> None:
        if number or (flags & frames.ACK and payload):
            raise Broken(Code.PROTOCOL_ERROR, "settings are of the whole connection")
        if flags & frames.ACK:
            return
        for setting, value in frames.settings_of(payload):
            if setting == frames.INITIAL_WINDOW:
                if value > frames.LARGEST_WINDOW:
                    raise Broken(Code.FLOW_CONTROL_ERROR, "too large a window")
                for stream in self.streams.values():
                    stream.window += value - self._stream_window
                self._stream_window = value
            elif setting == frames.MAX_FRAME:
                if not frames.FRAME <= value < 1 << 24:
                    raise Broken(Code.PROTOCOL_ERROR, "no such size of a frame")
                self._frame = value
        self.write(frames.frame(frames.SETTINGS, frames.ACK, 0))
        self._send_pending()

    def _ping(self, flags: int, number: int, payload: bytes) -> None:
        if number or len(payload) != 8:
            raise Broken(Code.FRAME_SIZE_ERROR, "a ping has eight bytes")
        if not flags & frames.ACK:
            self.write(frames.frame(frames.PING, frames.ACK, 0, payload))

    def _window_update(self, _: int, number: int, payload: bytes) -> None:
        more = frames.number(payload)
        stream = self.streams.get(number)
        if not more:
            raise Broken(Code.PROTOCOL_ERROR, "a window that grows by nothing")
        if not number:
            self._window += more
        elif stream is not None:
            stream.window += more
        if max(self._window, stream.window if stream else 0) > frames.LARGEST_WINDOW:
            raise Broken(Code.FLOW_CONTROL_ERROR, "too large a window")
        self._send_pending()

    def _refused(self, *_: object) -> None:
        raise Broken(Code.PROTOCOL_ERROR, "clients push nothing")

    # What goes out.

    def write(self, data: bytes) -> None:
        """Send some bytes at the end of this turn of the event loop."""
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(data)

    def _flush(self) -> None:
        if self._out and not self._is_closed and not self.transport.is_closing():
            self.transport.write(b"".join(self._out))
        self._out.clear()

    def confirm(self, stream: Stream) -> None:
        """Let a client send as much more of a stream as was taken of it."""
        if stream.taken > STREAM_WINDOW // 2 and not stream.ended:
            self.write(frames.window_update(stream.number, stream.taken))
            stream.taken = 0

    def answer(self, stream: Stream, headers: bytes, data: bytes, trailers: bytes) -> None:
        """Send a whole answer: blocks of headers and trailers, and data between them."""
        number, size = stream.number, len(data)
        if size > self._frame or size > stream.window or size > self._window:
            self.begin(stream, headers)
            self.send(stream, data)
            self.end(stream, trailers)
            return
        stream.window -= size
        self._window -= size
        pack = frames.HEAD.pack
        self.write(
            b"".join(
                (
                    pack(0, len(headers), frames.HEADERS, frames.END_HEADERS, number),
                    headers,
                    pack(size >> 8, size & 255, frames.DATA, 0, number),
                    data,
                    pack(0, len(trailers), frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, number),
                    trailers,
                )
            )
        )
        self._over(stream)

    def begin(self, stream: Stream, headers: bytes) -> None:
        """Send the headers of an answer."""
        self.write(frames.frame(frames.HEADERS, frames.END_HEADERS, stream.number, headers))

    def send(self, stream: Stream, data: bytes) -> None:
        """Send data, as soon as the client has room for it."""
        if not stream.pending:
            stream.moved = monotonic()
        stream.pending.append((data, False))
        self._send_pending_of(stream)

    def end(self, stream: Stream, trailers: bytes) -> None:
        """End a stream behind all that was sent; trailers may be longer than a frame."""
        stream.pending.append((trailers, True))
        self._send_pending_of(stream)

    def _send_pending(self) -> None:
        for stream in [*self._full.values()]:
            self._send_pending_of(stream)

    def _send_pending_of(self, stream: Stream) -> None:
        while stream.pending:
            data, is_end = stream.pending[0]
            if is_end:
                del stream.pending[0]
                both = frames.END_HEADERS | frames.END_STREAM
                self.write(frames.frame(frames.HEADERS, both, stream.number, data))
                self._over(stream)
                break
            room = min(stream.window, self._window, self._frame)
            if room <= 0 and data:
                self._full[stream.number] = stream
                return
            piece, rest = data[:room], data[room:]
            stream.window -= len(piece)
            self._window -= len(piece)
            self.write(frames.frame(frames.DATA, 0, stream.number, piece))
            stream.moved = monotonic()
            if rest:
                stream.pending[0] = rest, False
            else:
                del stream.pending[0]
        self._full.pop(stream.number, None)
        if stream.room is not None and not stream.room.done():
            stream.room.set_result(None)

    async def sent(self, stream: Stream) -> None:
        """Wait until all that was sent of a stream has found room."""
        if stream.pending:
            stream.room = self._loop.create_future()
            await stream.room

    def give_up(self, before: float) -> None:
        """Let go of the streams whose client has made no room for their answers since a monotonic moment."""
        for stream in [stream for stream in self._full.values() if stream.moved < before]:
            del self._full[stream.number]
            self._host.gone(stream)
            self._over(stream, Code.CANCEL)

    def _over(self, stream: Stream, code: Code = Code.NO_ERROR) -> None:
        if self.streams.pop(stream.number, None) is None:
            return
        self._resets = max(0, self._resets - 1)
        if code or not stream.ended:  # the client need not go on
            self.write(frames.reset(stream.number, code))
        if self._is_leaving and not self.streams:
            self.close()

    # How it ends.

    def leave(self) -> None:
        """Ask the client to begin its next streams elsewhere; those that come all the same are answered."""
        if not self.is_asked_to_leave:
            self.is_asked_to_leave = True
            self.write(frames.goaway(frames.LAST_STREAM, Code.NO_ERROR))

    def finish(self) -> None:
        """Close it as soon as the streams that have begun are answered; the client knows that others were not."""
        if not self._is_leaving:
            self._is_leaving = True
            self.write(frames.goaway(self.last, Code.NO_ERROR))
        if not self.streams:
            self.close()

    def close(self, code: Code = Code.NO_ERROR, text: str = "") -> None:
        """Close it behind what was written.

        The client closes its side then: to close a socket with unread bytes would throw away what is on its way.
        """
        if self._is_closed or self.transport.is_closing():
            return
        self.write(frames.goaway(self.last, code, text))
        self._flush()
        self._is_closed = True
        self.transport.write_eof()
        self._loop.call_later(_LINGER, self.transport.abort)


_TAKE: dict[int, Any] = {
    frames.HEADERS: Connection._headers,
    frames.RST_STREAM: Connection._reset,
    frames.SETTINGS: Connection._settings,
    frames.PUSH_PROMISE: Connection._refused,
    frames.PING: Connection._ping,
    frames.WINDOW_UPDATE: Connection._window_update,
    frames.CONTINUATION: Connection._continuation,
}
