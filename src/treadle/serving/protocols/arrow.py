"""Arrow streams, for those who have a frame: at the path of `rows`, where the `Content-Type` says so.

The body is an Arrow IPC stream with the columns of the signature, as Polars' `write_ipc_stream` and pyarrow's
`ipc.new_stream` write it, not compressed. The answer is one too: `prediction_id`, `prediction` and what else the
task says, several numbers as a struct by their names; what is of the whole request stands in headers (`treadle-id`,
`-endpoint`, `-revision`, `-model`, `-version`, `-variant`). `id`, `subject` and `keys` (names of columns) stand in the address.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from treadle.core.errors import InvalidInput
from treadle.serving import arrow_stream, columns
from treadle.serving.answer import Answer
from treadle.serving.dataplane import Call, Dataplane
from treadle.serving.requests import Batch, Reader
from treadle.serving.web import Request, Response, refuse_plainly

_TYPE = "application/vnd.apache.arrow.stream"
#: What bodies may be said to be, and the pages that need no token.
MEDIA_TYPES, PUBLIC = (_TYPE,), ()
#: Paths at which predictions are asked for, by POST.
PREDICT = ("/v1/endpoints/{endpoint}/predict",)
#: What may stand in the address.
QUERY = columns.QUERY
#: More is not unpacked, whatever `serving.max_rows` allows.
_MOST_ROWS = 10_000_000


def parse(request: Request) -> Call:
    """Read a request.

    Raises:
        InvalidInput: the body is no Arrow stream, or a parameter of the address is unknown.
        TooLarge: it says it has more rows than any server allows.
    """
    beside = columns.asked(request.query)
    rows = arrow_stream.rows_of(request.body, most=_MOST_ROWS)

    def read(reader: Reader) -> Batch:
        reader.check_count(rows, "rows")
        return columns.read(reader, _columns(frame()), beside)

    frame = _once(lambda: _frame(request.body))
    keys = columns.keys_of(_columns(frame(), tuple(beside.keys)), beside) if beside.keys else None
    return Call(read=read, id=beside.id, subject=beside.subject, keys=keys, received=request.received)


def render(answer: Answer, call: Call) -> Response:  # noqa: ARG001 - other protocols ask what was wanted
    """Return the response to a request."""
    import polars as pl

    found = {"prediction_id": pl.Series([f"{answer.id}-{row}" for row in range(answer.batch.rows)])}
    for name, values in answer.outputs.items():
        if name in answer.columns:
            parts = {part: values[:, place] for place, part in enumerate(answer.columns[name])}
            found[name] = pl.DataFrame(parts).to_struct(name)
        else:
            found[name] = pl.Series(values.tolist() if values.dtype.kind in "OU" else values)
    stream = io.BytesIO()
    pl.DataFrame(found).write_ipc_stream(stream, compat_level=pl.CompatLevel.oldest())
    told = {
        "id": answer.id,
        "endpoint": answer.endpoint,
        "revision": answer.revision,
        "model": answer.variant.model,
        "version": answer.variant.version,
        "variant": answer.variant.name,
    }
    headers = tuple((f"treadle-{name}", quote(str(value), safe=" /:@+,;=")) for name, value in told.items())
    return Response(body=stream.getvalue(), headers=(("content-type", _TYPE), *headers))


def content(reader: Reader) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a request and its answer are, by media type: bytes, which JSON Schema has no words for."""
    del reader
    return {_TYPE: {}}, {_TYPE: {}}


def refuse(message: str, field: str | None) -> bytes:
    """Return the body of a refusal."""
    return refuse_plainly(message, field)


def pages() -> Mapping[str, Callable[[Dataplane, Request], Response]]:
    """Return nothing: what there is to see is shown by `rows`."""
    return {}


def _once(make: Callable[[], Any]) -> Callable[[], Any]:
    kept: list[Any] = []

    def get() -> Any:
        if not kept:
            kept.append(make())
        return kept[0]

    return get


def _frame(body: bytes) -> Any:
    import polars as pl

    try:
        return pl.read_ipc_stream(io.BytesIO(body))
    except (Exception, pl.exceptions.PanicException) as error:  # a panic is no Exception to Python
        msg = f"The body is not an Arrow stream: {str(error).partition(chr(10))[0][:200]}"
        raise InvalidInput(msg) from error


def _columns(frame: Any, names: Sequence[Any] | None = None) -> dict[str, list[Any]]:
    import polars as pl

    chosen = frame.columns if names is None else [name for name in names if name in frame.columns]
    try:
        return {name: frame[name].to_list() for name in chosen}
    except (Exception, pl.exceptions.PanicException) as error:
        msg = f"A value of the stream cannot be read: {str(error).partition(chr(10))[0][:200]}"
        raise InvalidInput(msg) from error
