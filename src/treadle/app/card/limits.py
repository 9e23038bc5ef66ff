"""The known limits of a model version, as sentences: what follows from how it was made and measured."""

from __future__ import annotations

from collections.abc import Iterator

from treadle.app.card.record import Card
from treadle.core.records import Window
from treadle.data.profiles import words
from treadle.loop.judging import CANDIDATE
from treadle.loop.rescoring import Score, baselines, better

#: Fewer test rows than these are said.
FEW_ROWS = 1_000
#: Slices on which a baseline is better that are named.
MOST_SLICES = 5


def limits(card: Card) -> tuple[str, ...]:
    """Return what a person who uses the model should know, gravest first."""
    found = [*_judged(card), *_measured(card), *_sliced(card), *_seen(card), *card.version.notes]
    return tuple(dict.fromkeys(found))


def _judged(card: Card) -> Iterator[str]:
    if card.refused:
        yield f"It does not load as it is: {card.refused}"
    failed = [verdict for verdict in card.verdicts if not verdict.passed]
    if failed:
        yield f"It was turned down: {words.plural(len(failed), 'gate')} said no."
    if not card.verdicts:
        yield (
            "No gate judged it: it was imported without that."
            if card.run.origin is not None
            else "No gate judged it: the model declares none, or its run ended before."
        )


def _measured(card: Card) -> Iterator[str]:
    rows = card.rows.get("test", 0)
    if any(score.low is None for score in card.scores):
        yield "Its scores are those of its run and have no interval: the rows or the package could not be read again."
    elif 0 < rows < FEW_ROWS:
        yield f"It was measured on {words.plural(rows, 'test row')} only: the intervals are wide."
    if card.run.forward is None:
        yield (
            "How it does on what came after its training was not measured: no forward test is declared "
            "(forward='7d' at the model)."
        )
    else:
        yield from _aged(card)


def _aged(card: Card) -> Iterator[str]:
    own = {
        score.on: score
        for score in card.scores
        if score.contender == CANDIDATE and score.metric == card.metric
    }
    test, ahead = own.get("test"), own.get("forward")
    if test and ahead and better(test, ahead) and _apart(test, ahead):
        yield (
            f"It does worse on rows after its training window: {card.metric} {words.number(ahead.value)} instead of "
            f"{words.number(test.value)}."
        )


def _apart(one: Score, other: Score) -> bool:
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return False
    return one.high < other.low or other.high < one.low


def _sliced(card: Card) -> Iterator[str]:
    against = baselines(card.slices)
    own = {score.slice: score for score in card.slices if score.contender == CANDIDATE}
    worse = [
        (score, own[score.slice])
        for score in card.slices
        if score.contender in against and score.slice in own and better(score, own[score.slice])
    ]
    for other, mine in worse[:MOST_SLICES]:
        yield (
            f"On {words.shown(mine.slice)} {other.contender} is better: {card.metric} {words.number(other.value)} against "
            f"{words.number(mine.value)}, {words.plural(mine.n, 'row')}."
        )
    if len(worse) > MOST_SLICES:
        yield f"A baseline is better on {len(worse) - MOST_SLICES} more slices; see the slices."


def _seen(card: Card) -> Iterator[str]:
    if card.run.origin is not None:
        yield (
            "It was trained elsewhere: which rows it has learnt from is not known here, and those that it is measured on may be among "
            "them."
        )
    else:
        yield f"It has learnt from rows {window_words(card.version.window)}, and knows nothing of other times."
    known = [f"{field.name} ({len(field.levels)})" for field in card.version.signature.inputs if field.levels]
    if known:
        yield f"Values of these inputs that training did not see all count as one and the same: {', '.join(known)}."
    code = card.run.code
    if code is not None and not code.commit:
        yield "Its code was in no commit: the card's difference is the only copy of it that is known."
    elif code is not None and code.diff:
        yield "Its code had changes that were in no commit; the card shows them."


def window_words(window: Window) -> str:
    """Return a window in words.

    >>> from datetime import datetime
    >>> window_words(Window(start=None, end=datetime(2013, 7, 1)))
    'up to 2013-07-01 00:00'
    """
    end = words.moment(window.end)
    return f"from {words.moment(window.start)} to {end}" if window.start else f"up to {end}"
