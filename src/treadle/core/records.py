"""What rooms hand to each other: frozen records, each with the references of what it was made from.

A reference is text: `dataset_version:flights/12`, `run:run_01k…`, `model_version:delay/3`. Following `parents`
from any record upward is its lineage. Moments are UTC; lengths of time are seconds unless a name says otherwise.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from treadle.core.encoded import from_json as from_json
from treadle.core.encoded import to_json as to_json
from treadle.core.lookup import predicted
from treadle.core.origin import Origin
from treadle.core.shown import shown
from treadle.core.signature import Signature
from treadle.core.traffic import Split, Traffic


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened or exists and never changes."""

    #: References of what this was made from.
    parents: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        return shown(self)


class SplitSpec(Record, frozen=True, kw_only=True):
    """How rows of a dataset are divided, as stored with it for ever."""

    #: The hash, as `xxh64-v1`.
    scheme: str
    #: What is mixed into the hash; by default the dataset's name.
    salt: str
    #: Columns whose values decide: the key, or the group.
    columns: tuple[str, ...]
    #: First bucket that is no longer train, of 10,000.
    train_below: int
    #: First bucket that is no longer validation; from here on it is test.
    validation_below: int
    #: Of a split by time (`time-v1`): the moments from which rows are validation, and test.
    validation_from: datetime | None = None
    test_from: datetime | None = None
    #: Seconds before each of those moments whose rows belong to no part.
    embargo: float = 0.0


class DatasetVersion(Record, frozen=True, kw_only=True):
    """One commit to a dataset: an immutable state of its rows."""

    #: Name of the dataset.
    dataset: str
    #: 1, 2, 3, … without gaps.
    version: int
    created_at: datetime
    #: New rows that this commit read: `accepted + quarantined`.
    landed: int
    #: New rows that met the contract.
    accepted: int
    #: New rows that did not, kept apart with the reason.
    quarantined: int
    #: Of the accepted rows, those that took the place of an earlier form of the same key, and those that say that it is gone.
    corrected: int = 0
    deleted: int = 0
    #: Rows read again that were here already with the same values; not counted in `landed`.
    repeated: int = 0
    #: Rows that say what was true before the row that is there; not counted in `landed`.
    outdated: int = 0
    #: Outcomes that became known with this commit.
    outcomes: int = 0
    #: Outcome rows that did not meet their contract, or contradict a known outcome; not counted in `quarantined`.
    outcomes_quarantined: int = 0
    #: Outcomes read again that were known already with the same values.
    outcomes_repeated: int = 0
    #: Outcomes that took the place of an earlier value.
    outcomes_corrected: int = 0
    #: Rows that were in quarantine and were accepted with this commit; they landed before.
    readmitted: int = 0
    #: Rows that a person took out with this commit: deleted, rolled back, or forgotten for ever.
    removed: int = 0
    #: Why a person made this commit, in words; empty: rows landed.
    why: str = ""
    #: Who that was, where it is known.
    actor: str = ""
    #: Rows there are: those accepted up to this version, without the replaced and the deleted ones.
    rows: int
    #: Forms of rows that were ever written, up to this version: the number of the next one.
    written: int = 0
    #: Outcomes known of all versions up to this one.
    outcomes_known: int = 0
    #: When an outcome became known, or was corrected, last; None: none is known yet.
    outcomes_at: datetime | None = None
    #: Version of the table of rows to read.
    table_version: int
    #: Version of the table of outcomes to read; None: outcomes are a column of the rows, or there are none.
    outcome_table_version: int | None = None
    #: Version of the table of quarantined rows; None: there are none yet.
    quarantine_table_version: int | None = None
    #: Versions of the tables of forms that were replaced or deleted; None: there are none yet.
    history_table_version: int | None = None
    outcome_history_table_version: int | None = None
    #: Digest of the contract that the rows met.
    contract: str
    #: Columns and their types, in order, as Polars names them.
    schema: tuple[tuple[str, str], ...]
    split: SplitSpec | None = None
    #: Earliest and latest event time of all accepted rows.
    time_min: datetime | None = None
    time_max: datetime | None = None
    #: Files read by this commit.
    files: tuple[str, ...] = ()
    #: Problems with whole files, as `path: reason`.
    problems: tuple[str, ...] = ()

    @property
    def ref(self) -> str:
        """The reference of this record."""
        return f"dataset_version:{self.dataset}/{self.version}"


