"""What a model card says, as one record: for the page, and for programs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from treadle.core.records import Alias, DatasetVersion, ModelVersion, Record, Run, Verdict
from treadle.evaluation.plot import Plot
from treadle.loop.explaining import Explained
from treadle.loop.rescoring import Owed, Score
from treadle.registry.packages import Listing


class Card(Record, frozen=True, kw_only=True):
    """Everything that is known of one model version."""

    version: ModelVersion
    #: When the card was made; scores are taken anew from the rows of the recorded dataset versions.
    at: datetime
    #: What the training function's docstring says.
    about: str = ""
    #: Aliases that point at it now.
    aliases: tuple[str, ...] = ()
    #: Every move of an alias to this version or away from it, oldest first.
    moves: tuple[Alias, ...] = ()
    run: Run
    datasets: tuple[DatasetVersion, ...] = ()
    #: Rows with a known outcome by part: `train` and `validation` of the window, `test`, `forward`.
    rows: dict[str, int] = msgspec.field(default_factory=dict)
    #: The metric that decides where a gate names none.
    metric: str = ""
    scores: tuple[Score, ...] = ()
    #: The deciding metric on parts of the test rows.
    slices: tuple[Score, ...] = ()
    #: The task's plots of the test rows.
    plots: tuple[Plot, ...] = ()
    #: What it owes to each input, most first.
    owed: tuple[Owed, ...] = ()
    #: What each input adds to its answers, most first.
    explained: Explained = Explained()
    verdicts: tuple[Verdict, ...] = ()
    #: Python, platform and packages, as `training.environment` describes them.
    environment: dict[str, Any] = msgspec.field(default_factory=dict)
    #: What differed from the commit, as a unified diff.
    diff: str = ""
    package: Listing | None = None
    #: Why the package does not load and reproduce its golden rows; empty: it does.
    refused: str = ""
    #: What could not be found out, and why.
    missing: tuple[str, ...] = ()
    #: What a person who uses the model should know, as sentences.
    limits: tuple[str, ...] = ()
