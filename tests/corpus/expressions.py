"""Features as people write them: those that look ahead, and those that only look as if they did.

Each is labelled by hand here; a test holds every label against `brute.leaks`.
"""

from __future__ import annotations

import warnings

import polars as pl

# Deprecated methods are written all the same.
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    _QUANTILE_BINS = pl.col("close").qcut(4, allow_duplicates=True)
    _FIXED_BINS = pl.col("close").cut([98.0, 100.0], labels=["low", "mid", "high"])

close, open_, high, low, volume = (
    pl.col(name) for name in ("close", "open", "high", "low", "volume")
)
k, n, b, flag = pl.col("k"), pl.col("n"), pl.col("b"), pl.col("flag")
change = close / close.shift(1) - 1
row = pl.int_range(pl.len())
element = pl.element()


def _total(series: pl.Series) -> float | None:
    return series.sum()


def _later(series: pl.Series) -> pl.Series:
    return series.shift(-1)


def _same(series: pl.Series) -> pl.Series:
    return series


LEAKING: dict[str, pl.Expr] = {
    # shifts and differences
    "shift back": close.shift(-1),
    "shift far back": close.shift(-7),
    "shift by a negated literal": close.shift(-pl.lit(2)),
    "shift by a cast literal": close.shift(pl.lit(-1).cast(pl.Int8)),
    "shift there and not back": close.shift(3).shift(-3),
    "shift with a fill": close.shift(-1, fill_value=0.0),
    "fill value of a mean": close.shift(1, fill_value=close.mean()),
    "fill value of the last": close.shift(2, fill_value=close.last()),
    "next return": close.shift(-1) / close - 1,
    "diff of a later bar": close.diff(-1),
    "change to a later bar": close.pct_change(-1),
    "sign of the next change": (close.shift(-1) > close).cast(pl.Int8),
    "hidden in a when": pl.when(close > open_).then(close.shift(-1)).otherwise(close),
    "hidden in a condition": pl.when(close.shift(-1) > close).then(1.0).otherwise(0.0),
    "hidden in a struct": pl.struct(close, later=open_.shift(-1)).struct.field("later"),
    "hidden in a list": pl.concat_list(close, close.shift(-1)).list.max(),
    "hidden in a horizontal maximum": pl.max_horizontal(close, close.shift(-2)),
    "hidden in a clip": close.clip(upper_bound=close.shift(-1)),
    "hidden in a fill": close.fill_null(close.shift(-1)),
    "hidden in coalesce": pl.coalesce(close, open_.shift(-1)),
    "smoothed later bars": close.shift(-3).rolling_mean(3),
    "smoothed then moved": close.rolling_mean(3).shift(-1),
    # windows
    "centred mean": close.rolling_mean(5, center=True, min_samples=1),
    "centred even window": close.rolling_max(4, center=True),
    "centred and moved too little": close.rolling_mean(7, center=True).shift(2),
    "centred weights": close.rolling_sum(3, weights=[1.0, 2.0, 1.0], center=True),
    "window of the reversed": close.reverse().rolling_mean(3, min_samples=1).reverse(),
    "forward window over time": close.sum().rolling("t", period="3i", offset="0i"),
    "window over rounded times": volume.rolling_sum_by(pl.col("t") // 5, "1i"),
    "window over truncated times": volume.rolling_sum_by(pl.col("timestamp").dt.truncate("1h"), "1h"),
    "window over prices": close.rolling_mean_by((volume * 10).cast(pl.Int64), "3i"),
    # fills
    "backward fill": close.backward_fill(),
    "backward fill with a limit": close.backward_fill(1),
    "fill strategy backward": close.fill_null(strategy="backward"),
    "fill with the mean": close.fill_null(strategy="mean"),
    "fill with the maximum": close.fill_null(strategy="max"),
    "fill with the minimum": close.fill_null(strategy="min"),
    "fill with a median": close.fill_null(close.median()),
    "interpolate": close.interpolate(),
    "interpolate to the nearest": close.interpolate("nearest"),
    "interpolate by time": close.interpolate_by("t"),
    # whole columns
    "distance from the mean": close - close.mean(),
    "z-score of all": (close - close.mean()) / close.std(),
    "share of the maximum": close / close.max(),
    "scaled to the range": (close - close.min()) / (close.max() - close.min()),
    "above the median": close > close.median(),
    "share of the volume": volume / volume.sum(),
    "clipped at a quantile": close.clip(close.quantile(0.05), close.quantile(0.95)),
    "approximate quantile": close > close.approx_quantile(0.5),
    "rank": close.rank(),
    "rank in per cent": close.rank() / pl.len(),
    "sorted": close.sort(),
    "sorted by another": close.sort_by(volume),
    "order": close.arg_sort(),
    "order of several": pl.arg_sort_by("close", "volume"),
    "reversed": close.reverse(),
    "shuffled": close.shuffle(seed=7),
    "bars so far over all bars": row / pl.len(),
    "bars that remain": pl.len() - row,
    "rows from the end": pl.int_range(pl.len(), 0, -1),
    "count of values": close.is_not_null().cum_sum() / close.count(),
    "row of the maximum": row - close.arg_max().cast(pl.Int64),
    "row of the minimum": (row == close.arg_min()).cast(pl.Int8),
    "skew of all": close * close.skew(),
    "kurtosis of all": close * close.kurtosis(),
    "entropy of all": volume * volume.entropy(),
    "correlation of all": close * pl.corr("close", "volume"),
    "covariance of all": close * pl.cov("close", "volume"),
    "beta of all": (change * volume).mean() / volume.var() * change,
    "last value": close / close.last(),
    "last value there is": close / close.last(ignore_nulls=True),
    "first value there is": (close / close.filter(close > 99.5).first()),
    "last match": close - close.filter(flag).last(),
    "value at the end": close - close.get(-1),
    "value at the maximum": volume - volume.gather(close.arg_max()),
    "value by the maximum": volume - volume.max_by("close"),
    "tail": close - close.tail(3).mean(),
    "head of three": close - close.head(3).mean(),
    "slice from the end": close - close.slice(-1, 1).mean(),
    "sum of the top": close / close.top_k(3).sum(),
    "mean of the bottom": close / close.bottom_k(2).mean(),
    "most frequent": close - close.round(0).mode().min(),
    "number of values": close / close.n_unique(),
    "any so far and later": (close > 100.5).any().cast(pl.Int8) + row * 0,
    "all of them": (close > 97.5).all().cast(pl.Int8) + row * 0,
    "product of all": close / (1 + change).product(),
    "nulls in all": close + close.null_count(),
    "duplicated": close.round(0).is_duplicated(),
    "unique": close.round(0).is_unique(),
    "last of its kind": close.round(0).is_last_distinct(),
    "among the later": close.round(0).is_in(open_.round(0).implode()),
    "quantile bins": _QUANTILE_BINS.to_physical(),
    "bins from quantiles": close.bin_quantiles(3, labels=False),
    "bins of equal width": close.bin_intervals(3, labels=False),
    "position in the sorted": close.sort().search_sorted(close),
    "length of the run": pl.len().over(flag.rle_id()),
    "peaks": close.peak_max(),
    "troughs": close.peak_min(),
    # cumulative
    "sum from the end": volume.cum_sum(reverse=True),
    "maximum to come": high.cum_max(reverse=True),
    "minimum to come": low.cum_min(reverse=True),
    "count to come": close.cum_count(reverse=True),
    "sum of the reversed": volume.reverse().cum_sum().reverse(),
    "moving average of the reversed": close.reverse().ewm_mean(span=5).reverse(),
    "reversed and added": close + close.reverse(),
    # groups
    "mean of the group": close - close.mean().over(k),
    "last of the group": close / close.last().over(k),
    "rank in the group": volume.rank().over(k),
    "size of the group": pl.len().over(k),
    "shift in the group": close.shift(-1).over(k),
    "key of a later bar": volume.cum_sum().over(close.shift(-1) > close),
    "key of the whole": volume.cum_sum().over(close > close.mean()),
    "order of another": volume.cum_sum().over(k, order_by="close"),
    "time the other way": volume.cum_sum().over(k, order_by="close_time", descending=True),
    "group as a list": close.over(k, mapping_strategy="join").list.sum(),
    "mean of an hour": close.mean().over(pl.col("timestamp").dt.truncate("1h")),
    "volume of the day": volume / volume.sum().over(pl.col("timestamp").dt.date()),
    # nested
    "imploded": close - close.implode().list.mean(),
    "mean of the maximum so far": close.cum_max() / close.cum_max().last(),
    "labels": pl.when(high.rolling_max(5).shift(-5) > close * 1.01).then(1).otherwise(0),
    "drawdown to come": close / low.cum_min(reverse=True) - 1,
    "several columns": pl.sum_horizontal(close, open_.mean()),
    "string of the last": pl.format("{}", close.last()).str.len_chars() + row * 0,
}  # fmt: skip

CAUSAL: dict[str, pl.Expr] = {
    # shifts and differences
    "shift": close.shift(1),
    "shift back and forth": close.shift(-1).shift(1),
    "shift with a fill": close.shift(2, fill_value=0.0),
    "shift with the first": close.shift(1, fill_value=close.first()),
    "shift by a cast literal": close.shift(pl.lit(2).cast(pl.Int32)),
    "diff": close.diff(),
    "diff of three": close.diff(3),
    "change": close.pct_change(4),
    "return": close / close.shift(5) - 1,
    "log return": (close / close.shift(1)).log(),
    # windows
    "mean": close.rolling_mean(5),
    "z-score": (close - close.rolling_mean(5)) / close.rolling_std(5),
    "stochastic": (close - low.rolling_min(6)) / (high.rolling_max(6) - low.rolling_min(6)),
    "quantile": close.rolling_quantile(0.9, window_size=5),
    "median": close.rolling_median(5),
    "rank": close.rolling_rank(5),
    "skew": close.rolling_skew(5),
    "kurtosis": close.rolling_kurtosis(6),
    "weighted": close.rolling_mean(3, weights=[0.2, 0.3, 0.5]),
    "min samples": close.rolling_sum(5, min_samples=1),
    "correlation": pl.rolling_corr(close, volume, window_size=6),
    "covariance": pl.rolling_cov(close, volume, window_size=6),
    "centred and moved": close.rolling_mean(5, center=True).shift(2),
    "centred even and moved": close.rolling_max(4, center=True).shift(1),
    "window of a window": close.diff().rolling_std(4).rolling_mean(3),
    "window by time": close.rolling_mean_by("timestamp", "10m"),
    "window by time, left": close.rolling_max_by("close_time", "1000000i", closed="left"),
    "window by row number": close.rolling_mean_by(row, "4i"),
    "rolling maximum's row": close.arg_max().rolling("t", period="5i"),
    "rolling over time": (close.max() - close.min()).rolling("timestamp", period="1h"),
    "rolling filter": close.filter(flag).mean().rolling("t", period="6i"),
    "rolling last": close.last().rolling("t", period="3i"),
    "decay by time": close.ewm_mean_by("timestamp", half_life="5m"),
    # recursive
    "moving average": close.ewm_mean(span=5),
    "moving average, unadjusted": close.ewm_mean(alpha=0.2, adjust=False),
    "moving deviation": close.ewm_std(span=5, bias=True),
    "macd": close.ewm_mean(span=3) - close.ewm_mean(span=8),
    "rsi": 100 - 100 / (1 + close.diff().clip(lower_bound=0).ewm_mean(alpha=1 / 14)
                                / (-close.diff().clip(upper_bound=0)).ewm_mean(alpha=1 / 14)),
    # cumulative
    "sum so far": volume.cum_sum(),
    "vwap": (close * volume).cum_sum() / volume.cum_sum(),
    "drawdown": close / high.cum_max() - 1,
    "mean so far": close.cum_sum() / (row + 1),
    "count so far": close.cum_count(),
    "product so far": (1 + change.fill_null(0)).cum_prod(),
    "evaluated so far": close.cumulative_eval(element.rank().last()),
    "mean, evaluated so far": close.cumulative_eval(element.mean(), min_samples=3),
    # fills
    "forward fill": close.forward_fill(),
    "forward fill with a limit": close.forward_fill(2),
    "fill strategy": close.fill_null(strategy="forward", limit=1),
    "fill zero": close.fill_null(strategy="zero"),
    "fill with the one before": close.fill_null(close.shift(1)),
    "fill nan": (close / volume).fill_nan(None),
    # look ahead only by their looks
    "first": close / close.first() - 1,
    "first by position": close / close.get(0),
    "head of one": close / close.head(1),
    "last of the reversed": close - close.reverse().last(),
    "reversed twice": close.reverse().reverse(),
    "reversed, moved, reversed": close.reverse().shift(-2).reverse(),
    "backward fill of the reversed": close.reverse().backward_fill().reverse(),
    "sum from the end of the reversed": volume.reverse().cum_sum(reverse=True).reverse(),
    "row number": row,
    "row number from one": pl.int_range(1, pl.len() + 1),
    "row index": pl.row_index(),
    "ones so far": pl.ones(pl.len()).cum_sum(),
    "constant": pl.lit(1.0),
    "run": flag.rle_id(),
    "length of the run so far": row.first().over(flag.rle_id()) - row,
    "rows of the run so far": pl.int_range(pl.len()).over(flag.rle_id()),
    "first of its kind": close.round(0).is_first_distinct(),
    "distinct so far": close.round(0).is_first_distinct().cum_sum(),
    "first of the group": close / close.first().over(k),
    "sum in the group": volume.cum_sum().over(k),
    "shift in the group": close.shift(1).over(k),
    "mean in the group": close.rolling_mean(3, min_samples=1).over(k),
    "group in time order": volume.cum_sum().over(k, order_by="close_time"),
    "row by row in the group": close.log().over(k, order_by="volume"),
    "group of the day": volume.cum_sum().over(pl.col("timestamp").dt.date()),
    "sorted by time": close.sort_by("close_time").rolling_mean(3),
    "sum cancels": volume.cum_sum().over(pl.lit(1)),
    "peak, one bar later": close.peak_max().shift(1),
    "fixed bins": _FIXED_BINS == "mid",
    "fixed intervals": close.bin_intervals([90.0, 100.0, 110.0], labels=False),
    "among constants": k.is_in([1, 2]),
    "replaced": k.replace({1: 10, 2: 20}),
    "replaced strictly": k.replace_strict({1: 10.0}, default=close),
    "position among constants": pl.lit(pl.Series([90.0, 100.0])).search_sorted(close),
    # row by row
    "range": (high - low) / close,
    "body": (close - open_).abs() / (high - low),
    "typical price": pl.mean_horizontal(high, low, close),
    "list of the row": pl.concat_list(open_, close).list.eval(element.rank()).list.first(),
    "list shifted inside": pl.concat_list(open_, close).list.shift(-1).list.first(),
    "struct": pl.struct(close, open_).struct.with_fields(pl.field("close") * 2).struct.field("close"),
    "hour": pl.col("timestamp").dt.hour(),
    "duration": pl.col("close_time") - pl.col("close_time").shift(1),
    "condition": pl.when(close > close.shift(1)).then(volume).otherwise(-volume).cum_sum(),
    "selector": pl.max_horizontal(pl.selectors.by_name("open", "close")),
    "hash": close.hash(1),
    "string": pl.col("s").str.len_chars(),
    "between": close.is_between(low, high),
    # no interval proves these
    "mean that cancels": close.sum() - close.cum_sum(reverse=True) + close.fill_null(0),
}  # fmt: skip

FOREIGN_LEAKING: dict[str, pl.Expr] = {
    "later in batches": close.map_batches(_later, return_dtype=pl.Float64),
    "total in batches": (
        close - close.map_batches(_total, return_dtype=pl.Float64, returns_scalar=True)
    ),
    "moved from later": close.map_batches(_same, return_dtype=pl.Float64).shift(-1),
}

FOREIGN_CAUSAL: dict[str, pl.Expr] = {
    "element by element": close.map_elements(abs, return_dtype=pl.Float64),
    "window by hand": close.rolling_map(_total, 3),
    "fold": pl.fold(pl.lit(0.0), lambda x, y: x + y, [close, open_]),
    "reduce": pl.reduce(lambda x, y: x + y, [close, open_]),
    "same in batches": close.map_batches(_same, return_dtype=pl.Float64),
}
