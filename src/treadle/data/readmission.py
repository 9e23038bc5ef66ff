"""Re-admission: quarantined rows read again from what they were when they landed, mended where somebody says how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import polars as pl

from treadle.core.errors import InvalidInput
from treadle.data.contracts import ContractSpec
from treadle.data.quarantine import NOT_A_ROW, as_json
from treadle.data.raw import Form, Raw
from treadle.data.sources import _jsonl

#: Replaces cells: a function of all cells, or by column an expression or a plain value.
Mend = Callable[[pl.DataFrame], pl.DataFrame] | Mapping[str, Any]
_FORMS: dict[str, Form] = {
    **dict.fromkeys(("csv", "tsv", "txt"), "text"),
    **dict.fromkeys(("jsonl", "ndjson", "parquet", "pq", "arrow", "feather", "ipc"), "json"),
}
_DECODER = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, kw_only=True)
class Readmission:
    """Quarantined rows of one file and one version, ready to be checked again."""

    #: `rows` or `outcomes`, and the version in which they were quarantined.
    part: str
    version: int
    raw: Raw


def form_of(file: str) -> Form | None:
    """Return how a file's cells are written by its ending, as of `a.csv.gz`; None where that does not say it.

    >>> form_of("landing/a.csv.gz")
    'text'
    """
    *_, ending = file.lower().removesuffix(".gz").removesuffix(".zip").rpartition(".")
    return _FORMS.get(ending)


def with_cells(rows: pl.DataFrame, cells: Mapping[str, str]) -> pl.DataFrame:
    """Put values into columns; cells are text where the file is CSV, and typed where it is not."""
    kinds = rows.schema
    return rows.with_columns(
        pl.lit(value).cast(kinds.get(name, pl.String()), strict=False).alias(name)
        for name, value in cells.items()
    )


def readmissions(
    quarantine: pl.DataFrame,
    *,
    specs: Mapping[str, ContractSpec],
    form: Callable[[str], Form | None] = form_of,
    mend: Mend | None = None,
) -> list[Readmission]:
    """Return quarantined rows as rows that landed, by part, file and version, each with the cells that it had.

    `specs` are the contracts of the parts, as they are now: columns that came since have no value. `form` says how a
    file's cells are written, by default by the ending of its name; None leaves it to the cells: where all are text, they are
    read as in CSV. `mend` changes cells before they are checked: it sees one file's cells as they landed, all text where the file
    is CSV, and may change values and types but neither add, drop nor reorder rows. A row that could not be split into cells
    stays bad unless the mend changes it.

    Values of types that JSON lacks (moments, days, bytes of a Parquet file) come back as text.

    Raises:
        InvalidInput: the mend raised, or returned something else than these rows.
    """
    found = []
    order = ["_part", "_file", "_version"]
    for (part, file, version), rows in quarantine.sort(*order, "_row").group_by(order, maintain_order=True):
        raw = _raw(str(file), rows["_raw"], form=form(str(file)))
        before = raw.frame
        raw = _mended(raw, mend) if mend is not None else raw
        broken = _broken(rows, before, raw.frame)
        frame = _completed(raw.frame, specs[str(part)])
        raw = replace(raw, frame=frame, broken=broken, given_places=rows.select("_file", "_row"))
        version = version if isinstance(version, int) else 0
        found.append(Readmission(part=str(part), version=version, raw=raw))
    return found


def _raw(file: str, texts: pl.Series, *, form: Form | None) -> Raw:
    rows = [_DECODER.decode(text) for text in texts]
    if form is None:
        form = "text" if all(_is_text(cell) for row in rows for cell in row.values()) else "json"
    if form != "text":
        return _jsonl.parse(file, "\n".join(texts).encode())
    names = dict.fromkeys(name for row in rows for name in row)
    columns = [pl.Series(name, [_as_text(row.get(name)) for row in rows], dtype=pl.String) for name in names]
    return Raw(file=file, frame=pl.DataFrame(columns), form="text")


def _is_text(cell: msgspec.Raw) -> bool:
    return bytes(cell)[:1] in {b'"', b"n"}


def _as_text(cell: msgspec.Raw | None) -> str | None:
    """Return a JSON value as a cell of text: a string as it is, anything else as JSON has it."""
    text = b"null" if cell is None else bytes(cell)
    if text[:1] == b'"':
        return msgspec.json.decode(text, type=str)
    return None if text == b"null" else text.decode()


def _mended(raw: Raw, mend: Mend) -> Raw:
    try:
        frame: object = mend(raw.frame) if callable(mend) else raw.frame.with_columns(**_expressions(mend))
    except Exception as error:
        told = str(error).partition("\n")[0].rstrip(".")
        msg = f"The mend of {raw.file} raised {type(error).__name__}: {told}. The columns: {_columns(raw.frame)}."
        raise InvalidInput(msg, field="mend") from error
    if not isinstance(frame, pl.DataFrame) or frame.height != raw.frame.height:
        came = f"{frame.height} rows" if isinstance(frame, pl.DataFrame) else repr(frame)
        msg = f"The mend of {raw.file} returned {came}. Expected a frame of the same {raw.frame.height} rows, in their order."
        raise InvalidInput(msg, field="mend")
    mixed = frozenset(name for name in raw.mixed if frame.schema.get(name) == pl.String)
    return Raw(file=raw.file, frame=frame, form=raw.form, mixed=mixed)


def _expressions(mend: Mapping[str, Any]) -> dict[str, pl.Expr]:
    return {name: value if isinstance(value, pl.Expr) else pl.lit(value) for name, value in mend.items()}


def _broken(rows: pl.DataFrame, before: pl.DataFrame, after: pl.DataFrame) -> dict[int, str]:
    """Return the rows that could not be split into cells, and that nobody has mended."""
    is_broken = rows["_reason"].str.starts_with(NOT_A_ROW)
    if not is_broken.any():
        return {}
    if after is not before:
        is_broken = is_broken & (_texts(before) == _texts(after))
    return dict(rows.filter(is_broken).select("_row", "_reason").iter_rows())


def _texts(frame: pl.DataFrame) -> pl.Series:
    """Return each row as text, the same for a number and its text."""
    plain = frame.with_columns(
        frame[name].cast(pl.String, strict=False)
        for name, dtype in frame.schema.items()
        if not dtype.is_nested()
    )
    return plain.select(as_json(plain)).to_series()


def _completed(frame: pl.DataFrame, spec: ContractSpec) -> pl.DataFrame:
    """Return the rows with the columns that the contract has had only since."""
    fresh = [one.name for one in spec.columns if one.nullable and one.name not in frame.columns]
    return frame.with_columns(pl.lit(None).alias(name) for name in fresh)


def _columns(frame: pl.DataFrame) -> str:
    return ", ".join(f"{name} ({dtype})" for name, dtype in frame.schema.items())
