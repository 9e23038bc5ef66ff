"""Drawing trials: the same again after an interruption, what Optuna itself would do, and giving up."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import optuna
import pytest

import treadle as td
from treadle.core.errors import InvalidDeclaration
from treadle.training.sampling import Sampling
from treadle.training.trials import Trial

SPACE = {"x": td.Float(-5, 5), "n": td.Int(1, 64, log=True), "k": td.Categorical(["a", "b", None])}


def value_of(params: dict[str, Any]) -> float:
    return float((params["x"] - 1) ** 2 + abs(params["n"] - 8) / 8 + (params["k"] != "b"))


def play(search: td.Search, count: int, *, begun: list[Trial] | None = None) -> list[Trial]:
    """Draw and finish trials one after the other, with a new sampling, as after a kill."""
    sampling, trials = Sampling(search, name="m", seed=3, greater=False), list(begun or [])
    for number in range(len(trials), count):
        trial = Trial(run="r", number=number, state="running", started_at=datetime(2013, 1, 1, tzinfo=UTC))
        params, window, drawn = sampling.draw(number, [*trials, trial])
        trials.append(
            msgspec.structs.replace(
                trial, params=params, window=window, drawn=drawn, state="succeeded", value=value_of(params)
            )
        )
    return trials


@pytest.mark.parametrize("sampler", ["tpe", "random", "nsga2"])
def test_a_search_that_was_interrupted_draws_what_it_would_have_drawn(sampler: str) -> None:
    search = td.Search(space=SPACE, trials=30, sampler=sampler)
    whole = play(search, 30)

    parts = play(search, 30, begun=play(search, 17))

    assert [trial.params for trial in parts] == [trial.params for trial in whole]
    assert len({str(trial.params) for trial in whole}) == 30


def test_tpe_learns_as_optuna_does() -> None:
    ours = min(trial.value or 0 for trial in play(td.Search(space=SPACE, trials=60), 60))

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    theirs, drawn = [], []
    for seed in range(5):
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
        study.optimize(
            lambda t: value_of(
                {
                    "x": t.suggest_float("x", -5, 5),
                    "n": t.suggest_int("n", 1, 64, log=True),
                    "k": t.suggest_categorical("k", ["a", "b", None]),
                }
            ),
            n_trials=60,
        )
        theirs.append(study.best_value)
        drawn.append(min(t.value or 9 for t in study.trials[:12]))
    assert ours <= max(theirs)
    assert ours < min(drawn)


def test_a_grid_is_walked_once() -> None:
    space = {"n": td.Int(1, 3), "k": td.Categorical(["a", "b"])}
    search = td.Search(space=space, windows=[td.Last("1d"), td.Last("2d")], sampler="grid")
    sampling, trials = Sampling(search, name="m", seed=0, greater=False), []

    for number in range(12):
        trial = Trial(run="r", number=number, state="running", started_at=datetime(2013, 1, 1, tzinfo=UTC))
        params, window, drawn = sampling.draw(number, trials)
        trials.append(msgspec.structs.replace(trial, params=params, window=window, drawn=drawn))

    assert len({(t.params["n"], t.params["k"], t.window) for t in trials if t.params}) == 12


def test_parameters_may_depend_on_each_other() -> None:
    def suggest(trial: Any) -> dict[str, Any]:
        kind = trial.suggest_categorical("kind", ["tree", "line"])
        return {"kind": kind} | ({"depth": trial.suggest_int("depth", 1, 4)} if kind == "tree" else {})

    search = td.Search(suggest=suggest, trials=20, sampler="random")
    sampling = Sampling(search, name="m", seed=0, greater=False)
    drawn = [Sampling(search, name="m", seed=seed, greater=False).draw(0, [])[0] for seed in range(20)]

    assert {"depth" in params for params in drawn} == {True, False}
    assert all(("depth" in params) == (params["kind"] == "tree") for params in drawn)
    bad = Sampling(td.Search(suggest=lambda trial: None, trials=1), name="m", seed=0, greater=False)  # type: ignore[arg-type, return-value]
    with pytest.raises(InvalidDeclaration, match="returned None"):
        bad.draw(0, [])
    assert sampling.importance([]) == {}


def test_the_pruner_gives_up_what_is_worse_than_the_median() -> None:
    options = {"n_startup_trials": 3, "n_warmup_steps": 0}
    search = td.Search(space=SPACE, trials=9, pruner="median", pruner_options=options)
    sampling = Sampling(search, name="m", seed=0, greater=False)
    ended = [
        Trial(
            run="r",
            number=number,
            state="succeeded",
            value=1.0,
            steps=((0, 5.0 + number), (1, 1.0)),
            started_at=datetime(2013, 1, 1, tzinfo=UTC),
        )
        for number in range(4)
    ]

    def is_hopeless(value: float) -> bool:
        trial = Trial(
            run="r",
            number=4,
            state="running",
            steps=((0, value),),
            started_at=datetime(2013, 1, 1, tzinfo=UTC),
        )
        return sampling.is_hopeless(trial, [*ended, trial])

    assert not is_hopeless(5.5)
    assert is_hopeless(7.5)


def test_an_unknown_option_is_refused() -> None:
    search = td.Search(space=SPACE, trials=9, sampler_options={"n_startups": 3})

    with pytest.raises(InvalidDeclaration, match="sampler_options.*n_startups"):
        Sampling(search, name="m", seed=0, greater=False).draw(0, [])


def test_importance_finds_the_parameter_that_matters() -> None:
    search = td.Search(space={"x": td.Float(-5, 5), "idle": td.Float(0, 1)}, trials=40, sampler="random")
    sampling = Sampling(search, name="m", seed=1, greater=False)
    trials: list[Trial] = []
    for number in range(40):
        _, _, drawn = sampling.draw(number, trials)
        trials.append(
            Trial(
                run="r",
                number=number,
                state="succeeded",
                drawn=drawn,
                value=drawn.params["x"] ** 2,
                started_at=datetime(2013, 1, 1, tzinfo=UTC),
            )
        )

    found = sampling.importance(trials)

    assert list(found) == ["x", "idle"]
    assert found["x"] > 0.8
