"""A model that MLflow's registry holds, fetched with all its files, and what reading it would do."""

from __future__ import annotations

import re
import urllib.parse
from typing import Any

from treadle.core.errors import InvalidInput, MirrorRefused, NotFound
from treadle.core.optional import require
from treadle.registry.mirror import Fetched
from treadle.registry.mirrors._mlflow_client import Client

#: The most files and bytes that are fetched of one model.
MOST_FILES, MOST_BYTES = 1_000, 8 * 1024**3
_REFERENCE = re.compile(r"models:/(?P<name>[^/@:]+)(?:/(?P<version>[1-9][0-9]{0,8})|@(?P<alias>[\w-]+))")
#: Flavours that are read without running code; all others are pickles, or may be.
_SAFE = ("onnx",)


def fetch(reference: str, *, registry: Client, tracking: Client) -> Fetched:
    """Return a model that the registry holds; see `Mirror.fetch` of `registry.mirror`.

    Raises:
        InvalidInput: the text names no model.
        NotFound: there is no such model, version or alias.
        MirrorRefused: its files are not to be had through the server, or are no MLflow model.
    """
    version = _version(reference, registry)
    number = str(version.get("version", ""))
    asked = {"name": str(version.get("name", "")), "version": number}
    uri = str(registry.get("model-versions/get-download-uri", **asked).get("artifact_uri", ""))
    folder, elsewhere = folder_of(uri, tracking.address)
    if elsewhere:
        msg = f"{reference} cannot be fetched: {elsewhere}"
        raise MirrorRefused(msg)
    files = _files(folder, tracking, reference)
    flavours = _flavours(files, reference)
    safe = next((name for name in _SAFE if name in flavours), "")
    held = version.get("tags") or []
    return Fetched(
        reference=reference,
        version=number,
        place=registry.address,
        run=str(version.get("run_id", "")),
        flavour=safe or next((name for name in flavours if name != "python_function"), "python_function"),
        runs_code=not safe,
        data=_data(flavours[safe], files, reference) if safe else "",
        files=files,
        tags={str(tag.get("key")): str(tag.get("value")) for tag in held},
    )


def folder_of(uri: str, address: str) -> tuple[str, str]:
    """Return the folder below a server's artefacts that a URI names, or why there is none.

    >>> folder_of("mlflow-artifacts:/1/ab/artifacts", "http://localhost:5000")[0]
    '1/ab/artifacts'
    """
    parts = urllib.parse.urlsplit(uri)
    here = urllib.parse.urlsplit(address).netloc
    through = parts.scheme == "mlflow-artifacts" and parts.netloc in ("", here)
    if through and ".." not in parts.path.split("/"):
        return parts.path.strip("/"), ""
    where = parts.scheme or "a folder of its own"
    return (
        "",
        f"the server keeps artefacts in {where} and hands none on. Start it with --serve-artifacts "
        "--artifacts-destination, and use an experiment that was made since.",
    )


def _version(reference: str, registry: Client) -> dict[str, Any]:
    found = _REFERENCE.fullmatch(reference)
    if found is None:
        msg = f"{reference!r} names no model of MLflow. Expected models:/NAME@ALIAS or models:/NAME/VERSION."
        raise InvalidInput(msg)
    try:
        if found["alias"]:
            answer = registry.get("registered-models/alias", name=found["name"], alias=found["alias"])
        else:
            answer = registry.get("model-versions/get", name=found["name"], version=found["version"])
    except MirrorRefused as error:
        if error.code not in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            raise
        msg = f"MLflow has no {reference}. {error}"
        raise NotFound(msg) from error
    held: dict[str, Any] = answer.get("model_version", {})
    return held


def _files(folder: str, tracking: Client, reference: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    left, waiting = MOST_BYTES, [""]
    while waiting:
        below = waiting.pop()
        for one in tracking.list_files(f"{folder}/{below}".rstrip("/")):
            path = f"{below}/{one.get('path', '')}".strip("/")
            if ".." in path.split("/") or len(found) >= MOST_FILES:
                msg = f"{reference} has over {MOST_FILES} files, or names a place outside its folder."
                raise MirrorRefused(msg)
            if one.get("is_dir"):
                waiting.append(path)
                continue
            found[path] = tracking.get_file(f"{folder}/{path}", most=left)
            left -= len(found[path])
    return found


def _data(flavour: Any, files: dict[str, bytes], reference: str) -> str:
    """Return the file that a flavour names as its model."""
    named = str(flavour.get("data", "")) if isinstance(flavour, dict) else ""
    inside = sorted(path for path in files if path == named or path.startswith(f"{named}/"))
    if not named or not inside:
        msg = f"{reference} is no whole MLflow model: the file {named!r} that it names is not there."
        raise MirrorRefused(msg)
    return next((path for path in inside if path.endswith(".onnx")), inside[0])


def _flavours(files: dict[str, bytes], reference: str) -> dict[str, Any]:
    yaml = require("yaml", extra="mlflow")
    try:
        described = yaml.safe_load(files["MLmodel"])
        return {str(name): held for name, held in described["flavors"].items()}
    except (KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        msg = f"{reference} is no MLflow model: its file MLmodel is missing or cannot be read ({type(error).__name__})."
        raise MirrorRefused(msg) from error
