"""The OpenAPI 3.1 document of a server: every path, typed by what each endpoint's model takes and gives now."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import Any
from urllib.parse import quote

from treadle.core import plugins
from treadle.core.signature import Signature
from treadle.serving import schemas
from treadle.serving.dataplane import Dataplane
from treadle.serving.requests import Reader
from treadle.serving.routing import About, Route

_JSON = "application/json"
_NAMED = re.compile(r"\{(\w+)\}")
_TEXT = {"content": {"text/plain": {"schema": {"type": "string"}}}}
_ERRORS = {
    400: ("BadRequest", "What came is not what was expected; the field is named."),
    401: ("Unauthorized", "The token is missing or wrong."),
    403: ("Forbidden", "The token does not allow this, or a page of another place asks for it."),
    404: ("NotFound", "There is no endpoint or version of that name."),
    405: ("NotAllowed", "The method is not possible here; the header Allow says which are."),
    408: ("TooSlow", "The body did not come in time."),
    409: ("Conflict", "It was changed meanwhile, or what would be loaded was refused."),
    413: ("TooLarge", "The body or the number of rows is over the limit."),
    415: ("WrongMediaType", "The body is said to be of a kind that is not read here."),
    421: ("Misdirected", "The request is for a host that this server is not."),
    429: (
        "TooMany",
        "The server has as much to do as it takes on; the header Retry-After says when to come again.",
    ),
    500: ("Failed", "The model or the server failed."),
    501: ("NotInstalled", "The server lacks the library for it."),
    503: (
        "Unavailable",
        "Nothing is loaded yet, or a store does not answer; the header Retry-After says when to come again.",
    ),
    504: ("Timeout", "It took too long."),
    507: ("Full", "The prediction log has no space left."),
}
_READ = (400, 401, 403, 404, 405, 421, 429, 500, 503)


def document(plane: Dataplane, routes: Iterable[Route], *, secured: bool, root: str = "") -> dict[str, Any]:
    """Return the document; `secured` says whether a token is asked for, `root` below which path the server is mounted."""
    names = sorted(plane.loaded)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        for path, name in _concrete(route, names):
            place = paths.setdefault(path, {})
            method = route.method.lower()
            operation = _operation(route, plane, name)
            if route.about and not name:
                continue
            if method in place:
                _merge(place[method], operation)
            else:
                place[method] = operation
    found: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Treadle predictions",
            "version": _release(),
            "description": "Typed by what each endpoint's newest revision takes. A form that tries it is at /docs.",
        },
        "paths": paths,
        "components": {
            "schemas": {
                "Error": {
                    "description": "A refusal; each protocol says it in its own form.",
                    "type": "object",
                }
            },
            "responses": {name: _refusal(said) for name, said in _ERRORS.values()},
        },
    }
    if root:
        found["servers"] = [{"url": quote(root)}]
    if secured:
        found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        found["security"] = [{"token": []}]
    return found


def _concrete(route: Route, names: list[str]) -> list[tuple[str, str]]:
    """Return the paths that a route stands for: one for each endpoint, with the endpoint's name."""
    if "{endpoint}" in route.path:
        return [(route.path.replace("{endpoint}", quote(name, safe="")), name) for name in names]
    return [(route.path, names[0] if len(names) == 1 else "")]


