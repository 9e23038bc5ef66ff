"""Writes a new project: `treadle.toml` and a project file made from a look at the user's own data."""

from __future__ import annotations

import json
import re
from pathlib import Path

from treadle.app.look import Look, look
from treadle.core.errors import AlreadyExists
from treadle.core.settings import FILE_NAME
from treadle.data.drafts import attribute
from treadle.data.types import TYPES

#: Data with fewer rows gets a larger test split and a smaller learner.
SMALL = 5_000


def create(folder: Path, *, data: str, target: str, key: str = "", time: str = "") -> Look:
    """Write `treadle.toml` and `project.py` into a folder, for a data file or a pattern of files in it.

    Raises:
        AlreadyExists: one of the two is there already; nothing is written.
        NotFound: no file matches.
        InvalidInput: a name is not a column, nothing tells rows apart, or the target cannot be predicted.
    """
    for path in (folder / FILE_NAME, folder / "project.py"):
        if path.exists():
            msg = f"{path.name} is here already; nothing was changed. Begin in another folder, or edit it."
            raise AlreadyExists(msg)
    found = look(folder, data=data, target=target, key=key, time=time)
    (folder / FILE_NAME).write_text(_settings(folder.name), encoding="utf-8")
    (folder / "project.py").write_text(project_file(found), encoding="utf-8")
    return found


def request(found: Look) -> str:
    """Return a command that asks the served model about one of the rows, or nothing where none has every value."""
    if not found.example:
        return ""
    body = json.dumps({"rows": [found.example]}, ensure_ascii=False, default=str).replace("'", "'\\''")
    return f"curl localhost:8080/v1/endpoints/model/predict -d '{body}'"


def project_file(found: Look) -> str:
    """Return the text of a project file for what a look found."""
    regression = found.task == "Regression"
    return _TEMPLATE.format(
        imports=_imports(found),
        inputs=_list(found.numeric + found.words),
        words=f"WORDS = {_list(found.words)}\n" if found.words else "",
        fields="\n".join(_fields(found)),
        source=_source(found),
        key=_text(found.key[0]) if len(found.key) == 1 else _list(found.key),
        time=f"\n    time={_text(found.time)}," if found.time else "",
        target=_text(found.target),
        split="train=0.7, validation=0.1, test=0.2"
        if found.rows < SMALL
        else "train=0.8, validation=0.1, test=0.1",
        task=f"{found.task}({f'positive={_text(found.positive)}' if found.positive is not None else ''})",
        baseline="Mean()" if regression else "Prior()",
        gates=_gates(found.rows),
        new_rows=f"{max(100, found.rows // 10):_}",
        training=_training(found, "Regressor" if regression else "Classifier"),
    )


def _gates(rows: int) -> str:
    """Return the gates, which ask for as many test rows as there can be."""
    test = rows // 5 if rows < SMALL else rows // 10
    least = 200 if test >= 300 else 50 if test >= 75 else 20
    asked = "" if least == 200 else f", min_rows={least}"
    return f'td.gates.Beats("baseline"{asked}), td.gates.NoWorse("champion"{asked})'


def _training(found: Look, kind: str) -> str:
    size = "max_iter=60, learning_rate=0.05, max_leaf_nodes=8" if found.rows < SMALL else "max_iter=100"
    lines = [f"from sklearn.ensemble import HistGradientBoosting{kind}"]
    learner = f"learner = HistGradientBoosting{kind}({size}, random_state=run.seed)"
    if not found.words:
        lines += ["", learner, "return learner.fit(data.train.X, data.train.y)"]
    else:
        lines = [
            "from sklearn.compose import make_column_transformer",
            *lines,
            "from sklearn.pipeline import make_pipeline",
            "from sklearn.preprocessing import OrdinalEncoder",
            "",
            'words = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)',
            'encode = make_column_transformer((words, WORDS), remainder="passthrough")',
            learner,
            "return make_pipeline(encode, learner).fit(data.train.X, data.train.y)",
        ]
    return "\n".join(f"    {line}" if line else "" for line in lines)


def _fields(found: Look) -> list[str]:
    taken: set[str] = set()
    lines = []
    for name, kind in found.types.items():
        hint = f"{TYPES[kind]} | None" if name in found.nullable else TYPES[kind]
        own = attribute(name, taken | (found.types.keys() - {name}))
        taken.add(own)
        lines.append(f"    {own}: {hint}" + ("" if own == name else f" = td.Column(name={_text(name)})"))
    return lines


def _source(found: Look) -> str:
    files = found.files
    more = f", delimiter={_text(files.delimiter)}" if files.delimiter != "," else ""
    nothing = tuple(value for value in files.null_values if value)
    more += f", null_values={_list(('', *nothing))}" if nothing else ""
    return f"td.Files({_text(files.pattern)}{more})"


def _imports(found: Look) -> str:
    needed = sorted({kind for kind in found.types.values() if kind in {"date", "datetime"}})
    return f"from datetime import {', '.join(needed)}\n\n" if needed else ""


def _list(names: tuple[str, ...]) -> str:
    return "[" + ", ".join(map(_text, names)) + "]"


def _text(value: str) -> str:
    """Return a Python literal, in double quotes."""
    return json.dumps(value, ensure_ascii=False)


def _settings(name: str) -> str:
    return f'[project]\nname = "{re.sub(r"[^A-Za-z0-9_-]", "-", name) or "project"}"\nfile = "project.py"\n'


_TEMPLATE = '''"""What this project keeps fresh: its data, and one model."""

{imports}import treadle as td

INPUTS = {inputs}
{words}

class Row(td.Contract):
    """What a row must look like. Rows that do not are put aside with the reason, never dropped."""

{fields}


rows = td.Dataset(
    "rows",
    source={source},
    contract=Row,
    key={key},{time}
    outcome={target},
    split=td.HashSplit({split}),
)


@td.model(
    data=rows,
    target={target},
    inputs=INPUTS,
    task=td.{task},
    baselines=[td.baselines.{baseline}],
    gates=[{gates}],
    policy=td.Policy(triggers=[td.NewRows({new_rows}), td.Age("7d")], window=td.Expanding(), cooldown="1h"),
)
def model(data: td.TrainingData, params: dict, run: td.Run):
    """Train with any library and return the fitted estimator."""
{training}
'''