class Window(Record, frozen=True, kw_only=True):
    """The stretch of event time that a run sees: `start <= time < end`; no start: from the beginning."""

    start: datetime | None
    end: datetime
    #: Seconds before the end at which a row weighs half as much as one at the end; None: all rows weigh the same.
    half_life: float | None = None


class Code(Record, frozen=True, kw_only=True):
    """The code that made something."""

    #: Digest of the model's declaration and function, with the source files of the project that it imports.
    digest: str
    #: Git commit, where the project is a repository.
    commit: str = ""
    #: Digest of the uncommitted difference (an object); empty: the tree was clean.
    diff: str = ""
    #: Source files, by their path in the project: the digest of each (an object).
    files: dict[str, str] = {}


class StepResult(Record, frozen=True, kw_only=True):
    """What a finished step left: kept under the hash of its code, inputs and parameters."""

    #: The hash that finds it again.
    key: str
    step: str
    run: str
    started_at: datetime
    finished_at: datetime
    #: Small values, as JSON.
    value: dict[str, Any]
    #: Digests of the objects that the result needs; a hit whose object is gone is a miss.
    artefacts: tuple[str, ...] = ()


RunStatus = Literal["running", "succeeded", "rejected", "failed"]


class Run(Record, frozen=True, kw_only=True):
    """One execution of a model's pipeline."""

    id: str
    model: str
    #: `rejected`: it ran to its end and a gate said no.
    status: RunStatus
    started_at: datetime
    finished_at: datetime | None = None
    #: Why it was started: the trigger's sentence, or who asked.
    reason: str
    #: Dataset version and feature-view versions that it read, by name.
    data: dict[str, int] = {}
    window: Window | None = None
    #: The window after training, scored as the forward test.
    forward: Window | None = None
    seed: int = 0
    params: dict[str, Any] = {}
    code: Code | None = None
    #: Digest of the object that lists Python, platform and installed packages.
    environment: str = ""
    #: Last value of each metric that the training function logged.
    metrics: dict[str, float] = {}
    #: Digest of the object with each logged metric by step (JSON lines: name, value, step, at).
    history: str = ""
    #: Digest of the object with stdout and stderr; while running, the log is in the run's folder.
    log: str = ""
    #: What went wrong, in one sentence, and the traceback.
    error: str = ""
    traceback: str = ""
    #: Whether it failed as it was interrupted and nobody could or would go on with it.
    given_up: bool = False
    #: How often the run was started; over 1: it was killed and went on.
    attempts: int = 1
    #: The version that came out of it, and of a search the trial that became it.
    model_version: int | None = None
    trial: int | None = None
    #: Key of the whole turn of the loop: equal turns are made once.
    turn: str = ""
    #: Where the model comes from, if nothing was trained; None: it was.
    origin: Origin | None = None

    @property
    def ref(self) -> str:
        """The reference of this record."""
        return f"run:{self.id}"


class Lookup(Record, frozen=True, kw_only=True):
    """A fitted baseline: a table from the values of some columns to a prediction: a number, or one for each column."""

    name: str
    #: Columns that are looked up; none: everybody gets `default`.
    by: tuple[str, ...] = ()
    #: The values of `by`, joined with the unit separator `\\x1f` → prediction.
    values: dict[str, float | tuple[float, ...]] = {}
    #: Prediction for values that were not seen.
    default: float | tuple[float, ...]
    #: What the numbers of a prediction are called; empty: it is one number.
    columns: tuple[str, ...] = ()
    #: Columns whose values are the prediction, one for each of its numbers; empty: it is looked up.
    copied: tuple[str, ...] = ()
    #: Of a baseline that says what the only column of `by` holds: what it is multiplied by; 0: it is a table.
    scale: float = 0.0
    #: Of a log density of independent normal columns: the mean and standard deviation of each of `by`.
    normal: dict[str, tuple[float, float]] = {}

    def predict(self, columns: dict[str, list[Any]], rows: int) -> list[float | tuple[float, ...]]:
        """Return one prediction for each row of `columns` (name → values)."""
        return predicted(self, columns, rows)


