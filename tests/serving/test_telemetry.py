from __future__ import annotations

from treadle.serving.telemetry import Family, merged

UA = (("endpoint", "delay"),)


def family(name, value, kind="counter"):
    return Family(name, "What it is.", kind, [(name, UA, value)])


def test_counts_are_added_up_and_of_states_the_worst_counts():
    families = merged(
        [
            family("treadle_predictions", 2.0),
            family("treadle_log_writable", 1.0, "gauge"),
            family("treadle_predictions", 3.0),
            family("treadle_log_writable", 0.0, "gauge"),
        ]
    )

    assert [found.samples for found in families] == [
        [("treadle_predictions", UA, 5.0)],
        [("treadle_log_writable", UA, 0.0)],
    ]