def _operation(route: Route, plane: Dataplane, name: str) -> dict[str, Any]:
    found: dict[str, Any] = {"tags": [name] if name and "{endpoint}" in route.path else ["server"]}
    if route.public:
        found["security"] = []
    if "{version}" in route.path:
        known = sorted({v.version for v in plane.loaded[name].revision.variants})
        schema = {"type": "string", "enum": [str(version) for version in known]}
        found["parameters"] = [{"name": "version", "in": "path", "required": True, "schema": schema}]
    found["parameters"] = [
        *found.get("parameters", []),
        *(
            {"name": part, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
            for part in _NAMED.findall(route.path)
            if part not in {"endpoint", "version"}
        ),
    ]
    if route.about:
        return _about(found, route.about, plane.reader(name)[2])
    if route.protocol:
        reader = plane.reader(name)[2] if name else None
        request, response = _contents(route, reader)
        found |= {
            "summary": f"Predict: {route.protocol}",
            "requestBody": {"required": True, "content": request},
        }
        found["parameters"] += _parameters(route)
        return {**found, "responses": _responses(_ERRORS, response)}
    if route.path.endswith("/outcomes"):
        found |= {
            "summary": "Report outcomes",
            "requestBody": {"required": True, "content": _outcomes(plane, name)},
        }
        said = schemas.plain({"id": {"type": "string"}, "accepted": {"type": "integer"}}, ["id", "accepted"])
        return {**found, "responses": _responses(_ERRORS, {_JSON: {"schema": said}})}
    if route.method == "POST":
        found |= {"summary": "Look for a new revision at once"}
        return {**found, "responses": _responses(_ERRORS, {_JSON: {"schema": {"type": "object"}}})}
    found |= {"summary": route.path.rpartition("/")[2]}
    return {**found, "responses": _responses(_READ, _shown(route.path))}


def _about(found: dict[str, Any], about: About, reader: Reader) -> dict[str, Any]:
    """Complete the operation of a route that says itself what it is."""
    found["parameters"] += [
        {"name": name, "in": "query", "description": said, "schema": {"type": "string"}}
        for name, said in about.query.items()
    ]
    if about.takes_rows:
        request, _ = plugins.load("protocol", "rows").content(reader)
        example = request[_JSON]["example"]
        found["requestBody"] = {
            "required": True,
            "content": {_JSON: {"schema": {"type": "object"}, "example": example}},
        }
    content: dict[str, Any] = {media: {} for media in about.answers}
    done = {str(status): {"description": "Done.", "content": content} for status in about.statuses}
    return {**found, "summary": about.summary, "responses": {**_responses(_ERRORS, {}), **done}}


def _contents(route: Route, reader: Reader | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the bodies of a request and its answer, by media type."""
    protocol = plugins.load("protocol", route.protocol)
    if reader is not None and hasattr(protocol, "content"):
        request, response = protocol.content(reader)
        return dict(request), dict(response)
    kinds = [media for media in protocol.MEDIA_TYPES if media]
    return {kinds[0]: {}}, {kinds[0]: {}}


def _parameters(route: Route) -> list[dict[str, Any]]:
    protocol = plugins.load("protocol", route.protocol)
    named = getattr(protocol, "QUERY", {})
    if "{endpoint}" not in route.path:
        named = {**named, "endpoint": "The endpoint that is meant."}
    return [
        {"name": name, "in": "query", "description": said, "schema": schemas.ID}
        for name, said in named.items()
    ]


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Add to an operation what another protocol reads and answers at the same path."""
    into["requestBody"]["content"] |= more["requestBody"]["content"]
    into["responses"]["200"]["content"] |= more["responses"]["200"]["content"]
    known = {parameter["name"] for parameter in into["parameters"]}
    into["parameters"] += [found for found in more["parameters"] if found["name"] not in known]
    into["summary"] += f", {more['summary'].removeprefix('Predict: ')}"


def _responses(errors: Iterable[int], content: Mapping[str, Any]) -> dict[str, Any]:
    refused = {str(code): {"$ref": f"#/components/responses/{_ERRORS[code][0]}"} for code in errors}
    return {"200": {"description": "Done.", "content": dict(content)}, **refused}


def _refusal(said: str) -> dict[str, Any]:
    return {"description": said, "content": {_JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}}


def _shown(path: str) -> dict[str, Any]:
    last = path.rpartition("/")[2]
    if last in {"metrics", "ping", "health", "version"}:
        return _TEXT["content"]
    if last in {"docs", "forms"}:
        return {"text/html": {}}
    if path == "/v2/models/{endpoint}/ready" or path.endswith("{version}/ready"):
        return {_JSON: {}}
    return (
        {"text/javascript": {}}
        if last.endswith(".js")
        else {"text/css": {}}
        if last.endswith(".css")
        else {_JSON: {}}
    )


def _outcomes(plane: Dataplane, name: str) -> dict[str, Any]:
    signature: Signature = plane.reader(name)[2].signature
    named = any(f.name == "prediction" and f.kind in {"category", "string"} for f in signature.outputs)
    largest = 1e300
    value: dict[str, Any] = (
        {"type": "string"}
        if named
        else {"type": ["number", "boolean"], "minimum": -largest, "maximum": largest}
    )
    one = {
        **schemas.plain({"value": value, "prediction_id": {"type": "string"}, "key": schemas.KEY}, ["value"]),
        "oneOf": [{"required": ["prediction_id"]}, {"required": ["key"]}],
        "additionalProperties": False,
    }
    body = schemas.plain(
        {"outcomes": {"type": "array", "minItems": 1, "items": one}, "id": {"type": "string"}}, ["outcomes"]
    )
    told = {"prediction_id": "01k…-0", "value": "text" if named else 1}
    return {_JSON: {"schema": {**body, "additionalProperties": False}, "example": {"outcomes": [told]}}}


def _release() -> str:
    try:
        return metadata.version("treadle")
    except metadata.PackageNotFoundError:
        return "source"
