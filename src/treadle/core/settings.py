"""What may be configured, and where each value comes from: file < environment < arguments.

This is the one file that reads `os.environ`. `treadle.toml` marks a project's root; relative paths in it
start there. `TREADLE_SECTION__KEY` overrides a key, `TREADLE_SECTION__KEY_FILE` names a file that holds the
value (for secrets). An unknown section or key is an error that names the nearest known one.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from treadle.core.errors import NotFound, SettingsError, closest
from treadle.core.section import Section as Section
from treadle.core.serving import ServingSettings as ServingSettings
from treadle.core.team import UiSettings as UiSettings
from treadle.core.telling import AlertsSettings as AlertsSettings
from treadle.core.telling import WatchSettings as WatchSettings

FILE_NAME, _PREFIX = "treadle.toml", "TREADLE_"
#: Characters of the longest file of settings, dots in its longest line, and characters of a value that a message repeats.
_LONGEST, _MOST_DOTS, _LONGEST_SHOWN = 64 * 1024, 100, 200
_PLAIN, _SECRET = (str, int, float, bool), ("token", "secret", "redact_key", "channels", "oidc_secret")


class ProjectSettings(Section, frozen=True, kw_only=True):
    """What the project is called and where its declarations are."""

    #: Name of the project, shown in `status` and in alerts.
    name: str = "project"
    #: Python file with the declarations (datasets, views, models), relative to `treadle.toml`.
    file: str = "project.py"


class LedgerSettings(Section, frozen=True, kw_only=True):
    """Where the relational state is kept."""

    #: `sqlite:///path` (relative to the project) or `postgresql://user@host/database`.
    url: str = "sqlite:///.treadle/ledger.db"
    #: PostgreSQL schema that holds the tables, so that several projects can share a database.
    schema: str = "treadle"
    #: Seconds to wait for a locked or unreachable ledger before giving up.
    timeout: float = 30.0


class ObjectsSettings(Section, frozen=True, kw_only=True):
    """Where immutable files (packages, checkpoints, reports) are kept."""

    #: A folder, or `s3://bucket/prefix`. Credentials and endpoint come from the usual `AWS_*` variables.
    url: str = ".treadle/objects"


class TablesSettings(Section, frozen=True, kw_only=True):
    """Where versioned tables (datasets, quarantine, predictions, outcomes) are kept."""

    #: A folder, or `s3://bucket/prefix`. Credentials and endpoint come from the usual `AWS_*` variables.
    url: str = ".treadle/tables"


class OnlineSettings(Section, frozen=True, kw_only=True):
    """Where the newest feature values are kept, to be read while somebody waits."""

    #: A folder (embedded), or `redis://user:password@host:port/database` (`rediss://` over TLS).
    url: str = ".treadle/online"
    #: What a read gives while the store does not answer: `null` (missing values, marked as degraded) or `error`.
    on_failure: Literal["null", "error"] = "null"
    #: Seconds that a read waits for the store at most, half of them for a connection.
    timeout: float = 0.04


class QueueSettings(Section, frozen=True, kw_only=True):
    """Where jobs wait."""

    #: A folder (embedded), or `amqp://user:password@host:5672/queue` of RabbitMQ (`/vhost/queue` in a virtual host, `amqps://` over TLS).
    url: str = ".treadle/queue"
    #: Seconds after which a job is given to another worker when its worker is silent; where a worker died, RabbitMQ notices at once.
    lease: float = 30.0
    #: How many workers may die of a job before it is parked.
    crashes: int = 3
    #: Seconds that a submission waits for the queue at most; then it is refused, to be sent again.
    timeout: float = 0.8


class JobsSettings(Section, frozen=True, kw_only=True):
    """Predictions that callers do not wait for, and the workers that make them."""

    #: How many worker processes `treadle worker` keeps at least.
    least: int = 1
    #: How many it starts at most while jobs wait.
    most: int = 4
    #: Bytes of memory after which a worker ends with its job, and another one takes its place.
    memory: int = 2 * 1024**3
    #: How long inputs, results and records of finished jobs are kept, as `7d`.
    retention: str = "7d"
    #: A folder whose files jobs may name as their rows, which callers get back with the answers; empty: none.
    files: str = ""
    #: Datasets whose rows jobs may name, which callers get back with the answers, with commas between; `*`: all; empty: none.
    datasets: str = ""
    #: Where web hooks may go although it is not public: networks and hosts with commas between, as `10.0.0.0/8, hooks.internal`.
    allow: str = ""
    #: File into which `treadle worker` writes its metrics, for node-exporter's textfile collector; empty: none.
    metrics_file: str = ""
    #: Key of the HMAC-SHA256 signature of web hooks, in the header `Treadle-Signature`.
    secret: str = ""


class ComputeSettings(Section, frozen=True, kw_only=True):
    """Where training functions run."""

    #: `process` (a worker process: can be timed out and killed), `inline` (this process), or `ray` (the nodes of a cluster).
    engine: str = "process"
    #: Where the engine is: for `ray` `ray://host:10001`, `host:6379` or `auto`; empty: on this machine.
    address: str = ""
    #: The longest a training function may take, as `30m`; a run that takes longer fails.
    timeout: str = "6h"
    #: How often a training whose process was killed or ran out of memory is started again, in a row and without progress.
    retries: int = 2


class LoopSettings(Section, frozen=True, kw_only=True):
    """Watchers, and what their trainings may use."""

    #: Seconds after which a turn whose process is silent may be taken over from another machine; on the same one a dead process is known at once.
    lease: float = 60.0
    #: How many turns may be under way at once, over all models and watchers; 0: as many as there are watchers.
    concurrency: int = 0
    #: What an hour of compute costs, for budgets of models whose `td.Resources` name no price.
    price: float = 0.0


class ReplaySettings(Section, frozen=True, kw_only=True):
    """Trainings of replays."""

    #: How many processes train at once; 0: as many as there are cores. Each starts one thread.
    workers: int = 0
    #: Bytes of results that are kept in `.treadle/replays`, so that a second replay trains nothing anew; 0: none.
    cache: int = 1024**3


class ClockSettings(Section, frozen=True, kw_only=True):
    """Which clock the project lives by."""

    #: A file that holds the present moment (ISO 8601), for back-tests and demos; empty: the machine's clock.
    file: str = ""


class Settings(Section, frozen=True, kw_only=True):
    """Everything that can be configured."""

    project: ProjectSettings = ProjectSettings()
    ledger: LedgerSettings = LedgerSettings()
    objects: ObjectsSettings = ObjectsSettings()
    tables: TablesSettings = TablesSettings()
    online: OnlineSettings = OnlineSettings()
    queue: QueueSettings = QueueSettings()
    jobs: JobsSettings = JobsSettings()
    compute: ComputeSettings = ComputeSettings()
    loop: LoopSettings = LoopSettings()
    replay: ReplaySettings = ReplaySettings()
    serving: ServingSettings = ServingSettings()
    alerts: AlertsSettings = AlertsSettings()
    watch: WatchSettings = WatchSettings()
    ui: UiSettings = UiSettings()
    clock: ClockSettings = ClockSettings()


#: section → its class; the reference pages and the tests read this.
SECTIONS: dict[str, type[Section]] = {f.name: f.type for f in msgspec.structs.fields(Settings)}


def find_root(start: Path | None = None) -> Path:
    """Return the nearest folder, from `start` upward, that holds `treadle.toml`.

    Raises:
        NotFound: there is none; the message says how to make one.
    """
    begin = (start or Path.cwd()).resolve()
    for folder in (begin, *begin.parents):
        if (folder / FILE_NAME).is_file():
            return folder
    raise NotFound(f"No {FILE_NAME} in {begin} or above it. Make a project here with: treadle init")


def load(
    root: Path,
    overrides: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Read a project's settings: its file, then the environment, then `overrides` (`section.key` → value).

    Raises:
        SettingsError: a key is unknown or a value has the wrong type; the message says which, and where it stood.
    """
    values: dict[str, dict[str, Any]] = {}
    origin: dict[str, str] = {}
    for key, value, where in (
        *_from_file(root / FILE_NAME),
        *_from_environment(os.environ if environment is None else environment),
        *((key, value, "an argument") for key, value in (overrides or {}).items()),
    ):
        section, _, name = key.partition(".")
        _must_exist(section, name, where)
        values.setdefault(section, {})[name] = value
        origin[key] = where
    sections = {name: _section(SECTIONS[name], name, found, origin) for name, found in values.items()}
    return Settings(**sections)  # type: ignore[arg-type]


