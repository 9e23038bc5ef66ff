from __future__ import annotations

import numpy as np
import pytest

from treadle.registry import providers
from treadle.registry.formats import onnx as onnx_format

runtime = pytest.importorskip("onnxruntime")


@pytest.fixture
def model():
    example = onnx_format.example()
    saved = onnx_format.save(
        example.model, task=example.task, signature=example.signature, trial=example.trial
    )
    made = onnx_format.load(saved.files, task=example.task, signature=example.signature)
    made.samples = example.trial.columns
    return made


def absent():
    there = set(runtime.get_available_providers())
    return next(name for name, wanted in providers.PROVIDERS.items() if wanted[0] not in there)


def test_a_model_is_computed_on_the_processor_unless_told_otherwise(model):
    placed = providers.on("cpu", lambda _: model)("late/1")

    assert (placed.provider, placed.fallback) == ("cpu", "")


def test_where_a_provider_is_not_there_the_processor_does_it_and_says_so(model, caplog):
    wanted = absent()

    placed = providers.on(wanted, lambda _: model)("late/1")

    assert placed.provider == "cpu"
    assert f"has no {providers.PROVIDERS[wanted][0]}" in placed.fallback
    assert "Install onnxruntime-" in placed.fallback
    assert placed.fallback in caplog.text
    assert placed.predict({"x": np.array([1.5], np.float32)})["prediction"].tolist() == [3.0]


def test_a_provider_that_is_there_takes_the_model(model, monkeypatch):
    monkeypatch.setitem(providers.PROVIDERS, "cuda", ("CPUExecutionProvider",))

    model.place("cuda")

    assert (model.provider, model.fallback) == ("cuda", "")


def test_a_provider_that_changes_answers_is_not_used(model, monkeypatch):
    class Off:
        def run(self, names, feed):
            return [np.full((len(feed["x"]), 1), 7.0)]

    monkeypatch.setattr(onnx_format, "session", lambda data, provider: Off())

    model.place("cuda")

    assert model.provider == "cpu"
    assert "golden rows would get other answers" in model.fallback


def test_a_model_of_another_format_stays_as_it_is(caplog):
    model = object()

    assert providers.on("cuda", lambda _: model)("late/1") is model
    assert "it is no ONNX model" in caplog.text
