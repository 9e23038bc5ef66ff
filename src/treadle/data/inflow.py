"""What flows in: the new rows of a dataset's parts, in portions that fit into memory, each of which becomes one commit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType

from treadle.data.contracts import ContractSpec
from treadle.data.declarations import Dataset, Part
from treadle.data.landing import Found, Landed, land, land_batch
from treadle.data.raw import Batch, SourceFile
from treadle.data.state import State
from treadle.data.types import Kind

#: Bytes of files that are read for one commit; a file is never divided.
PORTION_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True)
class Portion:
    """Some new rows of a part, not yet read or checked."""

    part: Part
    #: New files, or a batch of a source that is read in order.
    content: Found | Batch

    def land(self, state: State, *, spec: ContractSpec | None, kinds: Mapping[str, Kind]) -> Landed:
        """Read and check the rows; see `landing`."""
        if isinstance(self.content, Found):
            return land(self.content, state, spec=spec, kinds=kinds)
        return land_batch(self.part, self.content, spec=spec, kinds=kinds)


@dataclass
class Inflow:
    """Gives one portion of each part at a time. Sources that are read in order stay open while the block lasts."""

    dataset: Dataset
    #: By part: what a look at its files found.
    looks: Mapping[str, Found]
    #: By part: how far a source that is read in order was read.
    positions: Mapping[str, Mapping[str, object]]
    root: Path
    _streams: dict[str, Iterator[Portion]] = field(default_factory=dict)
    _ahead: dict[str, Portion] = field(default_factory=dict)
    _open: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Inflow:
        """Open the sources, and look at the first portion of each.

        Raises:
            SourceUnreadable: a source does not answer.
        """
        with ExitStack() as opened:
            for name, part in self.dataset.parts().items():
                self._streams[name] = self._stream(part, opened)
                self._look_ahead(name)
            self._open = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the sources."""
        self._open.close()

    @property
    def is_dry(self) -> bool:
        """Whether nothing more is there."""
        return not self._ahead

    def waiting(self) -> tuple[str, ...]:
        """Return the parts that have a next portion, rows first."""
        return tuple(name for name in self._streams if name in self._ahead)

    def take(self, part: str) -> Portion:
        """Return the next portion of a part. The one after it is fetched by `advance`."""
        return self._ahead[part]

    def advance(self, part: str) -> None:
        """Go on behind the portion that was taken: it is safe now."""
        taken = self._ahead.pop(part)
        if isinstance(taken.content, Batch):
            taken.content.acknowledge()
        self._look_ahead(part)

    def leave(self, part: str) -> None:
        """Leave the rest of a part for another time."""
        self._ahead.pop(part, None)
        self._streams[part] = iter(())

    def _look_ahead(self, part: str) -> None:
        portion = next(self._streams[part], None)
        if portion is not None:
            self._ahead[part] = portion

    def _stream(self, part: Part, opened: ExitStack) -> Iterator[Portion]:
        if part.name in self.looks:
            found = self.looks[part.name]
            return (Portion(part, replace(found, new=group)) for group in _groups(found.new))
        source = part.ordered
        key = self.dataset.key_columns
        batches = opened.enter_context(
            source.batches(self.root, after=self.positions.get(part.name), key=key)
        )
        return (Portion(part, batch) for batch in batches)


def _groups(files: list[SourceFile]) -> Iterator[list[SourceFile]]:
    """Yield the files in groups of at most `PORTION_BYTES`."""
    group: list[SourceFile] = []
    size = 0
    for file in files:
        if group and size + file.size > PORTION_BYTES:
            yield group
            group, size = [], 0
        group.append(file)
        size += file.size
    if group:
        yield group
