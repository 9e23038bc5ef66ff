"""From files to checked rows: which files are new, and what is in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import xxhash

from treadle.core.errors import ContractBroken, InvalidInput, SourceUnreadable
from treadle.core.ids import digest_of
from treadle.data.checks import QUARANTINE, Checked, check
from treadle.data.contracts import ContractSpec
from treadle.data.declarations import Part
from treadle.data.inference import inferred
from treadle.data.raw import Batch, Raw, Source, SourceFile, joined
from treadle.data.state import FileRecord, State
from treadle.data.types import Kind

#: Rows of small files that are checked together: one by one they would cost more than their rows do.
JOINED_ROWS = 100_000


@dataclass(frozen=True)
class Found:
    """What a look at a part's files found, before any was opened."""

    part: Part
    source: Source
    #: How files are read: digest of the contract and of the source's declaration.
    reader: str
    #: Files that may hold something new.
    new: list[SourceFile]
    #: Problems of files that are no longer there.
    gone: list[FileRecord]


@dataclass
class Landed:
    """The checked rows of a part's new files."""

    spec: ContractSpec | None
    good: pl.DataFrame
    bad: pl.DataFrame
    files: list[FileRecord] = field(default_factory=list)
    #: Files that hold what they held, with their new stamp.
    touched: list[tuple[FileRecord, str]] = field(default_factory=list)
    #: How far a source that is read in order was read.
    position: Mapping[str, Any] | None = None
    #: How files are read, as in `Found`.
    reader: str = ""

    @property
    def problems(self) -> tuple[str, ...]:
        """The problems with whole files."""
        return tuple(file.reason for file in self.files if file.status == "problem")

    def leave_out(self, reasons: Mapping[str, str]) -> None:
        """Make files problems, by path and reason, and take their rows out."""
        if not reasons:
            return
        others = ~pl.col("_file").is_in(list(reasons))
        self.good, self.bad = self.good.filter(others), self.bad.filter(others)
        self.files = [
            msgspec.structs.replace(file, status="problem", reader=self.reader, reason=reasons[file.path])
            if file.path in reasons
            else file
            for file in self.files
        ]


def landed_nothing(spec: ContractSpec) -> Landed:
    """Return that no row has come of a part that has a contract."""
    landed = Landed(spec, pl.DataFrame(), pl.DataFrame(schema=QUARANTINE))
    _take(landed, [], spec)
    return landed


def look(part: Part, source: Source, state: State, *, root: Path) -> Found:
    """List the files of a part's source and find those that may be new; none is opened."""
    pinned = state.pin.contracts.get(part.name) if state.pin else None
    contract = part.contract.spec() if part.contract else pinned
    how = [contract.digest if contract else "", source.spec(), *part.skips]
    reader = digest_of(how)[7:23]
    listing = source.listing(root)
    paths = {file.path for file in listing}
    return Found(
        part,
        source,
        reader,
        [file for file in listing if not _is_known(file, state.seen(part.name, file.path), reader)],
        [
            record
            for (name, path), records in state.files.items()
            if name == part.name and path not in paths
            for record in records
            if record.status == "problem"
        ],
    )


def land(found: Found, state: State, *, spec: ContractSpec | None, kinds: Mapping[str, Kind]) -> Landed:
    """Read and check the new files of a part.

    One bad file never stops the others: it becomes a problem. Without `spec` the contract is inferred; `kinds` says
    what some of its columns must be.
    """
    landed = Landed(spec, pl.DataFrame(), pl.DataFrame(schema=QUARANTINE), reader=found.reader)
    raws = _raws(found, state, landed)
    if spec is None:
        waiting = list(raws)
        landed.spec = _inferred(found, waiting, landed, kinds)
        raws = iter(waiting)
    checked = [] if landed.spec is None else list(_checked(found, raws, landed, landed.spec))
    if landed.spec is not None:
        _take(landed, checked, landed.spec)
    landed.files.sort(key=lambda file: file.path)
    return landed


def land_batch(part: Part, batch: Batch, *, spec: ContractSpec | None, kinds: Mapping[str, Kind]) -> Landed:
    """Check a batch of a source that is read in order; see `land`.

    Raises:
        ContractBroken: a column of the batch is missing, or is one that the contract does not know.
        InvalidInput: there is no contract, and no row to learn one from.
    """
    raw = batch.raw
    landed = Landed(spec, pl.DataFrame(), pl.DataFrame(schema=QUARANTINE), position=batch.position)
    if landed.spec is None:
        landed.spec = _told(inferred([raw], name=part.name), kinds)
    if raw.may_omit:
        raw = without_strangers(raw, landed.spec)
    _take(landed, [check(raw, landed.spec, rules=part.rules(), needed=part.needed)], landed.spec)
    return landed


