"""Plug-ins by kind and name: a file in the kind's folder, or another package's entry point.

Listing costs no import; a broken plug-in hurts only the one who asks for it.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from typing import Any

from treadle.core.errors import not_found

#: kind → the package whose modules are its plug-ins. The module's name is the plug-in's name.
KINDS = {
    "ledger": "treadle.store.ledger.backends",
    "objects": "treadle.store.objects.backends",
    "tables": "treadle.store.tables.backends",
    "online": "treadle.store.online.backends",
    "queue": "treadle.store.queue.backends",
    "source": "treadle.data.sources",
    "rule": "treadle.data.rules",
    "task": "treadle.training.tasks",
    "compute": "treadle.training.compute",
    "metric": "treadle.evaluation.metrics",
    "method": "treadle.evaluation.methods",
    "baseline": "treadle.evaluation.baselines",
    "gate": "treadle.evaluation.gates",
    "plot": "treadle.evaluation.plots",
    "format": "treadle.registry.formats",
    "mirror": "treadle.registry.mirrors",
    "protocol": "treadle.serving.protocols",
    "stream": "treadle.serving.streams",
    "guard": "treadle.serving.guards",
    "channel": "treadle.monitoring.channels",
    "slo": "treadle.monitoring.slos",
    "detector": "treadle.monitoring.detectors",
    "trigger": "treadle.loop.triggers",
    "action": "treadle.loop.actions",
}


@cache
def available(kind: str) -> tuple[str, ...]:
    """Return the names of a kind's plug-ins, built in and installed, sorted; nothing is imported."""
    if kind not in KINDS:
        raise not_found("kind of plug-in", kind, KINDS)
    spec = find_spec(KINDS[kind])
    places = list(spec.submodule_search_locations or ()) if spec else []
    own = {module.name for module in pkgutil.iter_modules(places) if not module.name.startswith("_")}
    return tuple(sorted(own | {entry.name for entry in _installed(kind)}))


@cache
def load(kind: str, name: str) -> Any:
    """Import and return one plug-in: the module of that name.

    Raises:
        NotFound: no plug-in of that kind has that name.
    """
    if name not in available(kind):
        raise not_found(f"{kind} plug-in", name, available(kind))
    for entry in _installed(kind):
        if entry.name == name:
            return entry.load()
    return importlib.import_module(f"{KINDS[kind]}.{name}")


@cache
def _everything() -> Any:
    """Read what is installed once, for every distribution there is has to be asked."""
    return metadata.entry_points()


def _installed(kind: str) -> tuple[metadata.EntryPoint, ...]:
    return tuple(_everything().select(group=f"treadle.{kind}"))


def public_class(kind: str, attribute: str) -> Any:
    """Return the class that a kind's plug-in of the matching name defines: `NoWorse` is in `no_worse`.

    Raises:
        AttributeError: no plug-in of the kind is called so, as a module's `__getattr__` must.
    """
    name = "".join(f"_{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(attribute))
    if attribute.startswith("_") or name not in available(kind):
        msg = f"no {kind} named {attribute!r}. Available: {', '.join(available(kind))}"
        raise AttributeError(msg)
    return getattr(load(kind, name), attribute)
