"""A look at somebody's data: types, what tells rows apart, the time, what kind of question the target asks."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from treadle.core.errors import InvalidInput, NotFound, closest
from treadle.data.checks import check
from treadle.data.contracts import ContractSpec
from treadle.data.inference import inferred
from treadle.data.raw import Raw
from treadle.data.sources.files import Files
from treadle.data.types import KEYS, Kind

#: Files are looked at until this many rows were seen.
SAMPLE = 200_000
#: A text column with at most this many different values becomes an input; one with more is passed over.
MOST_LEVELS = 200
_ENDINGS = (".csv", ".tsv", ".gz", ".zip", ".parquet", ".jsonl", ".ndjson")
#: A target of at most this many different words is told apart; of more it is taken to be a name.
MOST_CLASSES = 20
#: What people write in a column of numbers where there is none.
_NOTHING = ("NA", "N/A", "n/a", "na", "NULL", "null", "NaN", "nan", "None", "none", "-", "?", " ")
_POSITIVE = ("yes", "true", "y", "t", "1", "positive")
#: Columns of these endings are tried first as the key.
_NAMING = ("id", "key", "uuid", "number", "no", "code")


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a look at the data found."""

    files: Files
    rows: int
    target: str
    task: str
    #: For a target of two words, the one whose probability is predicted.
    positive: str | None
    key: tuple[str, ...]
    time: str | None
    types: dict[str, Kind]
    nullable: frozenset[str]
    numeric: tuple[str, ...]
    words: tuple[str, ...]
    #: One row's inputs, as a request brings them.
    example: dict[str, object]
    #: What a person should know, as sentences.
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Landed:
    files: Files
    spec: ContractSpec
    #: Typed rows.
    frame: pl.DataFrame
    #: Whether every cell was text in the file.
    textual: bool

    def kinds(self) -> dict[str, Kind]:
        return {column.name: column.kind for column in self.spec.columns}


@dataclass
class _Inputs:
    numeric: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)


def look(folder: Path, *, data: str, target: str, key: str = "", time: str = "") -> Look:
    """Look at the data and decide types, key, time, task and inputs; `key` may be several columns with commas between.

    Raises:
        NotFound: no file matches.
        InvalidInput: a name is not a column, nothing tells rows apart, or the target cannot be predicted.
    """
    landed = _land(folder, data)
    frame, kinds = landed.frame, landed.kinds()
    named = (key,) if key in frame.columns else tuple(filter(None, map(str.strip, key.split(","))))
    for role, names in (("target", (target,)), ("key", named), ("time", (time,) if time else ())):
        for name in names:
            if name not in frame.columns:
                msg = f"The {role} {name!r} is not a column of {data}. {closest(name, frame.columns)}"
                raise InvalidInput(msg, field=role)
    task, positive = _task(landed, target)
    if positive is not None:
        kinds[target] = "str"
    when = _time(frame, kinds, target=target, given=time)
    if when:
        kinds[when] = "datetime"
    ident = _given_key(frame, kinds, named) if named else _key(frame, kinds, target=target, time=when)
    inputs = _inputs(frame, kinds, taken={target, when, *(ident if len(ident) == 1 else ())})
    chosen = [*inputs.numeric, *inputs.words]
    return Look(
        files=landed.files,
        rows=frame.height,
        target=target,
        task=task,
        positive=positive,
        key=ident,
        time=when,
        types=kinds,
        nullable=frozenset(c for c in frame.columns if frame[c].null_count() and c not in {*ident, when}),
        numeric=tuple(inputs.numeric),
        words=tuple(inputs.words),
        example=frame.select(chosen).drop_nulls().head(1).to_dicts()[0]
        if chosen and _whole(frame, chosen)
        else {},
        notes=_notes(frame, ident, when, inputs=inputs, asked=_asked(frame[target], task, positive)),
    )


def columns(folder: Path, data: str) -> list[str]:
    """Return the names of the columns of a data file."""
    return _land(folder, data).frame.columns


def read(folder: Path, data: str, *, most: int | None = SAMPLE) -> tuple[Files, list[Raw]]:
    """Return somebody's rows, and the source that reads them so: what separates cells, and which words mean no value.

    Files are read until `most` rows were seen; None: all.

    Raises:
        NotFound: no file matches.
        InvalidInput: the files hold no rows.
    """
    files = Files(data)
    raws = _read(files, folder, most)
    delimiter = _delimiter(raws[0])
    if delimiter != files.delimiter:
        files = Files(data, delimiter=delimiter)
        raws = _read(files, folder, most)
    nothing = _null_values(raws) if raws[0].form == "text" else []
    if nothing:
        files = Files(data, delimiter=delimiter, null_values=["", *nothing])
        raws = _read(files, folder, most)
    return files, raws


