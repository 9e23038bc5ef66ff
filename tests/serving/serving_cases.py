"""Load from a thread of its own, for tests that do something to a server meanwhile."""

from __future__ import annotations

import asyncio
import json
import threading

import serving_load
from trials import until

PREDICT = "/v1/endpoints/delay/predict"
ROW = {"distance": 1400, "temp": None, "carrier": "UA"}


class Load:
    """Requests from a thread of their own, each with an id, until `stop`."""

    def __init__(self, port, *, name="", connections=4, rate=None, rows=1, reconnect=False, headers=""):
        self.seen = serving_load.Seen()
        self._port, self._name, self._rows = port, name, rows
        self._how = {"connections": connections, "rate": rate, "reconnect": reconnect}
        self._headers = headers
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    def more(self, count):
        """Wait until as many more requests have been answered."""
        wanted = len(self.seen.answers) + count
        until(lambda: len(self.seen.answers) >= wanted, timeout=60)

    def _run(self):
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(
            serving_load.fire(self._port, self._make, stop=self._stop, seen=self.seen, **self._how)
        )

    def _make(self, connection, count):
        body = {"id": f"{self._name}-{connection}-{count}", "rows": [ROW] * self._rows}
        return serving_load.request_bytes(PREDICT, json.dumps(body).encode(), self._headers)


def acked(load):
    return [(end, json.loads(body)["id"]) for _, end, status, body in load.seen.answers if status == 200]


def failed(load):
    return [(status, body) for _, _, status, body in load.seen.answers if status != 200]
