"""The house keeps its own rules: what is loaded, what is documented, what runs, how large things are."""

from __future__ import annotations

import ast
import doctest
import importlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import msgspec
import pytest

import treadle
from services import free_ports
from treadle.core import plugins, settings

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "treadle"
FILES = sorted(SOURCE.rglob("*.py"))
#: Written by hand: the reference pages are generated from the code and would prove nothing.
DOCS = sorted((ROOT / "docs").rglob("*.md"))
SERVICES = {
    "data": "datasets.Datasets",
    "features": "online.OnlineFeatures",
    "training": "runs.Runs",
    "evaluation": "verdicts.Verdicts",
    "registry": "models.Models",
    "serving": "endpoints.Endpoints",
    "monitoring": "alerts.Alerts",
}
HEAVY = {
    *(
        "adbc_driver_manager",
        "alembic",
        "arro3",
        "deltalake",
        "duckdb",
        "granian",
        "hiredis",
        "lmdb",
        "matplotlib",
        "numpy",
        "obstore",
    ),
    *(
        "onnx",
        "onnxruntime",
        "pandas",
        "polars",
        "prometheus_client",
        "psycopg",
        "pyarrow",
        "scipy",
        "skl2onnx",
    ),
    *("authlib", "opentelemetry", "optuna", "ray", "starlette"),
    *("redis", "sklearn", "skops", "sqlalchemy"),
    *("catboost", "cloudpickle", "keras", "lightgbm", "river", "torch", "xgboost"),
}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def loaded_by(code: str) -> set[str]:
    """Return the modules that a fresh interpreter has loaded after running some code."""
    marked = "print('\\n@' + '\\n@'.join(set(sys.modules) - before))"
    program = f"import sys; before = set(sys.modules)\n{code}\n{marked}"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return {line.removeprefix("@") for line in done.stdout.split("\n") if line.startswith("@")}


HELP = """
from treadle.app.cli.main import main
try:
    main(["--help"])
except SystemExit as end:
    assert not end.code
"""


@pytest.mark.parametrize(
    ("code", "foreign", "most"), [("import treadle", 1, 31), (HELP, 22, 100)], ids=["import", "help"]
)
def test_nothing_heavy_is_loaded_and_little_at_all(code: str, foreign: int, most: int) -> None:
    loaded = loaded_by(code)

    # How much of the standard library an environment loads before any code differs; what is not of it does not.
    assert {name.partition(".")[0] for name in loaded} & HEAVY == set()
    assert len([name for name in loaded if name.partition(".")[0] not in sys.stdlib_module_names]) <= foreign
    assert len(loaded) <= most


def test_a_worker_that_answers_loads_nothing_of_tables() -> None:
    loaded = loaded_by("import treadle.app.serve, treadle.serving.workers")

    assert loaded & {"polars", "deltalake", "obstore", "pyarrow", "duckdb", "pandas"} == set()


