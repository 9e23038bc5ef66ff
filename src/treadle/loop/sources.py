"""What is new in sources, read once for all models that learn from them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from treadle.loop import online
from treadle.loop.models import Model
from treadle.loop.rooms import Rooms


class Sources:
    """Reads what is new in the sources of models, each of them once until `again`.

    What cannot be read is a failure of each model that learns from it.
    """

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        #: What was read, and the failure that it came to.
        self._read: dict[str, Exception | None] = {}
        #: How often new rows were found.
        self.found = 0

    def again(self) -> None:
        """Let every source be looked at again."""
        self._read = {}

    def read(self, model: Model) -> None:
        """Read what is new for a model's dataset, views and trees, also where nothing has landed yet."""
        for name in (model.data.name, *(view.name for view in model.features)):
            self._once(f"dataset:{name}", partial(self.ingest, name))
        for tree in model.trees:
            self._once(f"tree:{tree.name}", partial(self._rooms.trees.add, tree))
        views = [view for view in model.features if f"online:{view.name}" not in self._read]
        self._read.update({f"online:{view.name}": None for view in views})
        online.refresh(views, self._rooms)

    def ingest(self, name: str) -> None:
        """Read what is new of a dataset, or of a view's rows."""
        made = self._rooms.datasets.ingest(self._rooms.project.dataset(name))
        if made is not None:
            self.found += 1
            said = f"{made.accepted:,} rows accepted, {made.quarantined:,} quarantined"
            self._rooms.progress.step(f"{name} version {made.version}: {said}")

    def _once(self, what: str, work: Callable[[], object]) -> None:
        if what not in self._read:
            try:
                work()
            except Exception as error:
                self._read[what] = error
                raise
            self._read[what] = None
        failure = self._read[what]
        if failure is not None:
            raise failure
