"""Whoever takes OpenLineage events over HTTP, as the variables `OPENLINEAGE_*` name it."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urljoin

from treadle.core import hooks
from treadle.core.clock import Clock
from treadle.core.errors import InvalidInput, MirrorRefused, MirrorUnavailable, SettingsError
from treadle.core.ids import canonical
from treadle.loop.lineage_events import Event

#: Seconds that one event may take: less than the official client's 5, as a run may wait for the last one.
TIMEOUT = 3.0
_ENDPOINT = "api/v1/lineage"
#: Answers that say that this event will not do; all others are of the server, the way to it, or who asks.
_REFUSALS = {400, 406, 409, 413, 415, 422}


class LineageServer:
    """A server that takes run events: Marquez, DataHub, OpenMetadata, or a proxy of OpenLineage."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        """Take the variables; nothing is asked yet.

        Raises:
            SettingsError: one of them is not valid.
        """
        is_disabled = variables.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true"
        self._url = "" if is_disabled else variables.get("OPENLINEAGE_URL", "").strip()
        self._key = variables.get("OPENLINEAGE_API_KEY", "").strip()
        #: Of jobs and datasets; empty: the project's name.
        self.namespace = variables.get("OPENLINEAGE_NAMESPACE", "").strip()
        self._endpoint = variables.get("OPENLINEAGE_ENDPOINT", "").strip() or _ENDPOINT
        #: The server's address without what may be secret; what was told is remembered by it. Empty: it is off.
        self.place = f"openlineage {self._checked()}" if self._url else ""

    def post(self, event: Event, *, name: str, clock: Clock) -> None:
        """Send one event; `name` tells it from any other.

        Raises:
            MirrorUnavailable: the server did not take it now.
            MirrorRefused: it will not take this event.
        """
        failure = hooks.post(
            self._address,
            canonical(event),
            delivery=name,
            secret="",
            at=clock.now(),
            timeout=TIMEOUT,
            content_type="application/json",
            bearer=self._key,
        )
        if failure is None:
            return
        msg = f"{self.place}: {_said(failure)}"
        if failure.status in _REFUSALS:
            raise MirrorRefused(f"{msg} to {name}.", code=str(failure.status))
        raise MirrorUnavailable(f"{msg}. Events that it lacks are sent later.")

    def check(self) -> str:
        """Say that the server answers. No event is sent: whether it takes them shows with the first.

        Raises:
            MirrorUnavailable: it does not answer, or does not let us in.
        """
        failure = hooks.look(self._address, timeout=TIMEOUT, bearer=self._key)
        # The standard has no way to ask; an address that takes events need not answer questions.
        if failure is None or failure.status in {400, 404, 405, 406, 415, 422, 501}:
            return f"{self.place} answers"
        raise MirrorUnavailable(f"{self.place}: {_said(failure)}.")

    @property
    def _address(self) -> str:
        return urljoin(self._url, self._endpoint)

    def _checked(self) -> str:
        if self._key and not (self._key.isascii() and self._key.isprintable()):
            msg = "OPENLINEAGE_API_KEY holds something that no header can hold. Expected one line of ASCII."
            raise SettingsError(msg)
        try:
            hooks.checked(self._url, what="OPENLINEAGE_URL")
            return hooks.checked(self._address, what="OPENLINEAGE_URL with OPENLINEAGE_ENDPOINT")
        except InvalidInput as error:
            raise SettingsError(str(error)) from error


def _said(failure: hooks.Failure) -> str:
    if failure.status == 401:
        return f"{failure.said}: it does not know us. Set OPENLINEAGE_API_KEY"
    if failure.status == 403:
        return f"{failure.said}: this OPENLINEAGE_API_KEY may not write there"
    if failure.status == 404:
        return f"{failure.said}: no events are taken there. OPENLINEAGE_ENDPOINT names another path"
    return failure.said
