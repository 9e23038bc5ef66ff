"""What a workspace can say of changes in what its models are asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from treadle.app.mended import Mended

if TYPE_CHECKING:
    from treadle.core.records import ModelVersion
    from treadle.loop.drifting import Drifting
    from treadle.loop.estimating import Stretch
    from treadle.monitoring.drift import Drift


class Drifted(Mended):
    """The part of a workspace that compares."""

    @cached_property
    def drifting(self) -> Drifting:
        """The corridor: what models are asked, against what they have learnt from."""
        from treadle.loop.drifting import Drifting

        return Drifting(self.rooms)

    def drift(
        self,
        model: str,
        *,
        window: str = "7d",
        against: str | int | None = None,
        endpoint: str = "",
        dataset_version: int | None = None,
        rate: float = 0.01,
        least: Mapping[str, float] | None = None,
        detectors: Sequence[str] | None = None,
        columns: Sequence[str] = (),
        keep: bool = True,
    ) -> Drift:
        """Compare what a model was asked lately with what a version (by default the champion) has learnt from.

        The rows are those of the log of an endpoint (by default the model's own), or, where it has answered nothing or a dataset version
        is named, the dataset's that are newer than the version's training window: of the last `window` before the newest one,
        all of them where it is empty. `rate` is the chance of any finding where nothing has changed, `least` the smallest effect
        that counts by detector. What it came to is kept; see `drifts.history`.

        Raises:
            NotFound: there is no version, it has no reference, or there are no rows.
            InvalidInput: what was asked cannot be.
        """
        from treadle.loop.drifting import Of
        from treadle.monitoring.drift import DEFAULT, Asked

        asked = Asked(
            rate=rate,
            least=dict(least or {}),
            detectors=tuple(DEFAULT if detectors is None else detectors),
            columns=tuple(columns),
        )
        of = Of(
            window=window, against=against, endpoint=endpoint, dataset_version=dataset_version, asked=asked
        )
        return self.drifting.look(self.project.model(model), of, keep=keep)

    def estimate(
        self,
        model: str,
        *,
        every: str = "1w",
        window: str = "",
        against: str | int | None = None,
        endpoint: str = "",
        dataset_version: int | None = None,
    ) -> list[Stretch]:
        """Estimate how good a version's answers were, by stretch of time, before outcomes are known; beside it what is known by now.

        Of classes from calibrated probabilities, of numbers from a model of the error; both were learnt at training, on rows that were kept
        apart. Which rows: see `drift`.

        Raises:
            NotFound: there is no version, it has no reference, or it answered nothing.
            InvalidInput: it cannot be estimated for this kind of question.
        """
        from treadle.loop.drifting import Of

        of = Of(window=window, against=against, endpoint=endpoint, dataset_version=dataset_version)
        return self.drifting.estimates(self.project.model(model), of, every=every)

    def learn_reference(self, model: str, *, against: str | int | None = None) -> ModelVersion:
        """Make the reference of a version (by default the champion) anew, from the dataset versions and the window of its run.

        Raises:
            NotFound: there is no such version, or what its run read is gone.
            InvalidInput: it was not trained here.
        """
        return self.drifting.learn(self.project.model(model), against)
