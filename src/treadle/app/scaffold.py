"""Writes a new project: `treadle.toml` and a project file made from a look at the user's own data."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from treadle.core.errors import AlreadyExists, InvalidInput, NotFound, SourceUnreadable, closest
from treadle.core.settings import FILE_NAME

#: Rows that are looked at to guess types, the key and the time.
SAMPLE = 20_000
#: A text column with at most this many different values becomes an input; one with more is passed over.
MOST_LEVELS = 200


@dataclass(frozen=True)
class Look:
    """What a look at the data found."""

    data: str
    target: str
    task: str
    key: tuple[str, ...]
    time: str | None
    types: dict[str, str]
    nullable: frozenset[str]
    numeric: tuple[str, ...]
    words: tuple[str, ...]


def create(folder: Path, *, data: str, target: str, key: str = "", time: str = "") -> list[Path]:
    """Write `treadle.toml` and `project.py` into a folder, for a data file or a pattern of files in it.

    Raises:
        AlreadyExists: one of the two is there already; nothing is written.
        InvalidInput: the target, key or time is not a column; the message lists the columns.
    """
    files = {folder / FILE_NAME: _settings(folder.name), folder / "project.py": ""}
    for path in files:
        if path.exists():
            msg = f"{path.name} is here already; nothing was changed. Begin in another folder, or edit it."
            raise AlreadyExists(msg)
    found = look(folder, data=data, target=target, key=key, time=time)
    files[folder / "project.py"] = project_file(found)
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    return list(files)


def look(folder: Path, *, data: str, target: str, key: str = "", time: str = "") -> Look:
    """Look at the first rows of the data and decide types, key, time and task."""
    frame = _sample(folder, data)
    for role, name in (("target", target), ("key", key), ("time", time)):
        if name and name not in frame.columns:
            msg = f"The {role} {name!r} is not a column of {data}. {closest(name, frame.columns)}"
            raise InvalidInput(msg, field=role)
    when = time or next((c for c in frame.columns if frame[c].dtype.is_temporal() and c != target), None)
    ident = (key,) if key else _key(frame, target=target, time=when)
    task = _task(frame[target])
    taken = {target, when, *(ident if len(ident) == 1 else ())}
    inputs = [c for c in frame.columns if c not in taken and not frame[c].dtype.is_temporal()]
    words = [c for c in inputs if frame[c].dtype == pl.String and frame[c].n_unique() <= MOST_LEVELS]
    return Look(
        data=data,
        target=target,
        task=task,
        key=ident,
        time=when,
        types={c: _type_name(frame[c].dtype) for c in frame.columns},
        nullable=frozenset(c for c in frame.columns if frame[c].null_count() and c not in ident),
        numeric=tuple(c for c in inputs if frame[c].dtype.is_numeric() or frame[c].dtype == pl.Boolean),
        words=tuple(words),
    )


def columns(folder: Path, data: str) -> list[str]:
    """Return the names of the columns of a data file."""
    return _sample(folder, data).columns


def project_file(found: Look) -> str:
    """Return the text of a project file for what a look found."""
    regression = found.task == "Regression"
    learner = "HistGradientBoostingRegressor" if regression else "HistGradientBoostingClassifier"
    baseline = "td.baselines.Mean()" if regression else "td.baselines.Prior()"
    key = repr(found.key[0]) if len(found.key) == 1 else repr(list(found.key))
    time = f"\n    time={found.time!r}," if found.time else ""
    window = 'td.Last("365d")' if found.time else "td.Expanding()"
    return _TEMPLATE.format(
        fields="\n".join(_field(name, found) for name in found.types),
        imports=_imports(found),
        data=found.data,
        key=key,
        time=time,
        target=found.target,
        task=found.task,
        baseline=baseline,
        inputs=_names(found.numeric + found.words),
        words=_names(found.words),
        learner=learner,
        window=window,
    )


def _sample(folder: Path, data: str) -> pl.DataFrame:
    paths = sorted(folder.glob(data)) if not Path(data).is_absolute() else [Path(data)]
    if not paths or not paths[0].is_file():
        here = sorted(
            p.name for p in folder.iterdir() if p.suffix in {".csv", ".parquet", ".gz", ".zip", ".jsonl"}
        )
        msg = f"No file matches {data!r} in {folder}. Data files here: {', '.join(here) or 'none'}."
        raise NotFound(msg)
    path = paths[0]
    try:
        if path.suffix == ".parquet":
            return pl.scan_parquet(path).head(SAMPLE).collect()
        if path.suffix in {".jsonl", ".ndjson"}:
            return pl.read_ndjson(path, n_rows=SAMPLE)
        return pl.read_csv(path, n_rows=SAMPLE, infer_schema_length=SAMPLE, try_parse_dates=True)
    except (pl.exceptions.PolarsError, OSError) as error:
        msg = f"{path.name} cannot be read: {error}"
        raise SourceUnreadable(msg) from error


def _key(frame: pl.DataFrame, *, target: str, time: str | None) -> tuple[str, ...]:
    whole = [c for c in frame.columns if c not in {target, time} and not frame[c].null_count()]
    for name in sorted(whole, key=lambda c: not c.lower().endswith(("id", "key", "uuid"))):
        if not frame[name].dtype.is_float() and frame[name].n_unique() == frame.height:
            return (name,)
    return tuple(c for c in frame.columns if c != target)


def _task(target: pl.Series) -> str:
    values = target.drop_nulls().unique()
    if (
        target.dtype == pl.Boolean
        or (target.dtype.is_integer() and set(values) <= {0, 1})
        or len(values) == 2
    ):
        return "Classification"
    if target.dtype.is_numeric():
        return "Regression"
    shown = ", ".join(map(repr, values.head(5)))
    msg = (
        f"The target {target.name!r} has {len(values)} different values ({shown}, …). Expected a number to estimate, "
        "or two values (such as true and false) to tell apart."
    )
    raise InvalidInput(msg, field="target")


def _type_name(dtype: pl.DataType) -> str:
    if dtype.is_integer():
        return "int"
    if dtype.is_float():
        return "float"
    names = {pl.Boolean: "bool", pl.Date: "date", pl.Datetime: "datetime"}
    return names.get(type(dtype), "str")


def _field(name: str, found: Look) -> str:
    optional = " | None" if name in found.nullable else ""
    if name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("_"):
        return f"    {name}: {found.types[name]}{optional}"
    safe = re.sub(r"\W", "_", name).strip("_") or "column"
    return f"    {safe}: {found.types[name]}{optional} = td.Column(name={name!r})"


def _imports(found: Look) -> str:
    needed = sorted({kind for kind in found.types.values() if kind in {"date", "datetime"}})
    return f"from datetime import {', '.join(needed)}\n\n" if needed else ""


def _names(names: tuple[str, ...]) -> str:
    return "[" + ", ".join(repr(name).replace("'", '"') for name in names) + "]"


def _settings(name: str) -> str:
    return f'[project]\nname = "{re.sub(r"[^A-Za-z0-9_-]", "-", name) or "project"}"\nfile = "project.py"\n'


_TEMPLATE = '''"""What this project keeps fresh: its data, and one model."""

{imports}import treadle as td

INPUTS = {inputs}
WORDS = {words}


class Row(td.Contract):
    """What a row must look like. Rows that do not are put aside with the reason, never dropped."""

{fields}


rows = td.Dataset(
    "rows",
    source=td.Files({data!r}),
    contract=Row,
    key={key},{time}
    outcome={target!r},
    split=td.HashSplit(train=0.8, validation=0.1, test=0.1),
)


@td.model(
    data=rows,
    target={target!r},
    inputs=INPUTS,
    task=td.{task}(),
    baselines=[{baseline}],
    gates=[td.gates.Beats("baseline"), td.gates.NoWorse("champion")],
    policy=td.Policy(triggers=[td.NewRows(1_000), td.Age("7d")], window={window}, cooldown="1h"),
)
def model(data: td.TrainingData, params: dict, run: td.Run):
    """Train with any library and return the fitted estimator."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import {learner}
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    encode = make_column_transformer(
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), WORDS),
        remainder="passthrough",
    )
    learner = {learner}(max_iter=100, random_state=run.seed)
    return make_pipeline(encode, learner).fit(data.train.X, data.train.y)
'''
