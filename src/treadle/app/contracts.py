"""Contracts at the front door: drafted from data, tried on a file before it lands, and compared with the stored one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from treadle.app.look import read
from treadle.core.errors import ContractBroken, ContractChanged, NotFound, SourceUnreadable, not_found
from treadle.core.records import Record
from treadle.data import state
from treadle.data.changes import Changes, compare
from treadle.data.checks import check
from treadle.data.contracts import ContractSpec, raw_frame
from treadle.data.declarations import Dataset
from treadle.data.drafts import draft, literal
from treadle.data.pins import Pin
from treadle.data.quarantine import QUARANTINE
from treadle.data.reasons import Explained, explain
from treadle.data.sources.files import Files

if TYPE_CHECKING:
    from treadle.app.workspace import Workspace

_WILD = frozenset("*?[")


class Trial(Record, frozen=True, kw_only=True):
    """What a dataset's contract says of files that have not landed."""

    dataset: str
    part: str
    #: Files that can be read, rows in them, and rows that would go to quarantine.
    files: int
    rows: int
    bad: int
    #: Why rows are bad, commonest first.
    reasons: tuple[Explained, ...] = ()
    #: Files that would not be taken in at all, as `path: reason`.
    problems: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether everything would be taken in."""
        return not self.bad and not self.problems


class Comparison(Record, frozen=True, kw_only=True):
    """What a changed declaration means for the rows that are there."""

    dataset: str
    #: By part: the differences, where there are any.
    parts: dict[str, Changes]
    #: Why the next ingestion will refuse it; empty: it will not.
    refused: str = ""


def is_file(name: str, folder: Path) -> bool:
    """Say whether a name means files (a path that is there, or a pattern) and not a dataset."""
    return bool(_WILD & set(name)) or "://" in name or (folder / name).exists()


def draft_of_files(folder: Path, data: str) -> str:
    """Return the text of a contract that the rows of a file, or of all files of a pattern, meet.

    Raises:
        NotFound: no file matches.
        ContractBroken: the files have different columns, or types that a dataset cannot hold.
    """
    source, raws = read(folder, data, most=None)
    more = f", delimiter={literal(source.delimiter)}" if source.delimiter != "," else ""
    nothing = ["", *(word for word in source.null_values if word)]
    more += f", null_values={literal(nothing)}" if len(nothing) > 1 else ""
    plain = [part for part in Path(data).parts if not _WILD & set(part)]
    name = plain[-1].partition(".")[0] if plain else ""
    return draft(raws, name=name or "rows", origin=data, source=f"td.Files({literal(data)}{more})")


def draft_of_dataset(workspace: Workspace, name: str) -> str:
    """Return the text of a contract that the stored rows of a dataset meet.

    Raises:
        NotFound: nothing was ingested yet.
    """
    version = workspace.datasets.version(name)
    rows = workspace.datasets.read(name, columns=[column for column, _ in version.schema])
    return draft([raw_frame(rows)], name=name, origin=f"version {version.version} of {name}")


def trial(workspace: Workspace, data: str, *, folder: Path, against: str, part: str = "rows") -> Trial:
    """Check files against a dataset's contract; nothing is written.

    Raises:
        NotFound: no file matches, or there is no such dataset, part or contract.
    """
    dataset = workspace.project.dataset(against)
    parts = dataset.parts()
    if part not in parts:
        raise not_found(f"part of {against}", part, parts)
    source, spec = _source(dataset, part, data), _spec(workspace, dataset, part)
    files, rows, problems, bad = 0, 0, [], [pl.DataFrame(schema=QUARANTINE)]
    for file in source.listing(folder):
        try:
            raw = source.parse(file, source.fetch(file))
            checked = check(raw, spec, rules=parts[part].rules(), needed=parts[part].needed)
        except (SourceUnreadable, ContractBroken) as error:
            problems.append(str(error) if str(error).startswith(file.path) else f"{file.path}: {error}")
            continue
        files, rows = files + 1, rows + raw.frame.height
        bad.append(checked.bad)
    if not files and not problems:
        msg = f"No file matches {data!r} in {folder}."
        raise NotFound(msg)
    found = pl.concat(bad)
    return Trial(
        dataset=against,
        part=part,
        files=files,
        rows=rows,
        bad=found.height,
        reasons=explain(found),
        problems=tuple(problems),
    )


def differences(workspace: Workspace, name: str) -> Comparison:
    """Compare a dataset's declared contracts with those that its stored rows meet.

    Raises:
        NotFound: there is no such dataset, or nothing was ingested yet.
    """
    dataset = workspace.project.dataset(name)
    workspace.datasets.version(name)
    stored = _pin(workspace, name)
    changes = {
        part: compare(stored.contracts[part], declared.contract.spec())
        for part, declared in dataset.parts().items()
        if stored and declared.contract is not None and part in stored.contracts
    }
    try:
        workspace.datasets.pin(dataset)
    except ContractChanged as error:
        refused = str(error)
    else:
        refused = ""
    return Comparison(
        dataset=name, parts={part: found for part, found in changes.items() if found.all}, refused=refused
    )


def _source(dataset: Dataset, part: str, pattern: str) -> Files:
    """Return the source that reads files as the dataset's own does."""
    own = dataset.parts()[part].source
    return replace(own, pattern=pattern) if isinstance(own, Files) else Files(pattern)


def _spec(workspace: Workspace, dataset: Dataset, part: str) -> ContractSpec:
    contract = dataset.parts()[part].contract
    if contract is not None:
        return contract.spec()
    pin = _pin(workspace, dataset.name)
    if pin is None or part not in pin.contracts:
        msg = f"Dataset {dataset.name!r}, {part}: no contract is declared, and none was learnt from rows. Write one with: treadle contract infer FILE"
        raise NotFound(msg)
    return pin.contracts[part]


def _pin(workspace: Workspace, name: str) -> Pin | None:
    with workspace.ledger.read() as connection:
        return state.read_pin(connection, name)
