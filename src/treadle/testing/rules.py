"""What every dataset rule must do: be plain values when declared, and tell good rows from bad ones in words."""

from __future__ import annotations

from typing import get_args

from treadle.core.ids import canonical
from treadle.data.dataset_rules import Example, Severity, judge


def check_declaration_is_plain(example: Example) -> None:
    """The declaration is plain values, and says which rule it is and what it does."""
    spec = example.rule.spec()

    assert canonical(spec)
    assert spec["rule"] == example.rule.name
    assert spec["severity"] == example.rule.severity
    assert example.rule.severity in get_args(Severity)


def check_good_rows_pass(example: Example) -> None:
    """Nothing is said of rows that keep it."""
    assert example.rule.check(example.good, example.facts) is None
    assert judge([example.rule], example.good, example.facts) == ()


def check_bad_rows_are_told(example: Example) -> None:
    """What is wrong is a sentence with a number, and with what was expected; its columns are named."""
    text = example.rule.check(example.bad, example.facts)

    assert text
    assert any(letter.isdigit() for letter in text)
    assert "expected" in text
    assert [name for name in example.rule.columns if name not in text] == []


def check_rows_stay_as_they_are(example: Example) -> None:
    """Rows are looked at and not changed, and the same rows are told in the same words."""
    before = example.bad.clone()

    first, second = (example.rule.check(example.bad, example.facts) for _ in range(2))

    assert first == second
    assert example.bad.equals(before)


def check_no_rows_can_be_judged(example: Example) -> None:
    """An ingestion without a row is no error."""
    text = example.rule.check(example.good.clear(), example.facts)

    assert text is None or "expected" in text


CHECKS = (
    check_declaration_is_plain,
    check_good_rows_pass,
    check_bad_rows_are_told,
    check_rows_stay_as_they_are,
    check_no_rows_can_be_judged,
)
