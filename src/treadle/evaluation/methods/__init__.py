"""Methods of comparison: how the interval of a paired difference is made; one file each.

A method is a module with

- `NAME`;
- `RANK`: of the methods that fit a pair, the one of the highest rank is taken where none is named; 0 is never taken;
- `unfit(pair) -> str`: why it cannot compare such a pair, in words; empty: it can;
- `ends(pair, *, alpha) -> tuple[float, float]`: the ends of the interval of `first - scale * second`, NaN for none.

`pair` is a `treadle.evaluation.pair.Pair`.
"""
