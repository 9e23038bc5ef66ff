"""The comparison of `monitoring/drift` with NannyML: prints the CPU seconds of scoring a window; fitting is not counted.

Two statistics a column, as it takes to see values and categories; missing and new values by its data quality calculators.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import warnings

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"

import nannyml as nml
import pandas as pd


def main() -> None:
    """Fit on the reference, score the window as one chunk and say what that took."""
    warnings.simplefilter("ignore")
    reference, window = (pd.read_parquet(path) for path in sys.argv[1:3])
    for frame in (reference, window):
        for name in frame.columns:
            if name.startswith("c"):
                frame[name] = frame[name].astype("category")
    columns = list(reference.columns)
    texts = [name for name in columns if name.startswith("c")]
    size = len(window)
    made = [
        nml.UnivariateDriftCalculator(
            column_names=columns,
            continuous_methods=["kolmogorov_smirnov"],
            categorical_methods=["chi2"],
            chunk_size=size,
        ),
        nml.MissingValuesCalculator(column_names=columns, chunk_size=size),
        nml.UnseenValuesCalculator(column_names=texts, chunk_size=size),
    ]
    for one in made:
        one.fit(reference)
    began = _cpu()
    for one in made:
        one.calculate(window)
    print(json.dumps(_cpu() - began))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
