"""MLflow, over its REST API: runs, parameters, metrics by step, artefacts, versions and aliases.

Runs and versions carry a tag with our run's id (`treadle.run`) and are looked up by it before one is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from treadle.core.errors import MirrorRefused, MirrorUnavailable
from treadle.registry.mirror import Fetched, MirroredRun, MirroredVersion, Point
from treadle.registry.mirrors import _mlflow_bodies as bodies
from treadle.registry.mirrors import _mlflow_fetch as fetching
from treadle.registry.mirrors import _mlflow_model as model_folder
from treadle.registry.mirrors._mlflow_client import Client, server

_PAGE = 100


class Mirror:
    """An MLflow tracking server and its registry.

    >>> Mirror({"MLFLOW_TRACKING_URI": "http://me:secret@localhost:5000/"}).place
    'http://localhost:5000'
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        """Take the variables `MLFLOW_*`; nothing is asked yet.

        Raises:
            SettingsError: one of them is not valid, or asks for what this mirror cannot do.
        """
        self._variables = variables
        uri = variables.get("MLFLOW_TRACKING_URI", "").strip()
        self.place = ""
        if uri:
            self._tracking = Client(server(uri, variables))
            self._registry = Client(
                server(variables.get("MLFLOW_REGISTRY_URI", "").strip() or uri, variables)
            )
            self.place = self._tracking.address

    def check(self) -> str:
        """Say which MLflow answers, and whether it lets us in."""
        version = self._tracking.text("/version")
        self._tracking.send("POST", "experiments/search", {"max_results": 1})
        self._registry.get("registered-models/search", max_results=1)
        return f"MLflow {version} at {self.place} answers"

    def begin(self, run: MirroredRun, *, known: str = "") -> str:
        """Return MLflow's id of a run; see `Mirror.begin` of `registry.mirror`."""
        experiment = self._experiment(run.model)
        body = {
            "experiment_ids": [experiment],
            "filter": f"tags.`{bodies.RUN}` = '{run.id}'",
            "order_by": ["attributes.start_time ASC"],
            "max_results": _PAGE,
        }
        found = self._tracking.send("POST", "runs/search", body).get("runs", [])
        there = [_text(one, "info", "run_id") for one in found]
        if not there:
            made = self._tracking.send("POST", "runs/create", bodies.creation(run, experiment))
            return _text(made, "run", "info", "run_id")
        kept = known if known in there else there[0]
        for twin in there:
            if twin != kept:
                self._tracking.send("POST", "runs/delete", {"run_id": twin})
        return kept

    def attach(self, remote: str, files: Mapping[str, bytes]) -> None:
        """Store files through the server; one that stores nothing for its clients gets a tag that says so."""
        if not files:
            return
        folder, elsewhere = self._folder(remote)
        if elsewhere:
            said = {"run_id": remote, "key": "treadle.artefacts", "value": f"not sent: {elsewhere}"}
            self._tracking.send("POST", "runs/set-tag", said)
            return
        for path, data in files.items():
            self._tracking.put_file(f"{folder}/{path}", data)

    def tell(self, remote: str, run: MirroredRun, *, points: Iterable[Point]) -> None:
        """Log tags, parameters, metrics and dataset versions, and set the status."""
        for body in bodies.batches(remote, run, points):
            self._tracking.send("POST", "runs/log-batch", body)
        if run.data:
            self._tracking.send("POST", "runs/log-inputs", bodies.inputs(remote, run))
        self._tracking.send("POST", "runs/update", bodies.ending(remote, run))

    def register(self, told: MirroredVersion, files: Mapping[str, bytes], *, known: str = "") -> str:
        """Return MLflow's number of a version; see `Mirror.register` of `registry.mirror`.

        Raises:
            MirrorRefused: the model of that name is another project's, or the server stores no artefacts.
        """
        self._claim(told.version.model, told.project)
        there = self._versions(told)
        if there:
            kept = known if known in there else min(there, key=int)
            for twin in there:
                if twin != kept:
                    body = {"name": told.version.model, "version": twin}
                    self._registry.send("DELETE", "model-versions/delete", body)
            return kept
        folder, elsewhere = self._folder(told.run)
        if elsewhere:
            msg = f"{told.version.model}/{told.version.version} cannot be registered in MLflow: {elsewhere}"
            raise MirrorRefused(msg)
        for path, data in (model_folder.folder(told, files) if files else {}).items():
            self._tracking.put_file(f"{folder}/{model_folder.FOLDER}/{path}", data)
        source = f"mlflow-artifacts:/{folder}/{model_folder.FOLDER}"
        made = self._registry.send("POST", "model-versions/create", bodies.version(told, source))
        return _text(made, "model_version", "version")

    def retire(self, told: MirroredVersion, number: str) -> None:
        """Tag a version as collected; its artefacts stay, for MLflow's own retention to decide."""
        for tag in bodies.tags(told.tags):
            body = {"name": told.version.model, "version": number, **tag}
            self._registry.send("POST", "model-versions/set-tag", body)

    def point(self, model: str, alias: str, number: str | None) -> None:
        """Set an alias, or remove it."""
        body = {"name": model, "alias": alias}
        if number is None:
            self._registry.send("DELETE", "registered-models/alias", body)
        else:
            self._registry.send("POST", "registered-models/alias", {**body, "version": number})

    def fetch(self, reference: str) -> Fetched:
        """Return a model that the registry holds, as `models:/delay@champion` or `models:/delay/3`.

        Raises:
            NotFound: there is no such model, version or alias.
            MirrorRefused: its files are not to be had through the server, or are no MLflow model.
        """
        return fetching.fetch(reference, registry=self._registry, tracking=self._tracking)

    def _experiment(self, model: str) -> str:
        given = self._variables.get("MLFLOW_EXPERIMENT_ID", "")
        if given:
            return given
        name = self._variables.get("MLFLOW_EXPERIMENT_NAME", "") or model
        found = self._known_experiment(name)
        if found:
            return found
        try:
            return _text(self._tracking.send("POST", "experiments/create", {"name": name}), "experiment_id")
        except MirrorRefused as error:
            if error.code != "RESOURCE_ALREADY_EXISTS":
                raise
        return self._known_experiment(name)

    def _known_experiment(self, name: str) -> str:
        try:
            found = self._tracking.get("experiments/get-by-name", experiment_name=name)
        except MirrorRefused as error:
            if error.code == "RESOURCE_DOES_NOT_EXIST":
                return ""
            raise
        if found.get("experiment", {}).get("lifecycle_stage") == "deleted":
            msg = f"The experiment {name!r} was deleted in MLflow. Restore it there, or set MLFLOW_EXPERIMENT_NAME."
            raise MirrorRefused(msg)
        return _text(found, "experiment", "experiment_id")

    def _folder(self, remote: str) -> tuple[str, str]:
        """Return a run's folder below the server's artefacts, or why there is none."""
        found = _text(self._tracking.get("runs/get", run_id=remote), "run", "info", "artifact_uri")
        return fetching.folder_of(found, self._tracking.address)

    def _claim(self, name: str, project: str) -> None:
        """Make a registered model that is this project's, or find that it is."""
        try:
            found = self._registry.get("registered-models/get", name=name)
        except MirrorRefused as error:
            if error.code != "RESOURCE_DOES_NOT_EXIST":
                raise
            body = {"name": name, "tags": bodies.tags({bodies.PROJECT: project})}
            try:
                found = self._registry.send("POST", "registered-models/create", body)
            except MirrorRefused as raced:
                if raced.code != "RESOURCE_ALREADY_EXISTS":
                    raise
                found = self._registry.get("registered-models/get", name=name)
        held = found.get("registered_model", {}).get("tags", [])
        owner = {tag.get("key"): tag.get("value") for tag in held}.get(bodies.PROJECT)
        if owner != project:
            whose = f"belongs to the project {owner!r}" if owner else "was made by somebody else"
            msg = (
                f"MLflow's registered model {name!r} {whose}, so nothing is registered there. To let this project write "
                f"to it, set its tag {bodies.PROJECT} to {project!r}; or give the model or the project another name."
            )
            raise MirrorRefused(msg)

    def _versions(self, told: MirroredVersion) -> list[str]:
        # By its run, which no other ledger has: two projects of one name may both have a third version.
        wanted = f"name = '{told.version.model}' and tags.`{bodies.RUN}` = '{told.version.run}'"
        found = self._registry.get("model-versions/search", filter=wanted, max_results=_PAGE)
        return [_text(version, "version") for version in found.get("model_versions", [])]


def _text(answer: Mapping[str, Any], *path: str) -> str:
    """Return a text in an answer.

    Raises:
        MirrorUnavailable: it is not there, so this is no MLflow server.
    """
    found: Any = answer
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    if not isinstance(found, str) or not found:
        msg = f"An answer of MLflow lacks {'.'.join(path)!r}; is it an MLflow server of release 3 or newer?"
        raise MirrorUnavailable(msg)
    return found
