"""Names, class paths and deep texts that come with data: nothing is imported or run for them, and none takes long (A2)."""

from __future__ import annotations

import ast
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import pytest

from treadle.app.cli.main import main
from treadle.app.workspace import open_workspace
from treadle.core import plugins, settings
from treadle.core.errors import NotFound, PackageRefused, SettingsError, TreadleError
from treadle.registry import packages
from treadle.store.objects.objects import Objects

#: What loads and runs `siren` where a text is taken for a class path, an entry point, YAML, a template or code.
TEXTS = (
    "siren",
    "siren:run",
    "siren.run",
    "siren = siren:run",
    "..siren",
    "../siren",
    "siren.py",
    "!!python/object/apply:siren.run []",
    "!!python/module:siren",
    "__import__('siren')",
    "${siren.run()}",
    "{{ siren.run() }}",
    "\0siren",
)
#: By setting: texts with the same inside an address.
ADDRESSES = {
    "ledger.url": ("sqlite+siren:///x.db", "siren:///x", "siren.run://"),
    "objects.url": ("siren://bucket", "siren:run://x"),
    "tables.url": ("siren://bucket", "siren.run://x"),
    "online.url": ("siren://host", "sirens://host", "siren:run://host"),
    "compute.engine": TEXTS,
}
DEEP = 100_000
YAML_LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
SECOND = 1.0


