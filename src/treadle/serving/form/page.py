"""A page with a form for each endpoint, made of its signature: `/docs`, and what it loads.

Nothing on it comes from elsewhere, and no script runs but its own. Where a token is asked for, the page itself shows nothing:
it asks for the token and loads the forms with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from treadle.core.signature import Field
from treadle.serving import schemas
from treadle.serving.dataplane import Dataplane
from treadle.serving.requests import Reader
from treadle.serving.web import Request, Response

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_SAFE = (
    ("content-security-policy", _POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-cache"),
)
#: Kind of field → type of the control, and what is said beside it.
_CONTROLS = {
    "integer": ("text", "whole number"),
    "float": ("text", "number"),
    "string": ("text", "text"),
    "category": ("text", "text"),
    "timestamp": ("datetime-local", "moment in UTC"),
    "date": ("date", "date"),
}
_MOST_CHOICES = 200

Page = Callable[[Dataplane, Request], Response]


def pages(*, secured: Callable[[], bool]) -> Mapping[str, Page]:
    """Return what is shown, by path; only the forms are not for everybody where a token is asked for, now or later."""
    return {
        "/docs": lambda plane, asked: _html(
            _page(_asking() if secured() else _forms(plane, _root(asked)), root=_root(asked))
        ),
        "/docs/forms": lambda plane, asked: _html(_forms(plane, _root(asked))),
        "/docs/form.js": lambda _, __: _asset("form.js", "text/javascript"),
        "/docs/form.css": lambda _, __: _asset("form.css", "text/css"),
    }


#: Those that need no token.
PUBLIC = ("/docs", "/docs/form.js", "/docs/form.css")


def _html(text: str) -> Response:
    return Response(body=text.encode(), headers=(("content-type", "text/html; charset=utf-8"), *_SAFE))


def _asset(name: str, media: str) -> Response:
    return Response(body=_read(name), headers=(("content-type", f"{media}; charset=utf-8"), *_SAFE))


@cache
def _read(name: str) -> bytes:
    return Path(__file__).with_name(name).read_bytes()


def _root(request: Request) -> str:
    """Return what stands before all paths, where the server is mounted in another one."""
    return escape(quote(request.root))


def _page(inner: str, *, root: str) -> str:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Predictions – Treadle</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{root}/docs/form.css">
<script src="{root}/docs/form.js" defer></script>
</head>
<body data-root="{root}">
<header><p class="kicker">Treadle</p><h1>Predictions</h1>
<p class="lead">Try each endpoint with a row of your own. What you send is answered and logged like any other request.
The paths and their schemas are in <a href="{root}/openapi.json">openapi.json</a>.</p></header>
<noscript><p class="card note">Without JavaScript this page only shows what the endpoints take.</p></noscript>
<main id="forms">{inner}</main>
</body>
</html>
"""


def _asking() -> str:
    return """<form class="card token" data-token autocomplete="off">
<label for="token">Token</label>
<p class="hint" id="token-hint">This server asks for one (setting serving.token). It is kept in this page only.</p>
<div class="row"><input id="token" type="password" required aria-describedby="token-hint"><button>Show the endpoints</button></div>
<p class="problem" role="alert" hidden></p>
</form>"""


def _forms(plane: Dataplane, root: str) -> str:
    names = sorted({*plane.loaded, *plane.refused})
    if not names:
        return '<p class="card note">No endpoint yet: the first release of a model makes one.</p>'
    return "\n".join(_endpoint(plane, name, root, is_open=place == 0) for place, name in enumerate(names))


def _endpoint(plane: Dataplane, name: str, root: str, *, is_open: bool) -> str:
    head = f"<summary><h2>{escape(name)}</h2>{_variants(plane, name)}</summary>"
    refused = plane.refused.get(name)
    said = f'<p class="problem">{escape(refused.error)}</p>' if refused else ""
    body = _form(name, plane.reader(name)[2], root) if name in plane.loaded else ""
    return f'<details class="card"{" open" if is_open else ""}>{head}{said}{body}</details>'


def _variants(plane: Dataplane, name: str) -> str:
    loaded = plane.loaded.get(name)
    if loaded is None:
        return '<span class="facts">not loaded</span>'
    several = len(loaded.revision.variants) > 1
    variants = [
        f"{v.name} {v.model}/{v.version}" + (f" {v.weight:.0%}" if several else "")
        for v in loaded.revision.variants
    ]
    return f'<span class="facts">revision {loaded.revision.revision} · {escape(" · ".join(variants))}</span>'


def _form(name: str, reader: Reader, root: str) -> str:
    fields = "\n".join(
        _field(f"{name}-{place}", field, is_optional=field.name in reader.optional)
        for place, field in enumerate(reader.fields.values())
    )
    subject = _labelled(
        f"{name}-subject",
        "subject",
        "optional: who or what it is for",
        '<input type="text" name="" data-subject>',
    )
    return f"""<form data-path="{root}/v1/endpoints/{quote(name, safe="")}/predict" autocomplete="off" novalidate>
<div class="fields">
{fields}
{subject}
</div>
<p class="row"><button>Predict</button><span class="state" role="status"></span></p>
<p class="problem" role="alert" hidden></p>
<div class="answer" hidden>
<h3>Answer</h3>
<dl></dl>
<details><summary>As JSON</summary><pre tabindex="0" data-json></pre></details>
<details><summary>With curl</summary><pre tabindex="0" data-curl></pre></details>
</div>
</form>"""


def _field(key: str, field: Field, *, is_optional: bool) -> str:
    if is_optional:
        beside = "; empty: read online or computed"
    else:
        beside = "; empty: missing" if field.nullable else ""
    data = f'name="{escape(field.name)}" data-kind="{field.kind}"'
    data += " data-nullable" if field.nullable else ""
    data += " data-optional" if is_optional else ""
    if field.kind == "boolean":
        empty = '<option value=""></option>' if field.nullable or is_optional else ""
        control = f"<select {data}>{empty}<option>true</option><option>false</option></select>"
        return _labelled(key, field.name, f"yes or no{beside}", control)
    kind, said = _CONTROLS[field.kind]
    given = "" if is_optional else escape(_shown(field))
    step = ' step="1"' if kind == "datetime-local" else ""
    mode = {"integer": ' inputmode="numeric"', "float": ' inputmode="decimal"'}.get(field.kind, "")
    choices = ""
    if field.levels:
        options = "".join(f"<option>{escape(level)}</option>" for level in field.levels[:_MOST_CHOICES])
        choices = f'<datalist id="{escape(key)}-levels">{options}</datalist>'
        data += f' list="{escape(key)}-levels"'
    control = f'<input type="{kind}"{step}{mode} {data} value="{given}">{choices}'
    return _labelled(key, field.name, f"{said}{beside}", control)


def _labelled(key: str, name: str, hint: str, control: str) -> str:
    key = escape(key)
    tag = control.partition(" ")[0]
    control = control.replace(tag, f'{tag} id="{key}" aria-describedby="{key}-hint {key}-problem"', 1)
    return (
        f'<div class="field"><label for="{key}">{escape(name)}</label>'
        f'<span class="hint" id="{key}-hint">{escape(hint)}</span>{control}'
        f'<span class="problem" id="{key}-problem" hidden></span></div>'
    )


def _shown(field: Field) -> str:
    found: Any = schemas.example(field)
    return str(found).removesuffix("Z")
