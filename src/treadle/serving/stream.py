"""What a broker must bring so that an endpoint can answer its messages: a source and a sink."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qs, urlsplit

from treadle.core import plugins
from treadle.core.errors import InvalidInput

#: Seconds that a broker may take to connect, to confirm and to acknowledge.
TIMEOUT = 10.0
_PLUGINS = {"amqp": "rabbitmq", "amqps": "rabbitmq", "nats": "nats", "tls": "nats", "rediss": "redis"}


class Incoming(NamedTuple):
    """A message that came."""

    #: The same each time it is delivered, where its sender or the broker gave it one.
    id: str
    body: bytes
    #: Which delivery this is, as far as the broker knows; the first is 1.
    delivery: int
    #: What the broker needs to know it again.
    receipt: Any


class Outgoing(NamedTuple):
    """A message that goes out."""

    #: The id of the message that it answers: whoever gets it twice can tell.
    id: str
    body: bytes


class Source(Protocol):
    """Messages that come; those that were not acknowledged come again. Each verb raises `StoreUnavailable`."""

    #: The place, for messages, without its password.
    shown: str

    def __init__(self, address: str) -> None: ...

    def take(self, limit: int, *, wait: float) -> list[Incoming]:
        """Return the next messages, at most so many, as soon as there is one; none after `wait` seconds."""
        ...

    def acknowledge(self, messages: Sequence[Incoming]) -> None:
        """Let the broker forget messages; one that it does not hear of comes again."""
        ...

    def park(self, message: Incoming, reason: str) -> None:
        """Put a message aside with the reason, safely, and then acknowledge it."""
        ...

    def waiting(self) -> int | None:
        """Return how many messages nobody has taken yet; None: the broker does not know."""
        ...

    def close(self) -> None:
        """Close the connection; what was not acknowledged is delivered again."""
        ...


class Sink(Protocol):
    """Where messages go. Each verb raises `StoreUnavailable`."""

    shown: str

    def __init__(self, address: str) -> None: ...

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """Send messages, and return once the broker has confirmed all of them."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


def source(address: str) -> Source:
    """Connect to where messages come from.

    Raises:
        InvalidInput: the address is none of a broker, or lacks what it needs.
        StoreUnavailable: the broker does not answer.
    """
    found: Source = _plugin(address).Source(address)
    return found


def sink(address: str) -> Sink:
    """Connect to where messages go; errors as for `source`."""
    found: Sink = _plugin(address).Sink(address)
    return found


def parts(address: str, *, needs: Sequence[str], may: Sequence[str] = (), expected: str) -> Mapping[str, str]:
    """Return the options of an address, which must be known.

    Raises:
        InvalidInput: one is missing or unknown.
    """
    options = {
        name: values[-1] for name, values in parse_qs(urlsplit(address).query, keep_blank_values=True).items()
    }
    wrong = [f"lacks {name!r}" for name in needs if not options.get(name)]
    wrong += [f"has an unknown option {name!r}" for name in options if name not in {*needs, *may}]
    if wrong:
        msg = f"The address {shown(address)} {wrong[0]}. Expected {expected}."
        raise InvalidInput(msg, field="address")
    return options


def whole(options: Mapping[str, str], name: str, usual: int | None) -> int | None:
    """Return an option that is a whole number above 0, or the usual value where it is not there.

    Raises:
        InvalidInput: it is none.
    """
    text = options.get(name)
    if text is None:
        return usual
    if not (text.isascii() and text.isdecimal() and int(text[:19]) > 0 and len(text) < 19):
        msg = f"The option {name!r} of the address is {text[:60]!r}. Expected a whole number above 0."
        raise InvalidInput(msg, field="address")
    return int(text)


def shown(address: str) -> str:
    """Return an address without user and password."""
    found = urlsplit(address)
    where = f"{found.hostname}:{found.port}" if found.port else str(found.hostname or "")
    return found._replace(netloc=where).geturl()


def _plugin(address: str) -> Any:
    try:
        scheme = urlsplit(address).scheme
        _ = urlsplit(address).port
    except ValueError as error:
        msg = f"The address is none ({error}). Expected one as amqp://host:5672/queue."
        raise InvalidInput(msg, field="address") from error
    name = _PLUGINS.get(scheme, scheme)
    if name not in plugins.available("stream"):
        msg = (
            f"{shown(address)!r} is the address of no broker that is known. Expected amqp://host/queue, "
            "nats://host/stream?durable=name or redis://host:6379/0?stream=name."
        )
        raise InvalidInput(msg, field="address")
    return plugins.load("stream", name)
