"""Which route answers a request: by method and path, and where several share a path, by what the body is said to be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from treadle.core.errors import TreadleError, WrongMediaType
from treadle.serving.web import refuse_plainly

Refuse = Callable[[str, str | None], bytes]

#: What JSON bodies may be said to be; curl and urllib say the last one of everything that they are not told about.
JSON_TYPES = (
    "",
    "application/json",
    "text/json",
    "application/octet-stream",
    "application/x-www-form-urlencoded",
)


class Unmatched(TreadleError):
    """No route answers; `allowed` are the methods that are possible at the path, none where nothing is there."""

    def __init__(self, message: str, *, allowed: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.allowed = allowed


class About(NamedTuple):
    """What the OpenAPI document says of a route, where its path does not say it."""

    summary: str
    #: Parameters of the address, and what each says.
    query: Mapping[str, str] = {}
    #: Statuses of success.
    statuses: tuple[int, ...] = (200,)
    #: Media types of what comes back.
    answers: tuple[str, ...] = ("application/json",)
    #: Whether the body is what `rows` takes, and more beside it.
    takes_rows: bool = False


class Route:
    """A method and a path such as `/v2/models/{endpoint}/infer`, and what answers it."""

    __slots__ = (
        "_parts",
        "about",
        "handler",
        "media_types",
        "method",
        "path",
        "protocol",
        "public",
        "refuse",
        "scope",
    )

    def __init__(
        self,
        method: str,
        path: str,
        *,
        handler: Callable[..., Any],
        refuse: Refuse,
        public: bool = False,
        scope: str = "any",
        media_types: tuple[str, ...] = JSON_TYPES,
        protocol: str = "",
        about: About | None = None,
    ) -> None:
        self.method, self.path, self.handler, self.refuse, self.public = method, path, handler, refuse, public
        #: What a token must allow, see `tokens.SCOPES`; "any": whatever it allows.
        self.scope = scope
        #: What bodies may be said to be.
        self.media_types = media_types
        #: The plug-in that reads predictions' requests here; empty: none is asked for.
        self.protocol = protocol
        self.about = about
        self._parts = tuple(path.strip("/").split("/"))

    def match(self, parts: tuple[str, ...]) -> dict[str, str] | None:
        """Return the named parts of a path that fits; None: it does not fit."""
        if len(parts) != len(self._parts):
            return None
        names = {}
        for given, wanted in zip(parts, self._parts, strict=True):
            if wanted[:1] == "{":
                names[wanted[1:-1]] = unquote(given)
            elif given != wanted:
                return None
        return names

    def takes(self, media: str) -> bool:
        """Whether a body that is said to be this is read here."""
        return media in self.media_types or (
            media.endswith("+json") and "application/json" in self.media_types
        )


class Found(NamedTuple):
    """What answers a request: a route, or the reason why there is none."""

    route: Route | None
    #: The named parts of the path, decoded.
    names: dict[str, str]
    #: How a refusal is said here.
    refuse: Refuse
    problem: TreadleError | None = None

    @property
    def public(self) -> bool:
        """Whether no token is needed."""
        return self.route is not None and self.route.public

    def chosen(self) -> Route:
        """Return the route.

        Raises:
            Unmatched: there is none.
            WrongMediaType: there are some, but none reads such a body.
        """
        if self.route is None:
            raise self.problem or Unmatched("Nothing is here.")
        return self.route


class Routes(tuple[Route, ...]):
    """Every method and path that is answered."""

    __slots__ = ()

    def find(self, method: str, path: str, content_type: str) -> Found:
        """Return what answers a method at a path, with a body that is said to be this; HEAD is answered like GET."""
        parts, wanted = tuple(path.strip("/").split("/")), "GET" if method == "HEAD" else method
        media = content_type.partition(";")[0].strip().lower()
        passed = []
        for route in self:
            if route.method == wanted:
                names = route.match(parts)
                if names is None:
                    continue
                if wanted != "POST" or route.takes(media):
                    return Found(route, names, route.refuse)
                passed.append(route)
        if passed:
            return Found(None, {}, passed[0].refuse, _wrong_type(media, passed))
        return Found(None, {}, refuse_plainly, self._unmatched(method, path, parts))

    def _unmatched(self, method: str, path: str, parts: tuple[str, ...]) -> Unmatched:
        allowed = tuple(sorted({route.method for route in self if route.match(parts) is not None}))
        if allowed:
            return Unmatched(
                f"{method} is not possible here. Expected {' or '.join(allowed)}.", allowed=allowed
            )
        paths = " and ".join(dict.fromkeys(route.path for route in self if route.protocol))
        return Unmatched(f"Nothing is at {path[:200]}. Predictions are asked for at {paths}.")


def _wrong_type(media: str, routes: Iterable[Route]) -> WrongMediaType:
    kinds = [next(name for name in route.media_types if name) for route in routes]
    msg = f"The body is said to be {media[:60]!r}. Expected the header 'Content-Type: {' or '.join(kinds)}'."
    return WrongMediaType(msg, field="content-type")