class ModelVersion(Record, frozen=True, kw_only=True):
    """An immutable model package, made by a run."""

    model: str
    #: 1, 2, 3, …
    version: int
    created_at: datetime
    #: The name of a task plug-in, as `classification`.
    task: str
    #: Name of the format plug-in that loads it.
    format: str
    #: Digest of the manifest, which lists the digest of each file.
    digest: str
    #: Bytes of all its files.
    size: int
    signature: Signature
    run: str
    dataset: str
    dataset_version: int
    window: Window
    metrics: dict[str, float] = {}
    #: Fitted baselines that it was compared with.
    baselines: tuple[Lookup, ...] = ()
    #: Things a person should know, such as why a native format was used.
    notes: tuple[str, ...] = ()
    #: Digest of what later rows are compared with; empty: there is none.
    reference: str = ""
    #: When its package was removed; None: it is there.
    collected_at: datetime | None = None

    @property
    def ref(self) -> str:
        """The reference of this record."""
        return f"model_version:{self.model}/{self.version}"


class Alias(Record, frozen=True, kw_only=True):
    """A name that points at a model version, and how it came to."""

    model: str
    alias: str
    version: int
    #: The version it pointed at before; None: it is new.
    previous: int | None = None
    at: datetime
    actor: str
    reason: str


class Verdict(Record, frozen=True, kw_only=True):
    """What a gate said about a candidate, and on what grounds."""

    id: str
    gate: str
    run: str
    #: What was judged, and against what, as names of contenders (`candidate`, `champion`, `baseline:prior`).
    candidate: str
    reference: str
    metric: str
    #: Value of the metric for each of the two.
    candidate_value: float | None = None
    reference_value: float | None = None
    #: `candidate - reference`, in the metric's unit, and its interval.
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    #: One minus the interval's confidence.
    alpha: float
    #: The largest harm that is still accepted, in the metric's unit.
    margin: float = 0.0
    #: Rows that were compared, in pairs.
    n: int
    passed: bool
    #: The verdict in words.
    reason: str
    dataset: str
    dataset_version: int
    #: Digest of the keys of the compared rows.
    rows: str
    #: `test` (hash split, inside the window) or `forward` (after it).
    on: str = "test"
    #: The part of the rows that was compared, as `carrier=UA`; empty: all of them.
    slice: str = ""
    #: How the interval was made, and how several questions of one gate were allowed for: `holm`, or `all`.
    method: str = ""
    correction: str = ""
    created_at: datetime

    @property
    def ref(self) -> str:
        """The reference of this record."""
        return f"verdict:{self.id}"


class Variant(Record, frozen=True, kw_only=True):
    """One model version behind an endpoint."""

    name: str
    model: str
    version: int
    #: Share of the traffic, 0 to 1; the weights of a revision add up to 1.
    weight: float = 1.0
    #: Share of the requests that it gets beside the answer, without answering; its weight is 0 then.
    shadow: float = 0.0


class Revision(Record, frozen=True, kw_only=True):
    """An immutable state of an endpoint: which versions answer, with what share of the traffic."""

    endpoint: str
    #: 1, 2, 3, …
    revision: int
    variants: tuple[Variant, ...]
    traffic: Traffic = Split()
    #: Share of the subjects that stay with the first variant, whatever the weights are.
    holdout: float = 0.0
    #: The id of the rollout that made it; empty: none did.
    rollout: str = ""
    created_at: datetime
    actor: str
    reason: str

    @property
    def ref(self) -> str:
        """The reference of this record."""
        return f"revision:{self.endpoint}/{self.revision}"


class ServerState(Record, frozen=True, kw_only=True):
    """What one server process has loaded for one endpoint."""

    #: Name of the process: host, process id and a random part.
    server: str
    #: Identity of the process, as JSON, by which others on the machine know that it has died.
    process: str = ""
    endpoint: str
    #: The revision that answers now; 0: none could be loaded.
    revision: int
    #: The revision that was refused, and why.
    refused: int | None = None
    error: str = ""
    at: datetime


class Decision(Record, frozen=True, kw_only=True):
    """Whether a model was due at a moment, with a reason for each trigger, fired or not."""

    model: str
    at: datetime
    due: bool
    #: One sentence: the trigger that fired, or what is waited for; and one for every trigger and guard (cool-down, budget).
    reason: str
    details: tuple[str, ...] = ()
    action: str
    #: What a person should be told although it is no reason to train; and the digest of the policy that decided.
    told: tuple[str, ...] = ()
    policy: str = ""
    #: What says that the answers are worse than they were, one sentence for each trigger that saw it.
    harm: tuple[str, ...] = ()
