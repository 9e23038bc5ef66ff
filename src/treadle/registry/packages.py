"""Packages: a model as immutable files under one digest, with the rows it must reproduce wherever it is loaded.

A package is a manifest and the files that the manifest names, each an object under its own digest; the package's
digest is the manifest's. Nothing answers before every byte is what its digest says and the golden rows come out as
they did where the model was trained.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from treadle.core import answers, plugins
from treadle.core.errors import (
    DigestMismatch,
    InvalidInput,
    MissingExtra,
    NotFound,
    PackageRefused,
    UnsafeFormat,
)
from treadle.core.ids import canonical, digest_of_bytes
from treadle.core.records import Record
from treadle.core.servable import Servable
from treadle.core.signature import Field, Signature, encode_series
from treadle.registry import golden as rows
from treadle.registry import pickled
from treadle.registry.format import Saved, Trial, libraries
from treadle.registry.inspection import refuse_code
from treadle.store.files import replacing
from treadle.store.objects.objects import Objects

if TYPE_CHECKING:
    import polars as pl

MANIFEST = "manifest.json"
GOLDEN = "golden.msgpack"
#: Most golden rows that are taken of those given.
MOST_ROWS = 1024
_VERSION = 1
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of a package."""

    digest: str
    #: Bytes.
    size: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a package says about itself."""

    #: Layout of the package.
    treadle: int = _VERSION
    format: str
    task: str
    signature: Signature
    files: dict[str, File]
    notes: tuple[str, ...] = ()


class Package(Record, frozen=True, kw_only=True):
    """A stored package."""

    #: Digest of the manifest.
    digest: str
    #: Name of the format plug-in that loads it.
    format: str
    #: Name of the task plug-in whose question it answers.
    task: str
    signature: Signature
    #: Bytes of all files and the manifest.
    size: int
    #: File name → digest, without the manifest.
    files: dict[str, str]
    #: Things a person should know, such as why a native format was used.
    notes: tuple[str, ...] = ()

    @property
    def objects(self) -> tuple[str, ...]:
        """The digests of all objects that the package needs."""
        return (self.digest, *sorted(set(self.files.values())))


@dataclass(frozen=True)
class Prepared:
    """A package that is not stored yet."""

    package: Package
    #: The bytes of each object, the manifest last.
    contents: tuple[bytes, ...]


class Listing(Record, frozen=True, kw_only=True):
    """What is in a package."""

    #: File name → bytes.
    files: dict[str, int]
    #: Rows that it must reproduce wherever it is loaded.
    golden: int


def pack(
    model: Any,
    *,
    task: str,
    signature: Signature,
    golden: pl.DataFrame,
    expected: np.ndarray,
    objects: Objects,
    allow_pickle: bool = False,
) -> Package:
    """Store a fitted model, after it has been loaded again and has reproduced its golden rows; see `prepare`.

    Raises:
        UnsafeFormat: no format can store the object without code, and that is not allowed.
        PackageRefused: what was stored does not answer like the model.
    """
    prepared = prepare(
        model, task=task, signature=signature, golden=golden, expected=expected, allow_pickle=allow_pickle
    )
    return keep(prepared, objects=objects)


def prepare(
    model: Any,
    *,
    task: str,
    signature: Signature,
    golden: pl.DataFrame,
    expected: np.ndarray,
    allow_pickle: bool = False,
) -> Prepared:
    """Make a package of a fitted model in memory, after it has been loaded again and has reproduced its golden rows.

    `golden` holds rows with the input columns (as they came, or encoded), `expected` the answers of the fitted model
    for them: the numbers of the signature's last output, float64 of shape (rows,) or (rows, columns). At most 1,024
    rows are kept, spread evenly. `allow_pickle` stores what no format takes as a pickle, which runs code when it is read.

    Raises:
        UnsafeFormat: no format can store the object without code, and that is not allowed.
        PackageRefused: what was stored does not answer like the model.
    """
    trial = _trial(golden, expected, signature)
    saved = _saved(model, task=task, signature=signature, trial=trial, allow_pickle=allow_pickle)
    _check_plain(saved)
    kept = trial if saved.trial is None else trial + saved.trial
    contents = {**saved.files, GOLDEN: rows.to_bytes(kept)}
    manifest = Manifest(
        format=saved.format,
        task=task,
        signature=signature,
        files={
            name: File(digest=digest_of_bytes(data), size=len(data))
            for name, data in sorted(contents.items())
        },
        notes=saved.notes,
    )
    ready(manifest, contents, allow_pickle=allow_pickle)
    text = canonical(manifest)
    package = Package(
        digest=digest_of_bytes(text),
        format=saved.format,
        task=task,
        signature=signature,
        size=len(text) + sum(map(len, contents.values())),
        files={name: file.digest for name, file in manifest.files.items()},
        notes=saved.notes,
    )
    return Prepared(package, (*contents.values(), text))


def keep(prepared: Prepared, *, objects: Objects) -> Package:
    """Store a package: its files, and last its manifest."""
    for data in prepared.contents:
        objects.put(data)
    return prepared.package


def asked(model: Any, *, signature: Signature, allow_pickle: bool = False) -> Any:
    """Return a fitted model with scikit-learn's `predict` and `predict_proba` over frames, where its format gives it them.

    A booster, a network or an online model is asked in its own way; this is what a task compares and scores.
    """
    taking = _formats_of(model)
    if not taking:
        return pickled.estimator(model, signature=signature) if allow_pickle else model
    wrap = getattr(taking[0], "estimator", None)
    return model if wrap is None else wrap(model, signature=signature)


def load(digest: str, *, objects: Objects, cache: Path, allow_pickle: bool = False) -> Servable:
    """Return a package's model, ready to answer.

    Files come from `cache/<digest>` and, where they are not there or damaged, from the objects. What runs is
    exactly the bytes whose digests were checked.

    Raises:
        PackageRefused: a byte is not what its digest says, the model does not load, or it does not reproduce its
            golden rows.
        UnsafeFormat: a file would run code when it is read, and that is not allowed.
    """
    manifest, contents = read(digest, objects=objects, cache=cache)
    return ready(manifest, contents, allow_pickle=allow_pickle)


def read(digest: str, *, objects: Objects, cache: Path) -> tuple[Manifest, dict[str, bytes]]:
    """Return a package's manifest and the verified content of its files.

    Raises:
        PackageRefused: a byte is not what its digest says, or a file is gone.
    """
    if not _DIGEST.fullmatch(digest):
        msg = f"{digest!r} is not a package's digest. Expected 'sha256:' and 64 hexadecimal digits."
        raise PackageRefused(msg)
    folder = cache / digest.removeprefix("sha256:")
    text = _cached(folder / MANIFEST, digest) or _stored(objects, digest, what="manifest", package=digest)
    manifest = _manifest(text, digest)
    contents = {name: _cached(folder / name, file.digest) for name, file in manifest.files.items()}
    whole = {
        name: _stored(objects, manifest.files[name].digest, what=name, package=digest)
        if held is None
        else held
        for name, held in contents.items()
    }
    _keep(folder, {MANIFEST: text, **whole})
    return manifest, whole


def listing(digest: str, *, objects: Objects, cache: Path) -> Listing:
    """Return what is in a package, every byte verified.

    Raises:
        PackageRefused: a byte is not what its digest says, or a file is gone.
    """
    manifest, contents = read(digest, objects=objects, cache=cache)
    golden = rows.from_bytes(contents[GOLDEN], manifest.signature)
    return Listing(files={name: file.size for name, file in manifest.files.items()}, golden=len(golden))


def named_by(text: bytes, digest: str) -> tuple[str, ...]:
    """Return the digests of the files that a package's manifest names.

    Raises:
        PackageRefused: it is no manifest.
    """
    return tuple(sorted({file.digest for file in _manifest(text, digest).files.values()}))


def ready(manifest: Manifest, contents: Mapping[str, bytes], *, allow_pickle: bool = False) -> Servable:
    """Return the model of files whose digests were checked, after it has reproduced its golden rows.

    Raises:
        PackageRefused: it does not load, or answers differently.
        UnsafeFormat: a file would run code when it is read, and that is not allowed.
    """
    files = {name: data for name, data in contents.items() if name != GOLDEN}
    trusted = allow_pickle and manifest.format == pickled.NAME
    if not trusted:
        refuse_code(files)
    try:
        loader = pickled if trusted else plugins.load("format", manifest.format)
        model: Servable = loader.load(files, task=manifest.task, signature=manifest.signature)
        trial = rows.from_bytes(contents[GOLDEN], manifest.signature)
        given = answers.numbers(model.predict(trial.columns), manifest.signature)
    except (PackageRefused, MissingExtra):
        raise
    # Runtimes raise classes of their own that share no base but Exception; any of them means: this does not load.
    except Exception as error:
        msg = f"The package does not load as {manifest.format}: {type(error).__name__}: {str(error)[:300]}"
        raise PackageRefused(msg) from error
    rows.check(trial, given)
    return rows.sampled(model, trial)


def _saved(model: Any, *, task: str, signature: Signature, trial: Trial, allow_pickle: bool) -> Saved:
    """Store a model by the format that is nearest to it; as a pickle only what none takes, and only where allowed."""
    taking = _formats_of(model)
    try:
        if taking:
            saved: Saved = taking[0].save(model, task=task, signature=signature, trial=trial)
            return saved
        raise _unsafe(model)
    except UnsafeFormat:
        if not allow_pickle:
            raise
        return pickled.save(model)


def _unsafe(model: Any) -> UnsafeFormat:
    names = plugins.available("format")
    msg = (
        f"No format can store {_described(model)} without code that runs when it is read. Formats: {', '.join(names)}. "
        "Return a fitted scikit-learn estimator or an ONNX model, write a format plug-in (entry point "
        "'treadle.format'), or declare allow_pickle=True at the model if every server may run its code."
    )
    return UnsafeFormat(msg)


def _formats_of(model: Any) -> list[Any]:
    """Return the formats that take a model, that of the library nearest to its class first."""
    found = [plugins.load("format", name) for name in plugins.available("format")]
    near = libraries(model)
    taking = [one for one in found if one.accepts(model)]
    return sorted(taking, key=lambda one: near.index(one.NAME) if one.NAME in near else len(near))


def _described(model: Any) -> str:
    name = getattr(model, "__qualname__", None)
    return f"the function {name!r}" if name else f"an object of type {type(model).__name__}"


def _trial(golden: pl.DataFrame, expected: np.ndarray, signature: Signature) -> Trial:
    values = np.asarray(expected, dtype=np.float64)
    shape = answers.shape_of(answers.scored(signature).columns, golden.height)
    if values.shape != shape or not golden.height or not np.isfinite(values).all():
        msg = (
            f"Golden rows need finite answers, of shape {shape} as the signature says. Got {golden.height} rows and "
            f"answers of shape {values.shape}."
        )
        raise InvalidInput(msg)
    missing = [name for name in signature.names if name not in golden.columns]
    if missing:
        msg = f"The golden rows lack the column {missing[0]!r}. Expected {', '.join(signature.names)}."
        raise InvalidInput(msg, field=missing[0])
    whole = Trial({field.name: _encoded(field, golden[field.name]) for field in signature.inputs}, values)
    if len(whole) <= MOST_ROWS:
        return whole
    return whole.take(np.linspace(0, len(whole) - 1, MOST_ROWS).astype(np.int64))


def _encoded(field: Field, series: pl.Series) -> np.ndarray:
    """Return a column as the model is fed it, also where it has been encoded before."""
    if str(series.dtype) == {"float32": "Float32", "int64": "Int64"}.get(field.tensor):
        return series.to_numpy()
    return encode_series(field, series)


def _check_plain(saved: Saved) -> None:
    for name in saved.files:
        if not _PLAIN.fullmatch(name) or name in {MANIFEST, GOLDEN}:
            msg = (
                f"The format {saved.format!r} wants a file called {name!r}. Expected a plain name of its own."
            )
            raise PackageRefused(msg)


def _manifest(text: bytes, digest: str) -> Manifest:
    try:
        manifest = msgspec.json.decode(text, type=Manifest)
    except msgspec.MsgspecError as error:
        msg = (
            f"The manifest of package {digest} cannot be read: {error}. A newer Treadle may have written it."
        )
        raise PackageRefused(msg) from error
    bad = [name for name in manifest.files if not _PLAIN.fullmatch(name) or name == MANIFEST]
    if bad or GOLDEN not in manifest.files or manifest.treadle != _VERSION:
        msg = (
            f"The manifest of package {digest} is not one that this Treadle loads: layout {manifest.treadle} "
            f"(expected {_VERSION}), files {', '.join(map(repr, manifest.files))} (plain names, {GOLDEN} among them)."
        )
        raise PackageRefused(msg)
    return manifest


def _cached(path: Path, digest: str) -> bytes | None:
    """Return a local copy, or None where there is none or its bytes are others."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return data if digest_of_bytes(data) == digest else None


def _stored(objects: Objects, digest: str, *, what: str, package: str) -> bytes:
    try:
        return objects.get(digest)
    except (DigestMismatch, NotFound, InvalidInput) as error:
        msg = f"Package {package} is refused: its {what} is damaged or gone. {error}"
        raise PackageRefused(msg) from error


def _keep(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write a local copy, each file in one step. One that cannot be written is fetched again next time."""
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in contents.items():
            if _cached(folder / name, digest_of_bytes(data)) is None:
                with replacing(folder / name) as file:
                    file.write(data)
