"""Features as people write them: those that look ahead, and those that only look as if they did.

Each is labelled by hand here; a test holds every label against `brute.leaks`.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

Builder = Callable[[], pl.Expr]

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


LEAKING: dict[str, Builder] = {
    # shifts and differences
    "shift back": lambda: close.shift(-1),
    "shift far back": lambda: close.shift(-7),
    "shift by a negated literal": lambda: close.shift(-pl.lit(2)),
    "shift by a cast literal": lambda: close.shift(pl.lit(-1).cast(pl.Int8)),
    "shift there and not back": lambda: close.shift(3).shift(-3),
    "shift with a fill": lambda: close.shift(-1, fill_value=0.0),
    "fill value of a mean": lambda: close.shift(1, fill_value=close.mean()),
    "fill value of the last": lambda: close.shift(2, fill_value=close.last()),
    "next return": lambda: close.shift(-1) / close - 1,
    "diff of a later bar": lambda: close.diff(-1),
    "change to a later bar": lambda: close.pct_change(-1),
    "sign of the next change": lambda: (close.shift(-1) > close).cast(pl.Int8),
    "hidden in a when": lambda: pl.when(close > open_).then(close.shift(-1)).otherwise(close),
    "hidden in a condition": lambda: pl.when(close.shift(-1) > close).then(1.0).otherwise(0.0),
    "hidden in a struct": lambda: pl.struct(close, later=open_.shift(-1)).struct.field("later"),
    "hidden in a list": lambda: pl.concat_list(close, close.shift(-1)).list.max(),
    "hidden in a horizontal maximum": lambda: pl.max_horizontal(close, close.shift(-2)),
    "hidden in a clip": lambda: close.clip(upper_bound=close.shift(-1)),
    "hidden in a fill": lambda: close.fill_null(close.shift(-1)),
    "hidden in coalesce": lambda: pl.coalesce(close, open_.shift(-1)),
    "smoothed later bars": lambda: close.shift(-3).rolling_mean(3),
    "smoothed then moved": lambda: close.rolling_mean(3).shift(-1),
    # windows
    "centred mean": lambda: close.rolling_mean(5, center=True, min_samples=1),
    "centred even window": lambda: close.rolling_max(4, center=True),
    "centred and moved too little": lambda: close.rolling_mean(7, center=True).shift(2),
    "centred weights": lambda: close.rolling_sum(3, weights=[1.0, 2.0, 1.0], center=True),
    "window of the reversed": lambda: close.reverse().rolling_mean(3, min_samples=1).reverse(),
    "forward window over time": lambda: close.sum().rolling("t", period="3i", offset="0i"),
    "window over rounded times": lambda: volume.rolling_sum_by(pl.col("t") // 5, "1i"),
    "window over truncated times": lambda: volume.rolling_sum_by(pl.col("timestamp").dt.truncate("1h"), "1h"),
    "window over prices": lambda: close.rolling_mean_by((volume * 10).cast(pl.Int64), "3i"),
    # fills
    "backward fill": lambda: close.backward_fill(),
    "backward fill with a limit": lambda: close.backward_fill(1),
    "fill strategy backward": lambda: close.fill_null(strategy="backward"),
    "fill with the mean": lambda: close.fill_null(strategy="mean"),
    "fill with the maximum": lambda: close.fill_null(strategy="max"),
    "fill with the minimum": lambda: close.fill_null(strategy="min"),
    "fill with a median": lambda: close.fill_null(close.median()),
    "interpolate": lambda: close.interpolate(),
    "interpolate to the nearest": lambda: close.interpolate("nearest"),
    "interpolate by time": lambda: close.interpolate_by("t"),
    # whole columns
    "distance from the mean": lambda: close - close.mean(),
    "z-score of all": lambda: (close - close.mean()) / close.std(),
    "share of the maximum": lambda: close / close.max(),
    "scaled to the range": lambda: (close - close.min()) / (close.max() - close.min()),
    "above the median": lambda: close > close.median(),
    "share of the volume": lambda: volume / volume.sum(),
    "clipped at a quantile": lambda: close.clip(close.quantile(0.05), close.quantile(0.95)),
    "approximate quantile": lambda: close > close.approx_quantile(0.5),
    "rank": lambda: close.rank(),
    "rank in per cent": lambda: close.rank() / pl.len(),
    "sorted": lambda: close.sort(),
    "sorted by another": lambda: close.sort_by(volume),
    "order": lambda: close.arg_sort(),
    "order of several": lambda: pl.arg_sort_by("close", "volume"),
    "reversed": lambda: close.reverse(),
    "shuffled": lambda: close.shuffle(seed=7),
    "bars so far over all bars": lambda: row / pl.len(),
    "bars that remain": lambda: pl.len() - row,
    "rows from the end": lambda: pl.int_range(pl.len(), 0, -1),
    "count of values": lambda: close.is_not_null().cum_sum() / close.count(),
    "row of the maximum": lambda: row - close.arg_max().cast(pl.Int64),
    "row of the minimum": lambda: (row == close.arg_min()).cast(pl.Int8),
    "skew of all": lambda: close * close.skew(),
    "kurtosis of all": lambda: close * close.kurtosis(),
    "entropy of all": lambda: volume * volume.entropy(),
    "correlation of all": lambda: close * pl.corr("close", "volume"),
    "covariance of all": lambda: close * pl.cov("close", "volume"),
    "beta of all": lambda: (change * volume).mean() / volume.var() * change,
    "last value": lambda: close / close.last(),
    "last value there is": lambda: close / close.last(ignore_nulls=True),
    "first value there is": lambda: (close / close.filter(close > 99.5).first()),
    "last match": lambda: close - close.filter(flag).last(),
    "value at the end": lambda: close - close.get(-1),
    "value at the maximum": lambda: volume - volume.gather(close.arg_max()),
    "value by the maximum": lambda: volume - volume.max_by("close"),
    "tail": lambda: close - close.tail(3).mean(),
    "head of three": lambda: close - close.head(3).mean(),
    "slice from the end": lambda: close - close.slice(-1, 1).mean(),
    "sum of the top": lambda: close / close.top_k(3).sum(),
    "mean of the bottom": lambda: close / close.bottom_k(2).mean(),
    "most frequent": lambda: close - close.round(0).mode().min(),
    "number of values": lambda: close / close.n_unique(),
    "any so far and later": lambda: (close > 100.5).any().cast(pl.Int8) + row * 0,
    "all of them": lambda: (close > 97.5).all().cast(pl.Int8) + row * 0,
    "product of all": lambda: close / (1 + change).product(),
    "nulls in all": lambda: close + close.null_count(),
    "duplicated": lambda: close.round(0).is_duplicated(),
    "unique": lambda: close.round(0).is_unique(),
    "last of its kind": lambda: close.round(0).is_last_distinct(),
    "among the later": lambda: close.round(0).is_in(open_.round(0).implode()),
    "quantile bins": lambda: close.qcut(4, allow_duplicates=True).to_physical(),
    "bins from quantiles": lambda: close.bin_quantiles(3, labels=False),
    "bins of equal width": lambda: close.bin_intervals(3, labels=False),
    "position in the sorted": lambda: close.sort().search_sorted(close),
    "length of the run": lambda: pl.len().over(flag.rle_id()),
    "peaks": lambda: close.peak_max(),
    "troughs": lambda: close.peak_min(),
    # cumulative
    "sum from the end": lambda: volume.cum_sum(reverse=True),
    "maximum to come": lambda: high.cum_max(reverse=True),
    "minimum to come": lambda: low.cum_min(reverse=True),
    "count to come": lambda: close.cum_count(reverse=True),
    "sum of the reversed": lambda: volume.reverse().cum_sum().reverse(),
    "moving average of the reversed": lambda: close.reverse().ewm_mean(span=5).reverse(),
    "reversed and added": lambda: close + close.reverse(),
    # groups
    "mean of the group": lambda: close - close.mean().over(k),
    "last of the group": lambda: close / close.last().over(k),
    "rank in the group": lambda: volume.rank().over(k),
    "size of the group": lambda: pl.len().over(k),
    "shift in the group": lambda: close.shift(-1).over(k),
    "key of a later bar": lambda: volume.cum_sum().over(close.shift(-1) > close),
    "key of the whole": lambda: volume.cum_sum().over(close > close.mean()),
    "order of another": lambda: volume.cum_sum().over(k, order_by="close"),
    "time the other way": lambda: volume.cum_sum().over(k, order_by="close_time", descending=True),
    "group as a list": lambda: close.over(k, mapping_strategy="join").list.sum(),
    "mean of an hour": lambda: close.mean().over(pl.col("timestamp").dt.truncate("1h")),
    "volume of the day": lambda: volume / volume.sum().over(pl.col("timestamp").dt.date()),
    # nested
    "imploded": lambda: close - close.implode().list.mean(),
    "mean of the maximum so far": lambda: close.cum_max() / close.cum_max().last(),
    "labels": lambda: pl.when(high.rolling_max(5).shift(-5) > close * 1.01).then(1).otherwise(0),
    "drawdown to come": lambda: close / low.cum_min(reverse=True) - 1,
    "several columns": lambda: pl.sum_horizontal(close, open_.mean()),
    "string of the last": lambda: pl.format("{}", close.last()).str.len_chars() + row * 0,
}  # fmt: skip

CAUSAL: dict[str, Builder] = {
    # shifts and differences
    "shift": lambda: close.shift(1),
    "shift back and forth": lambda: close.shift(-1).shift(1),
    "shift with a fill": lambda: close.shift(2, fill_value=0.0),
    "shift with the first": lambda: close.shift(1, fill_value=close.first()),
    "shift by a cast literal": lambda: close.shift(pl.lit(2).cast(pl.Int32)),
    "diff": lambda: close.diff(),
    "diff of three": lambda: close.diff(3),
    "change": lambda: close.pct_change(4),
    "return": lambda: close / close.shift(5) - 1,
    "log return": lambda: (close / close.shift(1)).log(),
    # windows
    "mean": lambda: close.rolling_mean(5),
    "z-score": lambda: (close - close.rolling_mean(5)) / close.rolling_std(5),
    "stochastic": lambda: (close - low.rolling_min(6)) / (high.rolling_max(6) - low.rolling_min(6)),
    "quantile": lambda: close.rolling_quantile(0.9, window_size=5),
    "median": lambda: close.rolling_median(5),
    "rank": lambda: close.rolling_rank(5),
    "skew": lambda: close.rolling_skew(5),
    "kurtosis": lambda: close.rolling_kurtosis(6),
    "weighted": lambda: close.rolling_mean(3, weights=[0.2, 0.3, 0.5]),
    "min samples": lambda: close.rolling_sum(5, min_samples=1),
    "correlation": lambda: pl.rolling_corr(close, volume, window_size=6),
    "covariance": lambda: pl.rolling_cov(close, volume, window_size=6),
    "centred and moved": lambda: close.rolling_mean(5, center=True).shift(2),
    "centred even and moved": lambda: close.rolling_max(4, center=True).shift(1),
    "window of a window": lambda: close.diff().rolling_std(4).rolling_mean(3),
    "window by time": lambda: close.rolling_mean_by("timestamp", "10m"),
    "window by time, left": lambda: close.rolling_max_by("close_time", "1000000i", closed="left"),
    "window by row number": lambda: close.rolling_mean_by(row, "4i"),
    "rolling maximum's row": lambda: close.arg_max().rolling("t", period="5i"),
    "rolling over time": lambda: (close.max() - close.min()).rolling("timestamp", period="1h"),
    "rolling filter": lambda: close.filter(flag).mean().rolling("t", period="6i"),
    "rolling last": lambda: close.last().rolling("t", period="3i"),
    "decay by time": lambda: close.ewm_mean_by("timestamp", half_life="5m"),
    # recursive
    "moving average": lambda: close.ewm_mean(span=5),
    "moving average, unadjusted": lambda: close.ewm_mean(alpha=0.2, adjust=False),
    "moving deviation": lambda: close.ewm_std(span=5, bias=True),
    "macd": lambda: close.ewm_mean(span=3) - close.ewm_mean(span=8),
    "rsi": lambda: 100 - 100 / (1 + close.diff().clip(lower_bound=0).ewm_mean(alpha=1 / 14)
                                / (-close.diff().clip(upper_bound=0)).ewm_mean(alpha=1 / 14)),
    # cumulative
    "sum so far": lambda: volume.cum_sum(),
    "vwap": lambda: (close * volume).cum_sum() / volume.cum_sum(),
    "drawdown": lambda: close / high.cum_max() - 1,
    "mean so far": lambda: close.cum_sum() / (row + 1),
    "count so far": lambda: close.cum_count(),
    "product so far": lambda: (1 + change.fill_null(0)).cum_prod(),
    "evaluated so far": lambda: close.cumulative_eval(element.rank().last()),
    "mean, evaluated so far": lambda: close.cumulative_eval(element.mean(), min_samples=3),
    # fills
    "forward fill": lambda: close.forward_fill(),
    "forward fill with a limit": lambda: close.forward_fill(2),
    "fill strategy": lambda: close.fill_null(strategy="forward", limit=1),
    "fill zero": lambda: close.fill_null(strategy="zero"),
    "fill with the one before": lambda: close.fill_null(close.shift(1)),
    "fill nan": lambda: (close / volume).fill_nan(None),
    # look ahead only by their looks
    "first": lambda: close / close.first() - 1,
    "first by position": lambda: close / close.get(0),
    "head of one": lambda: close / close.head(1),
    "last of the reversed": lambda: close - close.reverse().last(),
    "reversed twice": lambda: close.reverse().reverse(),
    "reversed, moved, reversed": lambda: close.reverse().shift(-2).reverse(),
    "backward fill of the reversed": lambda: close.reverse().backward_fill().reverse(),
    "sum from the end of the reversed": lambda: volume.reverse().cum_sum(reverse=True).reverse(),
    "row number": lambda: row,
    "row number from one": lambda: pl.int_range(1, pl.len() + 1),
    "row index": lambda: pl.row_index(),
    "ones so far": lambda: pl.ones(pl.len()).cum_sum(),
    "constant": lambda: pl.lit(1.0),
    "run": lambda: flag.rle_id(),
    "length of the run so far": lambda: row.first().over(flag.rle_id()) - row,
    "rows of the run so far": lambda: pl.int_range(pl.len()).over(flag.rle_id()),
    "first of its kind": lambda: close.round(0).is_first_distinct(),
    "distinct so far": lambda: close.round(0).is_first_distinct().cum_sum(),
    "first of the group": lambda: close / close.first().over(k),
    "sum in the group": lambda: volume.cum_sum().over(k),
    "shift in the group": lambda: close.shift(1).over(k),
    "mean in the group": lambda: close.rolling_mean(3, min_samples=1).over(k),
    "group in time order": lambda: volume.cum_sum().over(k, order_by="close_time"),
    "row by row in the group": lambda: close.log().over(k, order_by="volume"),
    "group of the day": lambda: volume.cum_sum().over(pl.col("timestamp").dt.date()),
    "sorted by time": lambda: close.sort_by("close_time").rolling_mean(3),
    "sum cancels": lambda: volume.cum_sum().over(pl.lit(1)),
    "peak, one bar later": lambda: close.peak_max().shift(1),
    "fixed bins": lambda: close.cut([98.0, 100.0], labels=["low", "mid", "high"]) == "mid",
    "fixed intervals": lambda: close.bin_intervals([90.0, 100.0, 110.0], labels=False),
    "among constants": lambda: k.is_in([1, 2]),
    "replaced": lambda: k.replace({1: 10, 2: 20}),
    "replaced strictly": lambda: k.replace_strict({1: 10.0}, default=close),
    "position among constants": lambda: pl.lit(pl.Series([90.0, 100.0])).search_sorted(close),
    # row by row
    "range": lambda: (high - low) / close,
    "body": lambda: (close - open_).abs() / (high - low),
    "typical price": lambda: pl.mean_horizontal(high, low, close),
    "list of the row": lambda: pl.concat_list(open_, close).list.eval(element.rank()).list.first(),
    "list shifted inside": lambda: pl.concat_list(open_, close).list.shift(-1).list.first(),
    "struct": lambda: pl.struct(close, open_).struct.with_fields(pl.field("close") * 2).struct.field("close"),
    "hour": lambda: pl.col("timestamp").dt.hour(),
    "duration": lambda: pl.col("close_time") - pl.col("close_time").shift(1),
    "condition": lambda: pl.when(close > close.shift(1)).then(volume).otherwise(-volume).cum_sum(),
    "selector": lambda: pl.max_horizontal(pl.selectors.by_name("open", "close")),
    "hash": lambda: close.hash(1),
    "string": lambda: pl.col("s").str.len_chars(),
    "between": lambda: close.is_between(low, high),
    # no interval proves these
    "mean that cancels": lambda: close.sum() - close.cum_sum(reverse=True) + close.fill_null(0),
}  # fmt: skip

FOREIGN_LEAKING: dict[str, Builder] = {
    "later in batches": lambda: close.map_batches(_later, return_dtype=pl.Float64),
    "total in batches": lambda: (
        close - close.map_batches(_total, return_dtype=pl.Float64, returns_scalar=True)
    ),
    "moved from later": lambda: close.map_batches(_same, return_dtype=pl.Float64).shift(-1),
}

FOREIGN_CAUSAL: dict[str, Builder] = {
    "element by element": lambda: close.map_elements(abs, return_dtype=pl.Float64),
    "window by hand": lambda: close.rolling_map(_total, 3),
    "fold": lambda: pl.fold(pl.lit(0.0), lambda x, y: x + y, [close, open_]),
    "reduce": lambda: pl.reduce(lambda x, y: x + y, [close, open_]),
    "same in batches": lambda: close.map_batches(_same, return_dtype=pl.Float64),
}
