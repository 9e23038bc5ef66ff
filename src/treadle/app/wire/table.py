"""The table of operations: what can be asked of a workspace elsewhere, what somebody must be to ask, and what stays where it is.

A public method of the workspace or of a service that stands nowhere here fails a test: whoever adds one says who may use it.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from treadle.core.people import Role

#: Role → what it may ask for beyond the roles before it: methods of the workspace, and of services behind a dot.
_OFFERED: Mapping[Role, str] = {
    "viewer": """
        answered audit audit_page card check compare declared drift estimate explain features features_now join lately outlook performance
        replay replay_grid search skew status trace why
        alerts.get alerts.history alerts.open alerts.page alerts.silences alerts.standing alerts.waiting
        approvals.became approvals.hindrance approvals.list
        bandits.learnt
        concerns.freshness concerns.of concerns.of_data
        datasets.difference datasets.distributions datasets.names datasets.page datasets.problems datasets.profile
        datasets.quarantine datasets.read datasets.scan datasets.version datasets.versions
        decisions.decide decisions.facts decisions.facts_at decisions.list decisions.next_after decisions.page
        drifting.estimates drifting.recent drifting.reference drifting.version
        drifts.history drifts.kept drifts.latest drifts.scan
        endpoints.current endpoints.get endpoints.names endpoints.revision endpoints.revisions endpoints.states endpoints.wait
        experiments.get experiments.list experiments.result
        expiry.endpoints
        jobs.get jobs.input jobs.recent jobs.result
        models.aliases models.files models.get models.history models.insides models.listing models.names models.page models.versions
        online.entity online.freshness online.read online.skew
        outcomes.held outcomes.scan
        predictions.endpoints predictions.find predictions.held predictions.scan predictions.shadows
        promises.standings
        quarantine.ever quarantine.page quarantine.reasons quarantine.waiting
        requests.list requests.waiting
        rolling.plan rolling.standing
        rollouts.get rollouts.list rollouts.newest rollouts.page rollouts.tallies
        routes.of
        runs.find runs.get runs.list runs.log runs.metrics runs.page runs.progress runs.running
        steps.find steps.of_run
        tags.list
        trees.difference trees.files trees.names trees.read trees.status trees.verify trees.version trees.versions
        trials.changed trials.of_run
        verdicts.list
    """,
    "annotator": """
        readmit admission.readmit alerts.acknowledge alerts.silence alerts.unsilence tags.give tags.take
    """,
    "operator": """
        approve cancel import_model ingest learn_reference mirror point promote reject request rerun retry revise run run_if_due tick
        alerts.deliver alerts.test
        approvals.approve approvals.reject
        bandits.tick
        datasets.delete datasets.ingest datasets.roll_back
        drifting.learn drifting.look
        endpoints.revise
        jobs.cancel jobs.retry
        models.alias
        online.materialise
        promises.tick
        rolling.pause rolling.promote rolling.resume rolling.roll_back rolling.start rolling.tick
        trees.add
    """,
    "admin": """
        collect forget
        datasets.collect datasets.forget expiry.collect online.collect online.forget trees.collect
        team.add team.create_token team.members team.remove team.revoke_token team.tokens
    """,
}
#: What works only where the workspace is: parts of other operations, what needs its processes and folders, and what is no use elsewhere.
_HERE = """
    backup backups batch close fetch load predictor restore watch
    alerts.beside alerts.raise_ alerts.resolve alerts.see alerts.settle
    approvals.ask approvals.resolve approvals.settle
    datasets.pin
    decisions.record decisions.save
    drifts.keep
    endpoints.forget endpoints.report endpoints.sweep
    jobs.begin jobs.drop jobs.end jobs.fail jobs.finish jobs.is_alive jobs.keep_part jobs.part jobs.submit
    models.collect models.load models.refer models.register
    online.close online.without
    requests.ask
    rolling.beside rolling.watch
    rollouts.advance rollouts.fail rollouts.finish rollouts.pause rollouts.report rollouts.resume rollouts.roll_back rollouts.start
    runs.cancel runs.checkpoint runs.fail runs.finish runs.folder runs.resume runs.save_checkpoint runs.seal runs.seal_leftovers
    runs.start runs.written
    steps.once steps.save
    team.by_name team.by_session team.by_token team.did team.is_asked team.refused team.sign_in team.sign_out
    trees.checkout
    trials.checkpoint trials.claim trials.close trials.finish trials.release trials.save trials.save_checkpoint
    verdicts.judge verdicts.save verdicts.scores
"""
#: What takes long, so that it tells how it goes on, and goes on when nobody listens.
LONG = frozenset(
    [
        "answered",
        "card",
        "collect",
        "drift",
        "estimate",
        "explain",
        "features",
        "import_model",
        "ingest",
        "join",
        "mirror",
        "performance",
        "replay",
        "replay_grid",
        "rerun",
        "run",
        "run_if_due",
        "search",
        "skew",
        "tick",
        "admission.readmit",
        "datasets.collect",
        "datasets.delete",
        "datasets.difference",
        "datasets.distributions",
        "datasets.forget",
        "datasets.ingest",
        "datasets.profile",
        "datasets.roll_back",
        "drifting.look",
        "experiments.result",
        "online.materialise",
        "trees.add",
        "trees.collect",
        "trees.verify",
    ]
)
#: What changes something and leaves no word of who did it: the server does.
UNTOLD = frozenset(
    [
        "collect",
        "forget",
        "ingest",
        "learn_reference",
        "mirror",
        "rerun",
        "run",
        "run_if_due",
        "tick",
        "alerts.deliver",
        "alerts.test",
        "bandits.tick",
        "datasets.collect",
        "datasets.forget",
        "datasets.ingest",
        "datasets.delete",
        "datasets.roll_back",
        "drifting.learn",
        "drifting.look",
        "expiry.collect",
        "jobs.cancel",
        "jobs.retry",
        "online.collect",
        "online.forget",
        "online.materialise",
        "promises.tick",
        "rolling.tick",
        "tags.take",
        "trees.add",
        "trees.collect",
        "alerts.unsilence",
        "admission.readmit",
    ]
)


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """A method of the workspace, or of one of its services."""

    #: `promote` of the workspace itself, or `alerts.acknowledge` of a service.
    name: str
    #: What somebody must be to ask for it.
    role: Role

    @property
    def is_change(self) -> bool:
        """Say whether it changes something, so that `actor` is whoever asks; where one only looks, it is what is looked for."""
        return self.role != "viewer"

    @property
    def service(self) -> str:
        """The service that has it; empty: the workspace itself."""
        return self.name.rpartition(".")[0]

    @property
    def method(self) -> str:
        """What the service calls it."""
        return self.name.rpartition(".")[2]


OPERATIONS: Mapping[str, Operation] = {
    name: Operation(name=name, role=role) for role, names in _OFFERED.items() for name in names.split()
}
HERE = frozenset(_HERE.split())
#: Services that have an operation, or something that works only there.
SERVICES = frozenset(name.partition(".")[0] for name in (*OPERATIONS, *HERE) if "." in name)
