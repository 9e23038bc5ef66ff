"""The comparison of `monitoring/drift` with Evidently: prints the CPU seconds of its data drift report on both frames."""

from __future__ import annotations

import json
import resource
import sys
import warnings

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset


def main() -> None:
    """Make the report, with default settings, and say what that took."""
    warnings.simplefilter("ignore")
    reference, window = (pd.read_parquet(path) for path in sys.argv[1:3])
    texts = [name for name in reference.columns if name.startswith("c")]
    numbers = [name for name in reference.columns if name not in texts]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=texts)
    sides = [Dataset.from_pandas(frame, data_definition=definition) for frame in (window, reference)]
    began = _cpu()
    Report([DataDriftPreset()]).run(*sides)
    print(json.dumps(_cpu() - began))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