def aws_options(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the `AWS_*` variables, which mean here what they mean everywhere."""
    found = os.environ if environment is None else environment
    options = {key: value for key, value in found.items() if key.startswith("AWS_")}
    if options.get("AWS_ENDPOINT_URL", "").startswith("http://"):
        options.setdefault("AWS_ALLOW_HTTP", "true")
    return options


def variables(prefix: str, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables of another tool that begin so and are not empty; they mean here what they mean there.

    >>> variables("MLFLOW_", {"MLFLOW_TRACKING_URI": "http://localhost:5000", "HOME": "/root"})
    {'MLFLOW_TRACKING_URI': 'http://localhost:5000'}
    """
    found = os.environ if environment is None else environment
    return {key: value for key, value in found.items() if key.startswith(prefix) and value}


def referenced(text: str, environment: Mapping[str, str] | None = None) -> str:
    """Return what `env:NAME` names: the variable, or what stands in the file that `NAME_FILE` names; other text as it is.

    Raises:
        SettingsError: neither variable is set, or the file cannot be read.
    """
    name = text.removeprefix("env:")
    if name == text:
        return text
    found = os.environ if environment is None else environment
    if name in found:
        return found[name]
    if (file := f"{name}_FILE") in found:
        return _read_secret(file, found[file])
    msg = f"{text!r}: there is no variable {name}, and none {name}_FILE that names a file. Set one of them."
    raise SettingsError(msg)


def as_environment(overrides: Mapping[str, Any]) -> dict[str, str]:
    """Return overrides (`section.key` → value) as the variables by which a child process gets the same settings.

    >>> as_environment({"compute.timeout": "5m", "serving.workers": 2})
    {'TREADLE_COMPUTE__TIMEOUT': '5m', 'TREADLE_SERVING__WORKERS': '2'}
    """
    return {_PREFIX + key.upper().replace(".", "__", 1): _text(value) for key, value in overrides.items()}


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with `extra` on top, for a child process."""
    return {**os.environ, **extra}


def _from_file(path: Path) -> list[tuple[str, Any, str]]:
    if not path.is_file():
        return []
    try:
        text = path.read_text(encoding="utf-8")
        # The time that reading takes grows with the square of a key's parts.
        if len(text) > _LONGEST or any(line.count(".") > _MOST_DOTS for line in text.splitlines()):
            msg = f"{path} is too long, or one of its lines is. Expected a few settings, each as key = value."
            raise SettingsError(msg)
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        msg = f"{path} is not valid TOML: {error}"
        raise SettingsError(msg) from error
    found = []
    for section, keys in tables.items():
        if not isinstance(keys, dict):
            msg = (
                f"{path}: {section!r} stands outside a table. Put it under one of [{'], ['.join(SECTIONS)}]."
            )
            raise SettingsError(msg)
        _must_exist(section, "", str(path))
        found += [(f"{section}.{key}", value, str(path)) for key, value in keys.items()]
    return found


def _from_environment(environment: Mapping[str, str]) -> list[tuple[str, Any, str]]:
    found = []
    for variable, text in sorted(environment.items()):
        if not variable.startswith(_PREFIX) or "__" not in variable:
            continue
        key = variable.removeprefix(_PREFIX).lower().replace("__", ".", 1)
        if key.endswith("_file") and not _exists(key):
            key, text = key.removesuffix("_file"), _read_secret(variable, text)
        found.append((key, text, f"the variable {variable}"))
    return found


def _read_secret(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        msg = f"The variable {variable} names the file {path!r}, which cannot be read: {error}"
        raise SettingsError(msg) from error


def _exists(key: str) -> bool:
    section, _, name = key.partition(".")
    return name in getattr(SECTIONS.get(section), "__struct_fields__", ())


def _must_exist(section: str, name: str, where: str) -> None:
    if section not in SECTIONS:
        msg = f"Unknown section {section!r} in {where}. {closest(section, SECTIONS)}"
        raise SettingsError(msg)
    if name and name not in SECTIONS[section].__struct_fields__:
        msg = f"Unknown key {name!r} in section {section!r} in {where}. {closest(name, SECTIONS[section].__struct_fields__)}"
        raise SettingsError(msg)


def _section(kind: type[Section], name: str, values: dict[str, Any], origin: dict[str, str]) -> Section:
    checked = {}
    types = {field.name: field.type for field in msgspec.structs.fields(kind)}
    for key, value in values.items():
        try:
            checked[key] = _converted(value, types[key])
        except msgspec.DecodeError as error:
            shown = (
                "***" if key in _SECRET or isinstance(value, dict | list) else repr(value)[:_LONGEST_SHOWN]
            )
            msg = f"Setting {name}.{key} = {shown} in {origin[f'{name}.{key}']}: {error}"
            raise SettingsError(msg) from error
    return kind(**checked)


def _converted(value: Any, kind: Any) -> Any:
    if (
        isinstance(value, str) and kind not in _PLAIN and value[:1] in ("{", "[")
    ):  # a table or a list, as JSON
        return msgspec.json.decode(value, type=kind)
    return msgspec.convert(value, kind, strict=not isinstance(value, str))


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode() if isinstance(value, dict | list | tuple) else str(value)