def without_strangers(raw: Raw, spec: ContractSpec) -> Raw:
    """Return messages without fields that the contract does not know; those that have a value there are broken rows.

    One message with a field too many must not hold up all that come after it.
    """
    strangers = [name for name in raw.frame.columns if name not in spec.names]
    if not strangers:
        return raw
    broken = dict(raw.broken)
    for name in strangers:
        cells = raw.frame[name]
        for row in cells.is_not_null().arg_true().to_list():
            told = f"{name}: unknown field with the value {cells[row]!r}; known are {', '.join(spec.names)}"
            broken[row + 1] = f"{broken[row + 1]}; {told}" if row + 1 in broken else told
    return replace(raw, frame=raw.frame.drop(strangers), mixed=raw.mixed - set(strangers), broken=broken)


def _take(landed: Landed, checked: list[Checked], spec: ContractSpec) -> None:
    empty = pl.DataFrame(schema={**spec.dtypes, "_file": pl.String(), "_row": pl.Int64()})
    landed.good = pl.concat([empty, *(one.good for one in checked)])
    landed.bad = pl.concat([landed.bad, *(one.bad for one in checked)])


def _is_known(file: SourceFile, records: list[FileRecord], reader: str) -> bool:
    return any(record.stamp == file.stamp and record.holds(reader) for record in records)


def _raws(found: Found, state: State, landed: Landed) -> Iterator[tuple[FileRecord, Raw]]:
    """Open the new files; those that only were touched, and those that cannot be read, go to `landed`."""
    source = found.source
    for file in found.new:
        record = FileRecord(part=found.part.name, path=file.path, stamp=file.stamp, content="")
        try:
            data = source.fetch(file)
            record = msgspec.structs.replace(record, content=xxhash.xxh3_128_hexdigest(data))
            same = _same(record, state, found.reader)
            if same is not None:
                landed.touched.append((same, file.stamp))
                continue
            raw = source.parse(file, data)
        except SourceUnreadable as error:
            landed.files.append(_problem(record, found.reader, error))
            continue
        yield msgspec.structs.replace(record, rows=raw.frame.height), raw


def _same(record: FileRecord, state: State, reader: str) -> FileRecord | None:
    seen = state.seen(record.part, record.path)
    return next((old for old in seen if old.content == record.content and old.holds(reader)), None)


def _checked(
    found: Found, raws: Iterable[tuple[FileRecord, Raw]], landed: Landed, spec: ContractSpec
) -> Iterator[Checked]:
    for group in _alike(raws):
        yield from _checked_together(found, group, landed, spec)


def _checked_together(
    found: Found, group: list[tuple[FileRecord, Raw]], landed: Landed, spec: ContractSpec
) -> Iterator[Checked]:
    """Check files of one shape as one; if they cannot be judged, each by itself."""
    try:
        rows = joined([raw for _, raw in group])
        checked = check(rows, spec, rules=found.part.rules(), needed=found.part.needed)
    except ContractBroken as error:
        if len(group) == 1:
            landed.files.append(_problem(group[0][0], found.reader, error))
            return
        for one in group:
            yield from _checked_together(found, [one], landed, spec)
        return
    landed.files += [record for record, _ in group]
    yield checked


def _alike(raws: Iterable[tuple[FileRecord, Raw]]) -> Iterator[list[tuple[FileRecord, Raw]]]:
    """Yield the files in order, small ones that follow each other and are of one shape together."""
    group: list[tuple[FileRecord, Raw]] = []
    shape, rows = None, 0
    for record, raw in raws:
        if group and (raw.shape != shape or shape is None or rows + raw.frame.height > JOINED_ROWS):
            yield group
            group, rows = [], 0
        group.append((record, raw))
        shape, rows = raw.shape, rows + raw.frame.height
    if group:
        yield group


def _inferred(
    found: Found, raws: list[tuple[FileRecord, Raw]], landed: Landed, kinds: Mapping[str, Kind]
) -> ContractSpec | None:
    try:
        groups = (joined([raw for _, raw in group]) for group in _alike(raws))
        spec = inferred(groups, name=found.part.name)
    except (InvalidInput, ContractBroken) as error:
        landed.files += [_problem(record, found.reader, error) for record, _ in raws]
        return None
    return _told(spec, kinds)


def _told(spec: ContractSpec, kinds: Mapping[str, Kind]) -> ContractSpec:
    """Return an inferred contract with the kinds that are known of some columns."""
    columns = tuple(
        msgspec.structs.replace(column, kind=kinds.get(column.name, column.kind)) for column in spec.columns
    )
    return msgspec.structs.replace(spec, columns=columns)


def _problem(record: FileRecord, reader: str, error: Exception) -> FileRecord:
    told = str(error) if str(error).startswith(record.path) else f"{record.path}: {error}"
    return msgspec.structs.replace(record, status="problem", reader=reader, reason=told)
