"""The estimates of `estimates.py` with NannyML: prints, for each metric, the value and the confidence bounds of each chunk."""

from __future__ import annotations

import json
import os
import sys
import warnings

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"

import nannyml as nml
import pandas as pd


def main() -> None:
    """Fit on the reference, estimate the rest and print."""
    warnings.simplefilter("ignore")
    pd.options.future.infer_string = False
    learnt, later = (pd.read_parquet(path) for path in sys.argv[1:3])
    kind, chunk = sys.argv[3], int(sys.argv[4])
    inputs = [name for name in learnt.columns if not name.startswith("_")]
    for frame in (learnt, later):
        for name in inputs:
            if not pd.api.types.is_numeric_dtype(frame[name]):
                frame[name] = frame[name].astype(object).to_numpy(dtype=object)
    if kind == "chances":
        metrics = ["accuracy", "roc_auc"]
        for frame in (learnt, later):
            frame["_said"] = (frame["_p"] > 0.5).astype(int)
        made = nml.CBPE(
            problem_type="classification_binary",
            y_pred_proba="_p",
            y_pred="_said",
            y_true="_y",
            metrics=metrics,
            chunk_size=chunk,
        )
    else:
        metrics = ["mae", "rmse"]
        made = nml.DLE(
            feature_column_names=inputs, y_pred="_p", y_true="_y", metrics=metrics, chunk_size=chunk
        )
    made.fit(learnt)
    found = made.estimate(later.drop(columns="_y")).filter(period="analysis").to_df()
    print(
        json.dumps(
            {
                name: found[name][["value", "upper_confidence_boundary", "lower_confidence_boundary"]]
                .iloc[:, [0, 2, 1]]
                .values.tolist()
                for name in metrics
            }
        )
    )


if __name__ == "__main__":
    main()