def _land(folder: Path, data: str) -> _Landed:
    files, raws = read(folder, data)
    _check_header(raws[0])
    spec = inferred(raws, name=data)
    frame = pl.concat(check(raw, spec, rules={}).good.select(spec.names) for raw in raws)
    return _Landed(files, spec, frame, textual=raws[0].form == "text")


def _read(files: Files, folder: Path, most: int | None) -> list[Raw]:
    listing = files.listing(folder)
    if not listing:
        here = sorted(path.name for path in folder.iterdir() if path.name.endswith(_ENDINGS))
        msg = f"No file matches {files.pattern!r} in {folder}. Data files here: {', '.join(here) or 'none'}."
        raise NotFound(msg)
    raws: list[Raw] = []
    for file in listing:
        raws.append(files.parse(file, files.fetch(file)))
        if most is not None and sum(raw.frame.height for raw in raws) >= most:
            break
    if not any(raw.frame.height for raw in raws):
        msg = f"{files.pattern} holds no rows. Expected a header and rows below it."
        raise InvalidInput(msg, field="data")
    return raws


def _delimiter(raw: Raw) -> str:
    """Return what separates the cells: the comma, unless the header is one cell that holds another one."""
    header = raw.frame.columns
    if raw.form != "text" or len(header) > 1:
        return ","
    return max((",", ";", "\t", "|"), key=header[0].count)


def _null_values(raws: list[Raw]) -> list[str]:
    """Return the words that stand for `no value` in columns that hold nothing but numbers beside them."""
    found: set[str] = set()
    for name in raws[0].frame.columns:
        cells = pl.concat(raw.frame[name] for raw in raws if name in raw.frame.columns).drop_nulls().unique()
        others = cells.filter(~cells.is_in(_NOTHING))
        if (
            len(others)
            and len(others) < len(cells)
            and not others.cast(pl.Float64, strict=False).null_count()
        ):
            found |= set(cells) & set(_NOTHING)
    return sorted(found)


def _check_header(raw: Raw) -> None:
    for place, name in enumerate(raw.frame.columns, start=1):
        if not name.strip():
            msg = f"Column {place} of {raw.file} has no name, as when pandas writes its index. Name it, or write with index=False."
            raise InvalidInput(msg, field="data")
        if name.startswith("_"):
            msg = f"The column {name!r} of {raw.file} starts with '_', as only Treadle's own do. Rename it in the file."
            raise InvalidInput(msg, field="data")