@pytest.mark.parametrize("name", treadle.__all__)
def test_every_public_name_is_there_and_explained(name: str) -> None:
    assert (getattr(treadle, name).__doc__ or "").strip()


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Datset'"):
        treadle.Datset  # noqa: B018


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_file_is_long(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_file_begins_with_a_sentence(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert not text.strip() or re.match(r'r?"""[A-Za-z`].*?[.:…](\s|""")', text, re.DOTALL)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_is_left_for_later(path: Path) -> None:
    assert not re.search(
        r"TODO|FIXME|XXX|HACK|NotImplementedError\(\)|for now\b", path.read_text(encoding="utf-8")
    )


@pytest.mark.parametrize(
    ("allowed", "pattern"),
    [
        ("core/settings.py", r"\bos\.(environ|getenv|putenv)"),
        ("core/clock.py", r"\bdatetime\.(now|utcnow)\(|\btime\.time\("),
    ],
    ids=["environment", "clock"],
)
def test_one_file_reads_it(allowed: str, pattern: str) -> None:
    readers = {
        str(path.relative_to(SOURCE))
        for path in FILES
        if any(re.search(pattern, line) for line in _code_lines(path))
    }

    assert readers == {allowed}


def _code_lines(path: Path) -> list[str]:
    """Return the lines of a file outside docstrings and comments."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(
            node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ) and ast.get_docstring(node):
            node.body[0] = ast.Pass()
    return ast.unparse(tree).splitlines()


@pytest.mark.parametrize(("room", "place"), SERVICES.items())
def test_a_room_has_one_service_of_a_readable_size(room: str, place: str) -> None:
    module, _, name = place.partition(".")
    service = getattr(importlib.import_module(f"treadle.{room}.{module}"), name)
    methods = {
        key: value for key, value in vars(service).items() if callable(value) and not key.startswith("_")
    }

    assert service.__module__ == f"treadle.{room}.{module}"
    assert 0 < len(methods) <= 16
    assert [key for key, value in methods.items() if not value.__doc__] == []
    assert [key for key, value in methods.items() if _positional(value) > 4] == []


def _positional(method: object) -> int:
    code = getattr(method, "__code__", None)
    return code.co_argcount if code else 0


@pytest.mark.parametrize("kind", plugins.KINDS)
def test_every_kind_has_plugins_and_each_is_documented(kind: str) -> None:
    names = plugins.available(kind)
    written = "\n".join(path.read_text(encoding="utf-8") for path in DOCS)

    assert names
    assert [name for name in names if f"`{name}`" not in written] == []


@pytest.mark.parametrize("section", settings.SECTIONS)
def test_every_setting_is_documented(section: str, reference: ModuleType) -> None:
    kind = settings.SECTIONS[section]
    page, words = reference.settings_page(), reference.field_docs(kind)

    for field in msgspec.structs.fields(kind):
        assert f"`{section}.{field.name}`" in page
        assert words[field.name].endswith(".")


@pytest.mark.parametrize("path", [*DOCS, ROOT / "README.md"], ids=name_of)
def test_a_setting_that_a_page_names_is_one(path: Path) -> None:
    """`serving.sample` is one; `project.py` is a file, and `loop.ahead` a module."""
    known = {
        name: {field.name for field in msgspec.structs.fields(kind)}
        for name, kind in settings.SECTIONS.items()
    }
    named = re.findall(rf"`({'|'.join(known)})\.([a-z_]+)`", path.read_text(encoding="utf-8"))

    wrong = [f"{section}.{name}" for section, name in named if name != "py" and name not in known[section]]
    assert [one for one in wrong if not (SOURCE / f"{one.replace('.', '/')}.py").is_file()] == []


def test_every_command_and_option_is_documented(reference: ModuleType) -> None:
    page = reference.cli_page()
    written = "\n".join(path.read_text(encoding="utf-8") for path in DOCS)

    for path, command in reference.commands():
        assert f"## {path}\n" in page
        assert command.help, path
        assert [
            option.name for option in command.params if isinstance(option, click.Option) and not option.help
        ] == []
        assert f"{' '.join(path.split()[:2])}" in " ".join(written.split())


def test_every_page_of_the_reference_is_in_the_navigation(reference: ModuleType) -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")

    assert [name for name in reference.pages() if f"reference/{name}.md" not in navigation] == []


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """The hook that generates the reference pages."""
    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs" / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "path", [path for path in FILES if ">>> " in path.read_text(encoding="utf-8")], ids=name_of
)
def test_examples_in_docstrings_run(path: Path) -> None:
    module = importlib.import_module(".".join(path.relative_to(SOURCE.parent).with_suffix("").parts))

    assert doctest.testmod(module).failed == 0


def test_benchmarks_can_be_listed() -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/run.py", "--list"], cwd=ROOT, check=True, capture_output=True, text=True
    )

    listed = {line.split()[0] for line in done.stdout.splitlines()}
    assert listed == {
        path.stem.replace("_", "/", 1).replace("_", "-") for path in (ROOT / "benchmarks/cases").glob("*.py")
    }


def test_a_benchmark_can_be_read_by_programs() -> None:
    command = [sys.executable, "benchmarks/run.py", "--only", "app/help", "--quick", "--json"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)

    (result,) = json.loads(done.stdout)
    assert list(result) == ["id", "unit", "ours", "floor", "peers", "beside", "goal", "met"]
    assert (result["id"], result["unit"], result["met"]) == ("app/help", "s of CPU", None)
    assert 0 < result["floor"] < result["ours"]


def test_make_explains_its_targets() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, check=True, capture_output=True, text=True)

    for target in ("demo", "test", "check", "bench", "faults", "simulate", "docs"):
        assert re.search(rf"make {target} +\S+", done.stdout)


FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


class Reader:
    """Does what a page says, block by block, in an empty folder: writes files, runs Python, types commands.

    A block with `title="name"` is a file. In `console` blocks each line after `$ ` is a command, which must succeed; one
    that ends in `&` goes on in the background, and `treadle serve &` is waited for until it is ready.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._port = free_ports(1)[0]
        self._background: list[subprocess.Popen[bytes]] = []
        self._environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("TREADLE_")},
            "PATH": f"{self._commands()}:{os.environ['PATH']}",
            "TREADLE_SERVING__PORT": str(self._port),
        }

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._background:
            process.send_signal(signal.SIGTERM)
        for process in self._background:
            process.wait(30)

    def follow(self, info: str, body: str) -> None:
        language = (info.split() or [""])[0]
        title = re.search(r'title="([^"]+)"', info)
        if title:
            (self.folder / title[1]).write_text(body, encoding="utf-8")
        elif language == "python":
            self._run([sys.executable, "-c", body])
        elif language == "console":
            for line in re.findall(r"^\$ (.*)$", body.replace("8080", str(self._port)), re.MULTILINE):
                self._type(line)

    def _commands(self) -> Path:
        """Return a folder with `treadle` and `python`, also where the package is only on the path."""
        commands = self.folder.parent / f"{self.folder.name}-bin"
        commands.mkdir(exist_ok=True)
        script = "import sys; from treadle.app.cli.main import main; sys.exit(main())"
        for name, call in {"treadle": f" -c '{script}'", "python": ""}.items():
            (commands / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{call} "$@"\n')
            (commands / name).chmod(0o755)
        return commands

    def _type(self, line: str) -> None:
        if not line.endswith("&"):
            self._run(["bash", "-euo", "pipefail", "-c", line])
            return
        command = ["bash", "-c", f"exec {line.rstrip('& ')}"]
        self._background.append(subprocess.Popen(command, cwd=self.folder, env=self._environment))
        if line.startswith("treadle serve"):
            self._wait_until_ready()

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(
            command, cwd=self.folder, env=self._environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{command[-1]}\n{done.stdout}\n{done.stderr}"

    def _wait_until_ready(self) -> None:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self._port}/readyz", timeout=5).close()
            except (urllib.error.URLError, OSError):
                assert self._background[-1].poll() is None, "the server ended"
                time.sleep(0.1)
            else:
                return
        pytest.fail("the server is not ready after 30 seconds")


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    folder = tmp_path / "project"
    folder.mkdir()
    with Reader(folder) as reader:
        yield reader


@pytest.mark.slow
def test_the_readme_runs(reader: Reader) -> None:
    blocks = FENCE.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    runnable = [(info, body) for info, body in blocks if "run" in info.split() or "title=" in info]

    for info, body in runnable:
        reader.follow(info, body)

    assert any("run" in info.split() for info, _ in runnable), "README has no block marked ```python run"


@pytest.mark.slow
def test_the_tutorial_runs(reader: Reader) -> None:
    shutil.copy(ROOT / "examples" / "flights" / "land.py", reader.folder)
    blocks = FENCE.findall((ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8"))

    for info, body in blocks:
        reader.follow(info, body)

    assert len(blocks) > 10


def test_every_decision_is_in_the_contents() -> None:
    index, contents = (
        (ROOT / "docs" / "decisions" / "index.md").read_text(),
        (ROOT / "mkdocs.yml").read_text(),
    )

    for page in sorted((ROOT / "docs" / "decisions").glob("0*.md")):
        assert f"({page.name})" in index
        assert f"decisions/{page.name}\n" in contents
