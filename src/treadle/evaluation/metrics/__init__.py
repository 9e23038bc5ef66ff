"""Metrics: one number for how well predictions fit outcomes; one file each.

A metric is a module with `NAME`, `TASK`, `GREATER_IS_BETTER` and `value(y, p, weight=None) -> float`, which is NaN
where the metric has no value for such rows. So that intervals come fast, it may have one of these too:

- `per_row(y, p)`, of shape (rows,): the metric is its mean;
- `terms(y, p)`, of shape (rows, k), and `combine(means)`, from shape (…, k) to (…): the metric is a function of means;
- `prepare(y, p)`, a function from the weights of the rows, of shape (rows,), to the metric: what can be done once is;
- `influence(y, p, weight=None)`, of shape (rows,): the derivative of the metric by each row's weight, times the sum of
  the weights; None where it cannot say. Metrics with `per_row` or `terms` need none.

`TASK` is the name of one task or of several. `COLUMNS = True` says that each function takes `columns=`, what the numbers of a
prediction are called, as the levels of quantiles. `OPTIONS` names keyword arguments that a question
may give to each but `combine`. `BOUNDS = (0.0, None)` says how small and how great a value can be, where the interval of one
model ends at the latest. `COUNTED = True` says that a weight is how often a row is there. `FOLDED = True` says that `combine` adds up absolute values, which noise alone makes greater. `SCALED = True` says that
outcomes and predictions are handed over in each row's own unit: see `Snapshot.in_unit`.
"""
