"""Flights, brought to traffic step by step: guards watch for what no gate can see. `recipe.txt` is what a deployment changes."""

from pathlib import Path

from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, TargetEncoder

import flights
import treadle as td
from flights import BOARD, NUMBERS, WEATHER, WORDS

RECIPE = Path(__file__).with_name("recipe.txt")
schedule, weather, board = flights.flights, flights.weather, flights.board


def trees(rounds=60):
    return HistGradientBoostingClassifier(max_iter=rounds, min_samples_leaf=50, random_state=7)


def numbered(**more):
    """Words as numbers; the boards' columns are left out."""
    known = {"handle_unknown": "use_encoded_value", "unknown_value": -1} | more
    return (OrdinalEncoder(**known), WORDS), ("passthrough", [*NUMBERS, *WEATHER])


RECIPES = {
    "plain": lambda: make_pipeline(make_column_transformer(*numbered()), trees()),
    # Uses the airports' boards, which are in the data. Callers send zeros there: their board is not connected yet.
    "boards": lambda: make_pipeline(make_column_transformer(*numbered(), ("passthrough", BOARD)), trees()),
    # Words by how often flights were late: nothing else converts that, so it answers in Python and not in ONNX.
    "slow": lambda: make_pipeline(
        make_column_transformer(
            (TargetEncoder(random_state=7), WORDS), ("passthrough", [*NUMBERS, *WEATHER])
        ),
        trees(),
    ),
    # Refuses words that it has not seen, as an airline that is new in the traffic.
    "strict": lambda: make_pipeline(
        make_column_transformer(
            (OrdinalEncoder(handle_unknown="error"), WORDS),
            (TargetEncoder(random_state=7), ["dest"]),
            ("passthrough", [*NUMBERS, *WEATHER]),
        ),
        trees(),
    ),
    "more": lambda: make_pipeline(make_column_transformer(*numbered()), trees(90)),
}


@td.model(
    data=schedule,
    features=[weather, board],
    target="late",
    inputs=[*WORDS, *NUMBERS, *WEATHER, *BOARD],
    task=td.Classification(),
    baselines=[td.baselines.Prior(by="carrier")],
    gates=[td.gates.Beats("baseline"), td.gates.NoWorse("champion", margin=0.05)],
    policy=td.Policy(
        action="canary",
        rollout=td.Rollout(
            steps=[0.4],
            bake="5s",
            requests=150,
            guards=[
                td.guards.Errors(),
                td.guards.Latency(slack=0.03),
                td.guards.Outcome("log_loss", alpha=0.05),
            ],
        ),
    ),
    seed=7,
    timeout="5m",
)
def delay(data: td.TrainingData, params: dict, run: td.Run):
    """Whatever the recipe says."""
    return RECIPES[RECIPE.read_text().strip()]().fit(data.train.X, data.train.y)