@pytest.fixture
def siren(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Modules that are found, and leave a file when they are imported; checks that nobody did."""
    folder, sung = tmp_path / "found", tmp_path / "sung"
    folder.mkdir()
    (folder / "siren.py").write_text(f"open({str(sung)!r}, 'w').close()\n\ndef run(*_):\n    pass\n")
    monkeypatch.syspath_prepend(folder)

    def check() -> None:
        assert not sung.exists()
        found = [
            module
            for module in list(sys.modules.values())
            if str(folder) in str(getattr(module, "__file__", ""))
        ]
        assert found == []

    yield check
    check()


@contextmanager
def quickly() -> Iterator[None]:
    """Check that the block takes no longer than a second of this thread's own time: the machine may be busy."""
    begun = time.thread_time()
    yield
    assert time.thread_time() - begun <= SECOND


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "shop"
    root.mkdir()
    monkeypatch.chdir(root)
    (root / "treadle.toml").write_text("")
    (root / "project.py").write_text("")
    return root


@pytest.mark.parametrize("kind", plugins.KINDS)
def test_a2_a_plug_in_is_one_that_is_installed_by_a_plain_name(siren, kind: str) -> None:
    for text in (*TEXTS, "os", "os.path", "sys:exit", "builtins", "__init__", "", "a" * DEEP):
        with quickly(), pytest.raises(NotFound, match="Available"):
            plugins.load(kind, text)


@pytest.mark.parametrize("key", ADDRESSES)
def test_a2_settings_name_no_code(siren, project: Path, key: str) -> None:
    opened = "rooms" if key == "compute.engine" else key.partition(".")[0]
    for text in ADDRESSES[key]:
        with open_workspace(project, overrides={key: text}) as workspace, quickly(), suppress(TreadleError):
            getattr(workspace, opened)
        siren()


BOMBS = {
    "arrays": "[ledger]\nurl = " + "[" * DEEP,
    "closed arrays": "[ledger]\nurl = " + "[" * 60_00 + "]" * 60_00,
    "tables": "[ledger]\nurl = " + "{a=" * 20_000,
    "dotted keys": "[ledger]\nurl" + ".a" * 30_000 + " = 1",
    "lines of dotted keys": "\n".join(f"ledger.k{n}" + ".a" * 99 + " = 1" for n in range(300)),
    "dotted header": "[" + "a." * 30_000 + "a]\n",
    "digits": "[serving]\nport = " + "1" * 60_000,
    "long": "[ledger]\nurl = '" + "x" * 10**7 + "'",
    "yaml object": "!!python/object/apply:siren.run []",
    "yaml laughs": YAML_LAUGHS,
    "zero byte": '[ledger]\nurl = "\0"',
    "other bytes": "[ledger]\nurl = '\udcff'",
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_a2_a_file_of_settings_that_is_a_bomb_is_one_sentence(siren, project: Path, text: str) -> None:
    (project / "treadle.toml").write_bytes(text.encode(errors="surrogateescape"))

    with quickly(), pytest.raises(SettingsError) as error:
        settings.load(project, environment={})

    assert len(str(error.value)) < 1_000


def test_a2_a_number_of_a_hundred_thousand_digits_in_a_variable(project: Path) -> None:
    with quickly(), pytest.raises(SettingsError) as error:
        settings.load(project, environment={"TREADLE_SERVING__PORT": "1" * DEEP})

    assert len(str(error.value)) < 1_000


MANIFEST = {
    "treadle": 1,
    "format": "onnx",
    "task": "regression",
    "signature": {"inputs": [{"name": "x", "type": "float", "tensor": "float32"}], "output": "float"},
    "files": {},
}


@pytest.mark.parametrize("field", ["format", "task", "notes", "signature", "files", "class", "__reduce__"])
def test_a2_a_manifest_names_no_code(siren, tmp_path: Path, field: str) -> None:
    objects = Objects.open(str(tmp_path / "objects"), root=tmp_path, options={})
    golden = {"golden.msgpack": {"digest": objects.put(b"\x80"), "size": 1}}

    for text in (*TEXTS, "sklearn"):
        digest = objects.put(msgspec.json.encode({**MANIFEST, "files": golden, field: text}))
        with quickly(), pytest.raises(PackageRefused):
            packages.load(digest, objects=objects, cache=tmp_path / "cache")
        siren()


@pytest.mark.parametrize(
    "begin", [b"[", b'{"a":', b'{"notes":[', b'{"signature":{"inputs":[', b'{"files":{"a":']
)
def test_a2_a_deep_manifest_is_refused(tmp_path: Path, begin: bytes) -> None:
    objects = Objects.open(str(tmp_path / "objects"), root=tmp_path, options={})
    digest = objects.put(begin + b"[" * DEEP + b"]" * DEEP)

    with quickly(), pytest.raises(PackageRefused):
        packages.load(digest, objects=objects, cache=tmp_path / "cache")


def test_a2_a_project_that_is_written_from_data_has_its_names_as_texts_only(
    siren, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f'"x {text}"'.replace("\0", "0") for text in TEXTS] + [
        '"x = __import__(""siren"")"',
        '"a\nimport siren"',
    ]
    rows = "\n".join(",".join([str(n)] * (len(names) + 1)) for n in range(60))
    (project / "treadle.toml").unlink()
    (project / "project.py").unlink()
    (project / "import siren.csv").write_text(",".join(["k", *names]) + "\n" + rows)

    for arguments in (["init", "--target", "x siren.run"], ["ingest"]):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert not end.value.code, capsys.readouterr().err

    tree = ast.parse((project / "project.py").read_text())
    names_used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert not any("siren" in name for name in imported)
    assert "__import__" not in names_used


def test_a2_deep_and_strange_lines_go_to_quarantine_and_can_be_explained(
    siren, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "project.py").write_text(
        "import treadle as td\n\nclass Row(td.Contract):\n    id: str\n    n: int\n\n"
        'rows = td.Dataset("rows", source=td.Files("in/*.jsonl"), contract=Row, key="id")\n'
    )
    (project / "in").mkdir()
    lines = [{"id": f"{n}", "n": text} for n, text in enumerate(TEXTS)]
    deep = [b'{"id": "d%d", "n": %b1%b}' % (n, b"[" * n, b"]" * n) for n in (100, 500, 900, DEEP)]
    (project / "in" / "1.jsonl").write_bytes(
        b"\n".join([b'{"id": "good", "n": 1}', *map(msgspec.json.encode, lines), *deep])
    )

    with quickly():
        for arguments in (["ingest"], ["datasets", "explain", "rows"], ["datasets", "readmit", "rows"]):
            with pytest.raises(SystemExit) as end:
                main(arguments)
            assert not end.value.code, capsys.readouterr().err
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["datasets", "--json"])

    (shown,) = json.loads(capsys.readouterr().out)
    assert (shown["rows"], shown["quarantined"]) == (1, len(lines) + len(deep))