def _task(landed: _Landed, target: str) -> tuple[str, str | None]:
    """Return the task, and the positive class of a target of two words."""
    cells, kind = landed.frame[target], landed.kinds()[target]
    values = cells.drop_nulls().unique().sort()
    if len(values) < 2:
        msg = f"The target {target!r} has {len(values)} different values. There is nothing to predict: expected at least two."
        raise InvalidInput(msg, field="target")
    if kind == "bool" or (kind in {"int", "float"} and set(values) == {0, 1}):
        return "Classification", None
    if len(values) == 2 and (kind == "str" or (kind == "int" and landed.textual)):
        return "Classification", _positive(cells.cast(pl.String))
    if kind in {"int", "float"}:
        return "Regression", None
    if kind == "str" and len(values) <= min(MOST_CLASSES, cells.len() // 2):
        return "Multiclass", None
    shown = ", ".join(str(value) for value in values.head(5))
    msg = (
        f"The target {target!r} has {len(values)} different values ({shown}, …). Expected a number to estimate, "
        f"or 2 to {MOST_CLASSES} values (such as true and false) to tell apart."
    )
    raise InvalidInput(msg, field="target")


def _positive(cells: pl.Series) -> str:
    """Return the word that means yes, else the rarer one."""
    counts = cells.drop_nulls().value_counts(name="n").sort("n", cells.name, descending=[False, True])
    words: list[str] = counts[cells.name].to_list()
    return next((word for word in words if word.strip().lower() in _POSITIVE), words[0])


def _time(frame: pl.DataFrame, kinds: dict[str, Kind], *, target: str, given: str) -> str | None:
    if given:
        if kinds[given] not in {"datetime", "date"}:
            shown = frame[given].drop_nulls().head(1).to_list()
            msg = f"The time {given!r} holds no moments (as {shown[0] if shown else None!r}). Expected ISO 8601, as 2013-01-31 05:00:00."
            raise InvalidInput(msg, field="time")
        return given
    for wanted in ("datetime", "date"):
        for name in frame.columns:
            born = "birth" in name.lower() or "dob" in name.lower()
            if kinds[name] == wanted and name != target and not frame[name].null_count() and not born:
                return name
    return None


def _given_key(frame: pl.DataFrame, kinds: dict[str, Kind], names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if kinds[name] not in KEYS:
            what = "is a number with decimals" if kinds[name] == "float" else "holds lists of numbers"
            msg = f"The key {name!r} {what}, which cannot tell rows apart for ever. Expected text, integers, moments."
            raise InvalidInput(msg, field="key")
    different = frame.select(names).n_unique()
    if different < frame.height:
        msg = (
            f"The key {', '.join(names)} tells {different} of {frame.height} rows apart. Expected columns that no two rows "
            "share, as: --key store,day"
        )
        raise InvalidInput(msg, field="key")
    return names


def _key(frame: pl.DataFrame, kinds: dict[str, Kind], *, target: str, time: str | None) -> tuple[str, ...]:
    """Return a column that tells rows apart, or else the time and one or two columns with it."""
    whole = [c for c in frame.columns if c != target and kinds[c] in KEYS and not frame[c].null_count()]
    named = [c for c in whole if c.lower().endswith(_NAMING)]
    first = [c for c in frame.columns[:1] if c in whole]
    text = [c for c in whole if kinds[c] == "str"]
    single = list(dict.fromkeys([*named, *first, *text, *([time] if time else [])]))
    candidates: list[tuple[str, ...]] = [(name,) for name in single]
    others = [c for c in dict.fromkeys([*named, *whole]) if c != time][:8]
    if time:
        candidates += [(*some, time) for n in (1, 2) for some in itertools.combinations(others, n)]
    candidates += itertools.combinations(named, 2)
    for names in candidates:
        if frame.select(names).n_unique() == frame.height:
            return names
    msg = (
        "No column tells the rows apart, so nobody could say which rows are new. Name one, or several with commas between, as: "
        f"--key store,day. Columns: {', '.join(frame.columns)}. Where rows have nothing of the kind, number them first, as: "
        """awk 'NR==1{print "row_id,"$0;next}{print NR-1","$0}' data.csv > numbered.csv"""
    )
    raise InvalidInput(msg, field="key")


def _inputs(frame: pl.DataFrame, kinds: dict[str, Kind], *, taken: set[str | None]) -> _Inputs:
    found = _Inputs()
    for name in frame.columns:
        if name in taken:
            continue
        levels = frame[name].drop_nulls().n_unique()
        if levels == 0:
            found.passed_over.append(f"{name} (no values)")
        elif kinds[name] in {"int", "float", "bool"}:
            found.numeric.append(name)
        elif kinds[name] == "str" and levels <= MOST_LEVELS and levels < frame.height:
            found.words.append(name)
        else:
            found.passed_over.append(f"{name} ({f'{levels} words' if kinds[name] == 'str' else kinds[name]})")
    if not found.numeric and not found.words:
        left = ", ".join(found.passed_over) or "none"
        msg = f"There is no column to predict from: expected numbers or words beside target, key and time. Left over: {left}."
        raise InvalidInput(msg, field="data")
    return found


def _whole(frame: pl.DataFrame, names: list[str]) -> bool:
    return not frame.select(names).drop_nulls().is_empty()


def _asked(target: pl.Series, task: str, positive: str | None) -> str:
    """Say what is predicted, where that could be meant otherwise."""
    if positive is not None:
        return f"Predicts the probability of {positive!r}; if the other is meant, change positive= in project.py."
    different = target.drop_nulls().n_unique()
    if task == "Multiclass":
        return f"Predicts the probability of each of {different} classes of {target.name!r}."
    if task == "Regression" and target.dtype.is_integer() and different <= MOST_CLASSES:
        return (
            f"Estimates {target.name!r} as a number; if its {different} values are classes, write task=td.Multiclass(), the "
            "baseline Prior() and a classifier in project.py."
        )
    return ""


def _notes(
    frame: pl.DataFrame, key: tuple[str, ...], time: str | None, *, inputs: _Inputs, asked: str
) -> tuple[str, ...]:
    said = time or "none, so a row is about the moment at which it is ingested"
    notes = [f"Looked at {frame.height:,} rows. Key: {', '.join(key)}. Time: {said}."]
    if asked:
        notes.append(asked)
    if inputs.passed_over:
        notes.append(f"Left out of the inputs: {', '.join(inputs.passed_over)}.")
    if frame.height < 350:
        notes.append("So few rows seldom show that a model beats its baseline; 500 or more are better.")
    return tuple(notes)
