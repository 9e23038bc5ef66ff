"""Model files made to run code are refused before any of it runs: a canary that none of them touches proves it."""

import pickle
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LinearRegression

from hostile_files import Hostile, hostile_files
from treadle.core import plugins
from treadle.core.errors import MissingExtra, PackageRefused, UnsafeFormat
from treadle.core.ids import canonical
from treadle.core.signature import Field, Signature
from treadle.registry import packages
from treadle.registry.inspection import called_by, refuse_code
from treadle.store.objects.objects import Objects

CANARY = "canary"
SIGNATURE = Signature(
    inputs=(Field(name="x", kind="float"),), outputs=(Field(name="prediction", kind="float"),)
)
FORMATS = plugins.available("format")


@dataclass(frozen=True)
class Store:
    objects: Objects
    package: packages.Package

    def forged(self, *, reader: str, files: dict[str, bytes]) -> str:
        """Store a package that says of itself that these are its files; return its digest."""
        manifest = msgspec.json.decode(self.objects.get(self.package.digest))
        held = {name: {"digest": self.objects.put(data), "size": len(data)} for name, data in files.items()}
        golden = {"golden.msgpack": manifest["files"]["golden.msgpack"]}
        return self.objects.put(canonical({**manifest, "format": reader, "files": held | golden}))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    objects = Objects.open("objects", root=tmp_path_factory.mktemp("objects"), options={})
    x = np.arange(50, dtype=np.float32)
    model = LinearRegression().fit(x.reshape(-1, 1), 2 * x)
    package = packages.pack(
        model,
        task="regression",
        signature=SIGNATURE,
        golden=pl.DataFrame({"x": x}),
        expected=2 * x.astype(np.float64),
        objects=objects,
    )
    return Store(objects, package)


@pytest.fixture(scope="module")
def canary(tmp_path_factory):
    return tmp_path_factory.mktemp("canary") / CANARY


@pytest.fixture(scope="module")
def hostile(canary):
    return hostile_files(canary)


def test_a1_there_are_sixty_of_them_and_a_loader_that_trusts_would_run_them(hostile, canary):
    others = ("Popen", "without an end")
    plain = [f for f in hostile if f.name.startswith("pickle") and not f.name.endswith(others)]
    for file in plain:
        pickle.loads(file.data)

        assert canary.exists(), file.name
        canary.rmdir() if canary.is_dir() else canary.unlink()

    assert len(plain) > 10
    assert len(hostile) >= 60
    assert len({file.name for file in hostile}) == len(hostile)


@pytest.mark.parametrize("name", FORMATS)
def test_a1_a_package_of_hostile_files_runs_nothing_and_is_refused(name, hostile, canary, store, tmp_path):
    names = file_names(name)
    for number, file in enumerate(hostile):
        digest = store.forged(reader=name, files=dict.fromkeys(names, file.data))

        with pytest.raises(PackageRefused) as refused:
            packages.load(digest, objects=store.objects, cache=tmp_path / str(number))

        assert not canary.exists(), file.name
        if file.names and name in readers_of(file):
            assert file.names in str(refused.value), (file.name, str(refused.value))


@pytest.mark.parametrize("name", FORMATS)
def test_a1_a_format_alone_runs_nothing_either(name, hostile, canary):
    for file in hostile:
        with pytest.raises(Exception) as refused:
            load(name, file)

        assert not isinstance(refused.value, AssertionError)
        assert not canary.exists(), file.name


def test_a1_what_a_pickle_would_call_is_named_with_the_way_out(hostile):
    file = next(file for file in hostile if file.name == "torch archive")

    with pytest.raises(
        UnsafeFormat, match=r"model\.pt holds 'archive/data\.pkl', which is a pickle.*it calls posix\.system"
    ):
        refuse_code({"model.pt": file.data})
    with pytest.raises(UnsafeFormat, match=r"Nothing of it was run.*allow_pickle=True"):
        refuse_code({"model.pt": file.data})


def test_a1_a_package_that_says_it_is_a_pickle_is_not_trusted_for_that(hostile, canary, store, tmp_path):
    file = next(file for file in hostile if file.name == "pickle of builtins.exec")
    digest = store.forged(reader="pickle", files={"model.pickle": file.data})

    with pytest.raises(UnsafeFormat, match=r"builtins\.exec"):
        packages.load(digest, objects=store.objects, cache=tmp_path)

    assert not canary.exists()


@pytest.mark.parametrize("name", FORMATS)
def test_a1_good_models_are_not_taken_for_code(name):
    found = plugins.load("format", name)
    try:
        example = found.example()
    except MissingExtra as missing:
        pytest.skip(str(missing))

    saved = found.save(example.model, task=example.task, signature=example.signature, trial=example.trial)

    refuse_code(saved.files)


def test_a1_names_are_found_without_importing_anything():
    program = (
        "import sys\n"
        "from treadle.registry.inspection import called_by\n"
        "data = b'\\x80\\x04\\x8c\\x06antigravity\\x8c\\x01x\\x93.'\n"
        "data = b'cantigravity\\nx\\n.'\n"
        "print(called_by(data), 'antigravity' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "['antigravity.x'] False\n"
    assert called_by(b"no pickle") == []


def file_names(name: str) -> list[str]:
    module = plugins.load("format", name)
    return [value for key, value in vars(module).items() if key in {"FILE", "ABOUT"}]


def readers_of(file: Hostile) -> set[str]:
    """Return the formats that could tell what is wrong: all for a pickle, ONNX and skops for their own."""
    if file.name.startswith("onnx"):
        return {"onnx"}
    if file.name.startswith("skops with") and file.names != "posix.system":
        return {"sklearn"}
    return set(FORMATS)


def load(name: str, file: Hostile) -> object:
    found = plugins.load("format", name)
    files = dict.fromkeys(file_names(name), file.data)
    return found.load(files, task="regression", signature=SIGNATURE)


def test_the_canary_is_a_path_that_nothing_else_makes(canary):
    assert not Path(canary).exists()
