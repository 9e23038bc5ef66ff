"""Optuna, asked for one trial at a time: what is drawn depends on the trial's number and on what has ended before it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from treadle.core.errors import InvalidDeclaration, MissingExtra
from treadle.core.ids import digest_of
from treadle.core.optional import require
from treadle.training.search import PRUNERS, SAMPLERS, WINDOW, Search, points
from treadle.training.spaces import Categorical, Dimension, Int
from treadle.training.trials import Drawn, Trial

#: Successful trials from which on it is told which parameter mattered how much.
LEAST_TRIALS = 10
#: Samplers that have to be given the same seed for every trial, as they shuffle one list.
_ONE_SEED = {"grid"}


class Sampling:
    """Draws trials and gives hopeless ones up, as Optuna's sampler and pruner say.

    The seed is derived from the trial's number. So a search with one worker draws the same trials again after a kill, and
    samplers that do not learn (`random`, `grid`) draw the same with any number of workers.
    """

    def __init__(self, search: Search, *, name: str, seed: int, greater: bool) -> None:
        self._optuna = require("optuna", extra="search")
        self._optuna.logging.set_verbosity(self._optuna.logging.ERROR)
        self._search, self._name, self._seed, self._greater = search, name, seed, greater
        self._begin()

    def draw(self, number: int, trials: Sequence[Trial]) -> tuple[dict[str, Any], str, Drawn]:
        """Return parameters, the window's name and the point for a trial, given all trials that there are.

        Raises:
            InvalidDeclaration: the user's `suggest` returned no parameters.
        """
        before = [trial for trial in trials if trial.number < number]
        self._sync(before)
        self._study.sampler = self._sampler(number)
        asked = self._study.ask()
        window = asked.suggest_categorical(WINDOW, list(self._search.labels)) if self._search.windows else ""
        if self._search.suggest is not None:
            params = self._search.suggest(asked)
            _check_params(params)
        else:
            params = {name: _suggested(asked, name, one) for name, one in self._search.space.items()}
        written = self._optuna.distributions.distribution_to_json
        drawn = Drawn(
            params=dict(asked.params),
            distributions={name: written(one) for name, one in asked.distributions.items()},
            attributes=dict(self._study.get_trials(deepcopy=False)[number].system_attrs),
        )
        self._seen.append(_placeholder(number))
        return params, window, drawn

    def is_hopeless(self, trial: Trial, trials: Sequence[Trial]) -> bool:
        """Return whether the pruner gives a trial up, after the step that it has reported last."""
        if self._search.pruner == "none":
            return False
        others = [other for other in trials if other.number != trial.number]
        self._sync(sorted([*others, trial], key=lambda one: one.number))
        frozen = self._study.get_trials(deepcopy=False)[trial.number]
        return bool(self._study.pruner.prune(self._study, frozen))

    def importance(self, trials: Sequence[Trial]) -> dict[str, float]:
        """Return how much of what sets the best trials apart each parameter explains: shares that add up to 1, largest first.

        By PED-ANOVA (Watanabe et al., 2023), from ten successful trials up; else nothing.
        """
        self._sync(trials)
        if sum(trial.state == "succeeded" for trial in trials) < LEAST_TRIALS:
            return {}
        module = self._optuna.importance
        shares = module.get_param_importances(self._study, evaluator=module.PedAnovaImportanceEvaluator())
        found = {name: float(share) for name, share in shares.items()}
        return {} if any(math.isnan(share) for share in found.values()) else found

    def _begin(self) -> None:
        direction = self._optuna.study.StudyDirection
        wanted = direction.MAXIMIZE if self._greater else direction.MINIMIZE
        self._storage = self._optuna.storages.InMemoryStorage()
        self._identity = self._storage.create_new_study([wanted], self._name)
        self._study = self._optuna.Study(self._name, self._storage, sampler=None, pruner=self._pruner())
        self._seen: list[Trial] = []

    def _sync(self, trials: Sequence[Trial]) -> None:
        """Bring the study to hold exactly these trials, numbered from 0."""
        if len(self._seen) > len(trials):
            self._begin()
        for place, trial in enumerate(trials):
            if place == len(self._seen):
                self._storage.create_new_trial(self._identity, template_trial=self._frozen(trial))
                self._seen.append(trial)
            elif self._seen[place] is not trial:
                self._tell(place, self._frozen(trial))
                self._seen[place] = trial

    def _tell(self, place: int, frozen: Any) -> None:
        """Tell the study how a trial that was under way has gone on."""
        identity = self._storage.get_trial_id_from_study_id_trial_number(self._identity, place)
        there = self._storage.get_trial(identity)
        if there.state.is_finished():
            return
        for name, distribution in frozen.distributions.items():
            if name not in there.params:
                internal = distribution.to_internal_repr(frozen.params[name])
                self._storage.set_trial_param(identity, name, internal, distribution)
        for key, value in frozen.system_attrs.items():
            self._storage.set_trial_system_attr(identity, key, value)
        for step, value in frozen.intermediate_values.items():
            self._storage.set_trial_intermediate_value(identity, step, value)
        if frozen.state.is_finished():
            self._storage.set_trial_state_values(identity, frozen.state, frozen.values)

    def _frozen(self, trial: Trial) -> Any:
        states = self._optuna.trial.TrialState
        ended = {"succeeded": states.COMPLETE, "pruned": states.PRUNED, "failed": states.FAIL}
        read = self._optuna.distributions.json_to_distribution
        return self._optuna.trial.create_trial(
            state=ended.get(trial.state, states.RUNNING),
            value=trial.value if trial.state == "succeeded" else None,
            params=dict(trial.drawn.params),
            distributions={name: read(text) for name, text in trial.drawn.distributions.items()},
            system_attrs=dict(trial.drawn.attributes),
            intermediate_values=dict(trial.steps),
        )

    def _sampler(self, number: int) -> Any:
        name = self._search.sampler
        options = dict(self._search.sampler_options)
        if name == "grid":
            options["search_space"] = self._grid()
        seed = self._seed if name in _ONE_SEED else _seed_of(self._seed, number)
        return self._made("sampler", SAMPLERS[name], {"seed": seed, **options})

    def _pruner(self) -> Any:
        return self._made("pruner", PRUNERS[self._search.pruner], dict(self._search.pruner_options))

    def _grid(self) -> dict[str, list[Any]]:
        grid = {name: points(one) or [] for name, one in self._search.space.items()}
        return {WINDOW: list(self._search.labels), **grid} if self._search.windows else grid

    def _made(self, kind: str, name: str, options: dict[str, Any]) -> Any:
        try:
            return getattr(getattr(self._optuna, f"{kind}s"), name)(**options)
        except (TypeError, ValueError) as error:
            msg = f"Optuna's {name} does not take td.Search's {kind}_options {options!r}: {error}"
            raise InvalidDeclaration(msg, field=f"{kind}_options") from error
        except ImportError as error:
            msg = f"Optuna's {name} needs a library that is not installed: {error}"
            raise MissingExtra(msg) from error


def _suggested(asked: Any, name: str, dimension: Dimension) -> Any:
    if isinstance(dimension, Categorical):
        return asked.suggest_categorical(name, list(dimension.choices))
    if isinstance(dimension, Int):
        return asked.suggest_int(name, dimension.low, dimension.high, step=dimension.step, log=dimension.log)
    return asked.suggest_float(name, dimension.low, dimension.high, step=dimension.step, log=dimension.log)


def _check_params(params: object) -> None:
    try:
        if isinstance(params, dict) and all(isinstance(name, str) for name in params):
            json.dumps(params)
            return
    except TypeError:
        pass
    msg = (
        f"The function suggest of td.Search returned {params!r}. Expected a dict of names to texts, numbers, truth values "
        "and lists of them."
    )
    raise InvalidDeclaration(msg, field="suggest")


def _seed_of(seed: int, number: int) -> int:
    return int(digest_of([seed, number])[-8:], 16)


def _placeholder(number: int) -> Trial:
    return Trial(run="", number=number, state="running", started_at=datetime(1970, 1, 1, tzinfo=UTC))
