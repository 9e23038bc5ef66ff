"""The parts of a card that say how good the version is: gates, scores with intervals, slices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from treadle.app.card.record import Card
from treadle.core.records import Verdict
from treadle.data.profiles import words
from treadle.data.profiles.page.markup import Markup, element
from treadle.data.profiles.page.parts import note, table
from treadle.loop.judging import CANDIDATE
from treadle.loop.rescoring import Score, baselines, better

_ROWS = {
    "test": "On the test rows, which it never saw",
    "forward": "On the forward test: what came after its training window",
}


def judged(card: Card) -> list[Markup]:
    """Return each gate's verdict with its reason."""
    if not card.verdicts:
        return [element("p", "No gate judged this version.")]
    items = [judgement(verdict) for verdict in card.verdicts]
    return [element("div", *items, class_="verdicts")]


def judgement(verdict: Verdict) -> Markup:
    """Return what one gate said, and on what grounds."""
    mark = "passed" if verdict.passed else "said no"
    about = f"{verdict.dataset} version {verdict.dataset_version}, {verdict.on} rows, {words.plural(verdict.n, 'pair')}"
    return element(
        "article",
        element(
            "header",
            element("b", f"{verdict.gate}: {verdict.candidate} against {verdict.reference}"),
            element("span", mark, class_="mark good" if verdict.passed else "mark alert"),
        ),
        element("p", verdict.reason),
        note(
            f"{verdict.metric} on {about}; alpha {verdict.alpha:g}, judged {words.moment(verdict.created_at)} UTC."
        ),
        class_="card",
    )


def scored(card: Card) -> list[Markup]:
    """Return every metric with its interval, beside the baselines."""
    if not card.scores:
        return [element("p", "It was not scored.")]
    parts: list[Markup] = []
    for on, heading in _ROWS.items():
        found = [score for score in card.scores if score.on == on]
        if not found:
            continue
        rows = card.rows.get(on)
        counted = f" ({words.plural(rows, 'row')})" if rows else ""
        parts += [element("h3", heading + counted), _table(found, card.scores, label=heading)]
    parts.append(
        note(
            "Bars are 95 % intervals over rows, on one scale for each metric; ↑ higher is better, "
            "↓ lower is; the others are the baselines that it was judged with. Whether two contenders differ is for the gates to say, which compare row by row."
        )
    )
    return parts


def _table(found: Sequence[Score], all_: Sequence[Score], *, label: str) -> Markup:
    rows = []
    for name in dict.fromkeys(score.metric for score in found):
        mine = [score for score in found if score.metric == name]
        scale = _Scale(score for score in all_ if score.metric == name)
        for place, score in enumerate(mine):
            arrow = "↑" if score.greater_is_better else "↓"
            head = element("span", f"{name} {arrow}", class_=None if place == 0 else "again")
            rows.append([head, *_row(score, scale)])
    return table(
        ["metric", "who", "value", "95 % interval", ""], rows, label=label, numeric=(2, 3), class_="scores"
    )


def _row(score: Score, scale: _Scale) -> list[str]:
    who = (
        element("b", "this version") if score.contender == CANDIDATE else words.shown(named(score.contender))
    )
    return [who, words.number(score.value), _interval(score), scale.drawn(score)]


def named(contender: str) -> str:
    """Return a contender's name without its kind.

    >>> named("baseline:prior_by_carrier")
    'prior_by_carrier'
    """
    return contender.partition(":")[2] or contender


def _interval(score: Score) -> str:
    if score.low is None or score.high is None:
        return "–"
    return f"{words.number(score.low)} to {words.number(score.high)}"


class _Scale:
    """Where values of one metric lie on a bar of their own."""

    def __init__(self, scores: Iterable[Score]) -> None:
        ends = [end for s in scores for end in (s.value, s.low, s.high) if end is not None]
        self._low, self._high = min(ends), max(ends)

    def drawn(self, score: Score) -> Markup:
        """Return a score as a dot on its interval."""
        low = score.value if score.low is None else score.low
        high = score.value if score.high is None else score.high
        left, right = self._at(low), self._at(high)
        return element(
            "div",
            element("i", class_="reach", style=f"left:{left:.1f}%;width:{max(right - left, 0.5):.1f}%"),
            element("i", class_="dot", style=f"left:{self._at(score.value):.1f}%"),
            class_="whisker own" if score.contender == CANDIDATE else "whisker",
            aria_hidden="true",
        )

    def _at(self, value: float) -> float:
        spread = self._high - self._low
        return 3 + 94 * ((value - self._low) / spread if spread else 0.5)


def sliced(card: Card) -> list[Markup]:
    """Return the deciding metric on the largest slices, beside the best baseline of each."""
    own = [score for score in card.slices if score.contender == CANDIDATE]
    if not own:
        return []
    against, scale = baselines(card.slices), _Scale(card.slices)
    rows = []
    for score in own:
        others = [s for s in card.slices if s.slice == score.slice and s.contender in against]
        best = (max if score.greater_is_better else min)(others, key=lambda s: s.value) if others else None
        worse = best is not None and better(best, score)
        rows.append(
            [
                element("code", words.shown(score.slice)),
                words.count(score.n),
                words.number(score.value),
                _interval(score),
                scale.drawn(score),
                element("span", words.number(best.value), class_="mark warning" if worse else None)
                if best
                else "–",
            ]
        )
    arrow = "higher" if own[0].greater_is_better else "lower"
    heads = ["slice", "rows", card.metric, "95 % interval", "", "best baseline"]
    return [
        table(heads, rows, label="Slices", numeric=(1, 2, 3, 5), class_="scores plain", wide=True),
        note(
            f"{card.metric} on the largest parts of the test rows, {arrow} is better. A baseline that is better there is marked; "
            "of many slices some are marked by chance."
        ),
    ]
