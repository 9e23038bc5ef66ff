"""Looks at a running prediction server, again and again, through its `/metrics`."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping

from treadle.core.clock import monotonic, span_text
from treadle.core.errors import AuthRequired, InvalidInput, StoreUnavailable
from treadle.serving.glance import Glance, Look, between, parse

_PATIENCE = 10.0
_LARGEST = 64 * 1024 * 1024


class Top:
    """A server that is watched."""

    def __init__(self, url: str, *, token: str = "") -> None:
        """Watch the server at an address, as `http://127.0.0.1:8080`.

        Raises:
            InvalidInput: that is no address of a server.
        """
        if not url.startswith(("http://", "https://")):
            msg = f"{url!r} is no address of a server. Expected one as http://127.0.0.1:8080."
            raise InvalidInput(msg, field="url")
        self.url, self._token = url.rstrip("/"), token
        self._before: tuple[float, Look] | None = None

    def look(self) -> Glance:
        """Return what the server did since the last look; the first time, since it began.

        Raises:
            StoreUnavailable: it does not answer.
            AuthRequired: it wants a token that allows `metrics`.
        """
        now, found = monotonic(), parse(self._text())
        at, before = self._before or (now - 1.0, found)
        self._before = now, found
        return between(before, found, now - at)

    def _text(self) -> str:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        request = urllib.request.Request(f"{self.url}/metrics", headers=headers)  # noqa: S310 - checked above
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:  # noqa: S310
                return str(answer.read(_LARGEST).decode())
        except urllib.error.HTTPError as error:
            if error.code in {401, 403, 429}:
                msg = (
                    f"{self.url}/metrics answers {error.code}. Pass a token that allows metrics with --token."
                )
                raise AuthRequired(msg) from error
            msg = f"{self.url}/metrics answers {error.code}."
            raise StoreUnavailable(msg) from error
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "reason", error)
            msg = f"No server answers at {self.url}: {reason}. Start one with: treadle serve"
            raise StoreUnavailable(msg) from error


def page(seen: Glance, *, url: str, width: int, rollouts: Mapping[str, str]) -> list[str]:
    """Return lines for a terminal of a width; `rollouts` says of endpoints where theirs stands."""
    requests = sum(one.requests for one in seen.served)
    lines = [
        f"{url}  {seen.workers} workers  {seen.memory / 2**20:,.0f} MB  {seen.deaths} deaths",
        f"requests {requests:,.1f}/s  4xx {seen.refused:,.1f}/s  5xx {seen.failed:,.1f}/s  in flight {seen.in_flight}",
        f"log {seen.log_spooled / 2**20:,.1f} MB not in tables, lag {span_text(seen.log_lag)}, {seen.log_dropped:,} dropped",
    ]
    if seen.rejected:
        said = (f"{reason} {rate:,.1f}/s" for reason, rate in sorted(seen.rejected.items()))
        lines.append(f"given up: {', '.join(said)}")
    lines += [f"! {problem}" for problem in seen.problems]
    lines += ["", *_table(seen, rollouts)]
    return [line if len(line) <= width else line[: max(1, width - 1)] + "…" for line in lines]


def _table(seen: Glance, rollouts: Mapping[str, str]) -> list[str]:
    heading = ("endpoint", "req/s", "rows/s", "p50 ms", "p99 ms", "rev", "version", "variant", "rollout")
    rows = [
        (
            one.endpoint,
            f"{one.requests:,.1f}",
            f"{one.rows:,.1f}",
            _millis(one.p50),
            _millis(one.p99),
            str(seen.revisions.get(one.endpoint, "-")),
            one.version,
            one.variant,
            rollouts.get(one.endpoint, ""),
        )
        for one in seen.served
    ]
    quiet = sorted(set(seen.revisions) - {one.endpoint for one in seen.served})
    rows += [
        (name, "0.0", "0.0", "-", "-", str(seen.revisions[name]), "", "", rollouts.get(name, ""))
        for name in quiet
    ]
    widths = [max(len(row[i]) for row in (heading, *rows)) for i in range(len(heading))]
    return [
        "  ".join(
            cell.rjust(width) if 0 < i < 6 else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (heading, *rows)
    ]


def _millis(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:,.1f}"
