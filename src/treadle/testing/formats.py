"""The contract of model formats: what every file in `registry/formats`, ours or yours, must pass.

from treadle.core import plugins
from treadle.testing import formats

@pytest.mark.parametrize("check", formats.CHECKS)
@pytest.mark.parametrize("name", plugins.available("format"))
def test_contract(name, check):
    check(plugins.load("format", name))
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from treadle.core.answers import numbers, scored, shape_of
from treadle.core.servable import Servable
from treadle.registry.format import TOLERANCE, Example, Format, Saved, differences

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_PICKLE_START = b"\x80"


def check_accepts_its_own_only(found: Format) -> None:
    """It takes its own example, and neither a function, nor nothing, nor a plain object."""
    assert found.accepts(found.example().model)
    assert not any(found.accepts(other) for other in (lambda frame: frame, None, object(), {}, "model"))


def check_answers_come_back(found: Format) -> None:
    """A model that was saved and loaded answers as it did before."""
    example, loaded = _round_trip(found)

    given = numbers(loaded.predict(example.trial.columns), example.signature)

    assert differences(given, example.trial.expected).max() <= TOLERANCE


def check_shapes_and_types(found: Format) -> None:
    """Every output of the signature has its shape; the scored one is float64, and probabilities go from 0 to 1."""
    example, loaded = _round_trip(found)

    outputs = loaded.predict(example.trial.columns)

    fields = {field.name: field for field in example.signature.outputs}
    assert list(outputs) == list(fields)
    assert all(v.shape == shape_of(fields[name].columns, len(example.trial)) for name, v in outputs.items())
    last = scored(example.signature).name
    assert outputs[last].dtype == np.float64
    if last.startswith("probabilit"):
        assert ((outputs[last] >= 0) & (outputs[last] <= 1)).all()


def check_rows_are_independent(found: Format) -> None:
    """A row's answer does not depend on the rows that are asked about with it."""
    example, loaded = _round_trip(found)
    together = numbers(loaded.predict(example.trial.columns), example.signature)

    alone = [
        numbers(loaded.predict(example.trial.take(np.array([row])).columns), example.signature)[0]
        for row in range(min(len(example.trial), 16))
    ]

    assert np.allclose(alone, together[: len(alone)], rtol=0, atol=TOLERANCE)


def check_predicting_changes_nothing(found: Format) -> None:
    """Asking leaves the given columns as they are, and the second answer is the first."""
    example, loaded = _round_trip(found)
    before = {name: values.copy() for name, values in example.trial.columns.items()}

    first = numbers(loaded.predict(example.trial.columns), example.signature)
    second = numbers(loaded.predict(example.trial.columns), example.signature)

    assert np.array_equal(first, second)
    assert all(
        np.array_equal(before[n], v, equal_nan=v.dtype != object) for n, v in example.trial.columns.items()
    )


def check_files_are_plain(found: Format) -> None:
    """Files have plain names, and none of them is a pickle."""
    _, saved = _saved(found)

    assert saved.files
    assert all(_PLAIN.fullmatch(name) for name in saved.files)
    assert not any(data.startswith(_PICKLE_START) for data in saved.files.values())


def check_keeps_its_signature(found: Format) -> None:
    """A loaded model knows what it takes and gives."""
    example, loaded = _round_trip(found)

    assert loaded.signature == example.signature


def check_refuses_half_a_file(found: Format) -> None:
    """A file that was cut short raises; it never answers."""
    example, saved = _saved(found)
    halves = {name: data[: len(data) // 2] for name, data in saved.files.items()}

    try:
        _reader(found, saved).load(halves, task=example.task, signature=example.signature)
    except Exception:  # noqa: BLE001 - any class will do: packages make PackageRefused of it
        return

    msg = "half a file was loaded without an error"
    raise AssertionError(msg)


#: All checks; each takes a format and raises AssertionError.
CHECKS: tuple[Callable[[Any], None], ...] = (
    check_accepts_its_own_only,
    check_answers_come_back,
    check_shapes_and_types,
    check_rows_are_independent,
    check_predicting_changes_nothing,
    check_files_are_plain,
    check_keeps_its_signature,
    check_refuses_half_a_file,
)


def _saved(found: Any) -> tuple[Example, Saved]:
    return _made(found)


@cache
def _made(found: Any) -> tuple[Example, Saved]:
    """Return a format's example and its files, made once: a network takes seconds to be written."""
    example = found.example()
    saved = found.save(example.model, task=example.task, signature=example.signature, trial=example.trial)
    return example, saved


def _reader(found: Format, saved: Saved) -> Format:
    """Return the format that reads the files: the writer itself, or the one it converted to."""
    from treadle.core import plugins

    if saved.format == found.NAME:
        return found
    reader: Format = plugins.load("format", saved.format)
    return reader


def _round_trip(found: Format) -> tuple[Example, Servable]:
    example, saved = _saved(found)
    loaded = _reader(found, saved).load(saved.files, task=example.task, signature=example.signature)
    return example, loaded
