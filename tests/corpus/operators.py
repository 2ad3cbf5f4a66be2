# ruff: noqa: PLW0108 -- a builder runs when its test does: a method may be gone from another Polars
"""One expression for every public method of `pl.Expr`, its namespaces, and the `pl.*` functions that build expressions.

`BUILDERS` maps the dotted public name to a builder; `NOT_OPERATORS` holds the names that build none.
A test compares both with the installed Polars, so a new method can't slip by.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from datetime import date

import polars as pl

Builder = Callable[[], pl.Expr]

a, b, n, flag = pl.col("a"), pl.col("b"), pl.col("n"), pl.col("flag")
t, s, when_, items, pair = (pl.col(name) for name in ("t", "s", "when", "items", "pair"))
mapping = pl.concat_list(pl.struct(key=n, value=b), pl.struct(key=n + 9, value=a)).list
spell = when_ - when_.shift(1)
element = pl.element()


def _identity(value: object) -> object:
    return value


def _first(series: list[pl.Series]) -> pl.Series:
    return series[0]


def build(builder: Builder) -> pl.Expr:
    """Build one expression; deprecated methods are operators all the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        made = builder()
    return made[0] if isinstance(made, list) else made


def _plain(names: str, owner: pl.Expr | object, *args: object) -> dict[str, Builder]:
    """Builders for methods that are called alike; Polars 2.0 lacks some of 2.1's."""
    known = [name for name in names.split() if hasattr(owner, name)]
    return {name: (lambda name=name: getattr(owner, name)(*args)) for name in known}


EXPR: dict[str, Builder] = {
    **_plain(
        """abs approx_n_unique arccos arccosh arcsin arcsinh arctan arctanh arg_max arg_min arg_sort arg_unique
        backward_fill bottom_k cbrt ceil cos cosh cot count cum_count cum_max cum_min cum_prod cum_sum degrees
        diff drop_nans drop_nulls entropy erf erfc exp first floor forward_fill has_nulls hash head hist
        implode interpolate is_duplicated is_empty is_finite is_first_distinct is_infinite is_last_distinct
        is_nan is_not_nan is_not_null is_null is_sorted is_unique item kurtosis last len limit log log10 log1p
        lower_bound max mean median min mode n_unique nan_max nan_min neg null_count pct_change peak_max
        peak_min product radians rank reverse rle rle_id set_sorted shuffle sign sin sinh skew sort sqrt std
        sum tail tan tanh to_physical top_k truncate unique unique_counts upper_bound value_counts var""",
        a,
    ),
    **_plain(
        """bitwise_and bitwise_count_ones bitwise_count_zeros bitwise_leading_ones bitwise_leading_zeros
        bitwise_or bitwise_trailing_ones bitwise_trailing_zeros bitwise_xor""",
        n,
    ),
    **_plain("all any arg_true not_", flag),
    **_plain("and_ or_ xor", flag, flag),
    **_plain("explode", items),
    **_plain("repeat_by", a, n),
    **_plain("interpolate_by", a, t),
    **_plain(
        """add append dot eq eq_missing floordiv ge gt is_close le lt mod mul ne ne_missing pow sub truediv
        truncdiv max_by min_by search_sorted""",
        a,
        b,
    ),
    **_plain("index_of", a, 98.0),
    **_plain(
        """rolling_kurtosis rolling_max rolling_mean rolling_median rolling_min rolling_rank rolling_skew
        rolling_std rolling_sum rolling_var""",
        a,
        5,
    ),
    **_plain(
        """rolling_max_by rolling_mean_by rolling_median_by rolling_min_by rolling_rank_by rolling_std_by
        rolling_sum_by rolling_var_by""",
        a,
        "t",
        "5i",
    ),
    "alias": lambda: a.alias("z"),
    "approx_quantile": lambda: a.approx_quantile(0.5),
    "bin_intervals": lambda: a.bin_intervals([1.0, 2.0], labels=False),
    "bin_quantiles": lambda: a.bin_quantiles([0.5], labels=False),
    "bin_ranks": lambda: a.bin_ranks([0.5], labels=False),
    "bottom_k_by": lambda: a.bottom_k_by("b", 3),
    "cast": lambda: a.cast(pl.Float32),
    "clip": lambda: a.clip(0.0, b),
    "cumulative_eval": lambda: a.cumulative_eval(element.last()),
    "cut": lambda: a.cut([1.0, 2.0]),
    "ewm_mean": lambda: a.ewm_mean(span=5),
    "ewm_mean_by": lambda: a.ewm_mean_by("t", half_life="5i"),
    "ewm_std": lambda: a.ewm_std(span=5),
    "ewm_sum": lambda: a.ewm_sum(span=5),
    "ewm_sum_by": lambda: a.ewm_sum_by("t", half_life="5i"),
    "ewm_var": lambda: a.ewm_var(span=5),
    "exclude": lambda: pl.all().exclude("a"),
    "extend_constant": lambda: a.extend_constant(1.0, 2),
    "fill_nan": lambda: a.fill_nan(b),
    "fill_null": lambda: a.fill_null(b),
    "filter": lambda: a.filter(b > 1),
    "gather": lambda: a.gather([0, 1]),
    "gather_every": lambda: a.gather_every(2),
    "get": lambda: a.get(1),
    "is_between": lambda: a.is_between(0.0, b),
    "is_in": lambda: a.is_in([1.0, 2.0]),
    "map_batches": lambda: a.map_batches(_identity),
    "map_elements": lambda: a.map_elements(_identity, return_dtype=pl.Float64),
    "over": lambda: a.mean().over("k"),
    "pipe": lambda: a.pipe(lambda e: e + 1),
    "pipe_with_dtype": lambda: a.pipe_with_dtype(lambda e, _: e),
    "qcut": lambda: a.qcut(4),
    "quantile": lambda: a.quantile(0.5),
    "reinterpret": lambda: n.reinterpret(signed=False),
    "replace": lambda: a.replace(1.0, 2.0),
    "replace_strict": lambda: a.replace_strict(1.0, 2.0, default=b),
    "reshape": lambda: a.reshape((-1, 1)),
    "rolling": lambda: a.mean().rolling("t", period="5i"),
    "rolling_map": lambda: a.rolling_map(_identity, 5),
    "rolling_quantile": lambda: a.rolling_quantile(0.5, window_size=5),
    "rolling_quantile_by": lambda: a.rolling_quantile_by("t", "5i", quantile=0.5),
    "round": lambda: a.round(2),
    "round_sig_figs": lambda: a.round_sig_figs(2),
    "sample": lambda: a.sample(3, seed=1),
    "shift": lambda: a.shift(1),
    "slice": lambda: a.slice(1, 3),
    "sort_by": lambda: a.sort_by("b"),
    "top_k_by": lambda: a.top_k_by("b", 3),
    "inspect": lambda: a.inspect(),
}  # fmt: skip

VARIANTS: dict[str, Builder] = {
    "shift fill": lambda: a.shift(1, fill_value=b.first()),
    "fill_null forward": lambda: a.fill_null(strategy="forward", limit=2),
    "fill_null backward": lambda: a.fill_null(strategy="backward", limit=2),
    "fill_null min": lambda: a.fill_null(strategy="min"),
    "fill_null max": lambda: a.fill_null(strategy="max"),
    "fill_null mean": lambda: a.fill_null(strategy="mean"),
    "fill_null zero": lambda: a.fill_null(strategy="zero"),
    "fill_null one": lambda: a.fill_null(strategy="one"),
    "first ignore_nulls": lambda: a.first(ignore_nulls=True),
    "last ignore_nulls": lambda: a.last(ignore_nulls=True),
    "interpolate nearest": lambda: a.interpolate("nearest"),
    "rank random": lambda: a.rank("random", seed=1),
    "corr spearman": lambda: pl.corr("a", "b", method="spearman"),
    "when": lambda: pl.when(a > 1).then(b).otherwise(0),
    "name.keep": lambda: a.name.keep(),
    "selector": lambda: pl.selectors.float(),
    "selector matches": lambda: pl.col("^a.*$"),
    "exclude": lambda: pl.exclude("a"),
    "literal series": lambda: pl.lit(pl.Series([1, 2])),
    "dtype_of": lambda: a.cast(pl.dtype_of("b")),
    "sample fraction": lambda: a.sample(fraction=0.5, seed=1),
    "bin_intervals count": lambda: a.bin_intervals(3, labels=False),
    "bin_quantiles count": lambda: a.bin_quantiles(3, labels=False),
    "struct fields": lambda: pair.struct.field("a", "b"),
}

LIST: dict[str, Builder] = {
    **_plain(
        """arg_max arg_min diff drop_nulls explode first last len max mean median min n_unique
        reverse sort std sum unique var head tail""",
        items.list,
    ),
    **_plain("all any", (items.list.eval(element > 0)).list),
    "item": lambda: pl.concat_list(a).list.item(),
    "agg": lambda: items.list.agg(element.sum()),
    "concat": lambda: items.list.concat(items),
    "contains": lambda: items.list.contains(1.0),
    "count_matches": lambda: items.list.count_matches(1),
    "eval": lambda: items.list.eval(element.rank()),
    "filter": lambda: items.list.filter(element > 1),
    "gather": lambda: items.list.gather([0]),
    "gather_every": lambda: items.list.gather_every(2),
    "get": lambda: items.list.get(0),
    "join": lambda: s.str.split(",").list.join(","),
    "sample": lambda: items.list.sample(1, seed=1),
    "set_difference": lambda: items.list.set_difference(items),
    "set_intersection": lambda: items.list.set_intersection(items),
    "set_symmetric_difference": lambda: items.list.set_symmetric_difference(items),
    "set_union": lambda: items.list.set_union(items),
    "shift": lambda: items.list.shift(-1),
    "slice": lambda: items.list.slice(0, 1),
    "to_array": lambda: items.list.to_array(3),
    "to_map": lambda: mapping.to_map(),
    "to_struct": lambda: items.list.to_struct(fields=["x"]),
}

array = items.list.to_array(3)
ARR: dict[str, Builder] = {
    **_plain(
        """arg_max arg_min explode first last len max mean median min n_unique reverse sort std sum
        to_list unique var head tail""",
        array.arr,
    ),
    **_plain("all any", array.arr.eval(element > 0).arr),
    "agg": lambda: array.arr.agg(element.sum()),
    "contains": lambda: array.arr.contains(1.0),
    "count_matches": lambda: array.arr.count_matches(1),
    "dot": lambda: array.arr.dot(array),
    "eval": lambda: array.arr.eval(element + 1),
    "get": lambda: array.arr.get(0),
    "join": lambda: pl.concat_list(s, s).list.to_array(2).arr.join(","),
    "shift": lambda: array.arr.shift(-1),
    "slice": lambda: array.arr.slice(0, 1),
    "to_struct": lambda: array.arr.to_struct(fields=["x", "y", "z"]),
}

STR: dict[str, Builder] = {
    **_plain(
        """escape_regex join len_bytes len_chars normalize reverse strip_chars strip_chars_end
        strip_chars_start to_lowercase to_titlecase to_uppercase""",
        s.str,
    ),
    "to_date": lambda: s.str.to_date(strict=False),
    "to_datetime": lambda: s.str.to_datetime("%Y-%m-%d", strict=False),
    "to_integer": lambda: s.str.to_integer(strict=False),
    "to_time": lambda: s.str.to_time("%M", strict=False),
    **_plain(
        """contains count_matches ends_with extract_all find split
        starts_with strip_prefix strip_suffix""",
        s.str,
        "a",
    ),
    "extract": lambda: s.str.extract("(a)"),
    "extract_groups": lambda: s.str.extract_groups("(a)"),
    "json_path_match": lambda: pl.format("[{}]", n).str.json_path_match("$[0]"),
    "contains_any": lambda: s.str.contains_any(["a"]),
    "decode": lambda: s.str.decode("hex", strict=False),
    "encode": lambda: s.str.encode("hex"),
    "extract_many": lambda: s.str.extract_many(["a"]),
    "find_many": lambda: s.str.find_many(["a"]),
    "head": lambda: s.str.head(2),
    "json_decode": lambda: pl.format("[{}]", n).str.json_decode(pl.List(pl.Int64)),
    "pad_end": lambda: s.str.pad_end(5),
    "pad_start": lambda: s.str.pad_start(5),
    "replace": lambda: s.str.replace("a", "b"),
    "replace_all": lambda: s.str.replace_all("a", "b"),
    "replace_many": lambda: s.str.replace_many(["a"], ["b"]),
    "slice": lambda: s.str.slice(1),
    "split_exact": lambda: s.str.split_exact("a", 1),
    "splitn": lambda: s.str.splitn("a", 2),
    "strptime": lambda: s.str.strptime(pl.Date, "%Y-%m-%d", strict=False),
    "tail": lambda: s.str.tail(2),
    "to_decimal": lambda: s.str.to_decimal(scale=2),
    "zfill": lambda: s.str.zfill(5),
}

DT: dict[str, Builder] = {
    **_plain(
        """century date day days_in_month epoch hour is_business_day is_leap_year
        iso_year microsecond millennium millisecond minute month month_end month_start nanosecond ordinal_day
        quarter second time timestamp to_string week weekday year""",
        when_.dt,
    ),
    **_plain(
        """total_days total_hours total_microseconds total_milliseconds total_minutes total_nanoseconds
        total_seconds""",
        spell.dt,
    ),
    **_plain("base_utc_offset dst_offset", when_.dt.replace_time_zone("Europe/Berlin").dt),
    "add_business_days": lambda: when_.dt.add_business_days(n),
    "cast_time_unit": lambda: when_.dt.cast_time_unit("ms"),
    "combine": lambda: when_.dt.combine(pl.time(1)),
    "convert_time_zone": lambda: when_.dt.convert_time_zone("UTC"),
    "offset_by": lambda: when_.dt.offset_by("1d"),
    "replace": lambda: when_.dt.replace(year=2020),
    "replace_time_zone": lambda: when_.dt.replace_time_zone("UTC"),
    "round": lambda: when_.dt.round("1h"),
    "strftime": lambda: when_.dt.strftime("%Y"),
    "truncate": lambda: when_.dt.truncate("1h"),
}

binary = s.cast(pl.Binary)
BIN: dict[str, Builder] = {
    "contains": lambda: binary.bin.contains(b"a"),
    "decode": lambda: binary.bin.encode("hex").cast(pl.Binary).bin.decode("hex"),
    "encode": lambda: binary.bin.encode("hex"),
    "ends_with": lambda: binary.bin.ends_with(b"a"),
    "get": lambda: binary.bin.get(0),
    "head": lambda: binary.bin.head(1),
    "reinterpret": lambda: binary.bin.reinterpret(dtype=pl.Int32),
    "size": lambda: binary.bin.size(),
    "slice": lambda: binary.bin.slice(0, 1),
    "starts_with": lambda: binary.bin.starts_with(b"a"),
    "tail": lambda: binary.bin.tail(1),
}

category = s.cast(pl.Categorical)
CAT: dict[str, Builder] = {
    "ends_with": lambda: category.cat.ends_with("a"),
    "len_bytes": lambda: category.cat.len_bytes(),
    "len_chars": lambda: category.cat.len_chars(),
    "physical": lambda: category.cat.physical(),
    "slice": lambda: category.cat.slice(0, 1),
    "starts_with": lambda: category.cat.starts_with("a"),
    "to": lambda: n.cast(pl.UInt32).cat.to(pl.Categorical()),
}

STRUCT: dict[str, Builder] = {
    "drop": lambda: pair.struct.drop(["a"]),
    "eval": lambda: pair.struct.eval(pl.field("a") + 1),
    "field": lambda: pair.struct.field("a"),
    "json_encode": lambda: pair.struct.json_encode(),
    "rename_fields": lambda: pair.struct.rename_fields(["x", "y"]),
    "unnest": lambda: pair.struct.unnest(),
    "with_fields": lambda: pair.struct.with_fields(pl.field("a") + 1),
}

NAME: dict[str, Builder] = {
    "keep": lambda: a.name.keep(),
    "map": lambda: a.name.map(str.upper),
    "map_fields": lambda: pair.name.map_fields(str.upper),
    "prefix": lambda: a.name.prefix("x"),
    "prefix_fields": lambda: pair.name.prefix_fields("x"),
    "replace": lambda: a.name.replace("a", "b"),
    "strip_prefix": lambda: a.name.strip_prefix("x"),
    "strip_suffix": lambda: a.name.strip_suffix("x"),
    "suffix": lambda: a.name.suffix("x"),
    "suffix_fields": lambda: pair.name.suffix_fields("x"),
    "to_lowercase": lambda: a.name.to_lowercase(),
    "to_uppercase": lambda: a.name.to_uppercase(),
}

EXT: dict[str, Builder] = {
    "storage": lambda: a.ext.storage(),
    "to": lambda: a.ext.to(pl.Float64),
}

MAP: dict[str, Builder] = {
    "contains_key": lambda: mapping.to_map().map.contains_key(1),
    "entries": lambda: mapping.to_map().map.entries(),
    "get": lambda: mapping.to_map().map.get(1),
    "keys": lambda: mapping.to_map().map.keys(),
    "len": lambda: mapping.to_map().map.len(),
    "values": lambda: mapping.to_map().map.values(),
}

FUNCTIONS: dict[str, Builder] = {
    **_plain(
        """arctan2 coalesce concat_arr concat_list concat_str corr cov
        max_horizontal mean_horizontal min_horizontal struct sum_horizontal cum_sum_horizontal list""",
        pl,
        "a",
        "b",
    ),
    **_plain("approx_n_unique count cum_count cum_sum first head implode last max mean median min n_unique std sum tail var", pl, "a"),
    "int_ranges": lambda: pl.int_ranges(0, n),
    "date_ranges": lambda: pl.date_ranges(when_.dt.date(), when_.dt.date()),
    "datetime_ranges": lambda: pl.datetime_ranges(when_, when_),
    "time_ranges": lambda: pl.time_ranges(),
    "date_range": lambda: pl.date_range(when_.min().dt.date(), when_.max().dt.date()),
    "datetime_range": lambda: pl.datetime_range(when_.min(), when_.max()),
    "time_range": lambda: pl.time_range(),
    **_plain("all_horizontal any_horizontal", pl, "flag", "flag"),
    "all": lambda: pl.all(),
    "any": lambda: pl.any("flag"),
    "arange": lambda: pl.arange(pl.len()),
    "arg_sort_by": lambda: pl.arg_sort_by("a"),
    "arg_where": lambda: pl.arg_where(a > 1),
    "business_day_count": lambda: pl.business_day_count(date(2020, 1, 1), when_.dt.date()),
    "col": lambda: pl.col("a"),
    "cum_fold": lambda: pl.cum_fold(0, lambda x, y: x + y, ["a", "b"]),
    "cum_reduce": lambda: pl.cum_reduce(lambda x, y: x + y, ["a", "b"]),
    "date": lambda: pl.date(2020, n + 1, 1),
    "datetime": lambda: pl.datetime(2020, n + 1, 1),
    "duration": lambda: pl.duration(days=n),
    "element": lambda: items.list.eval(pl.element()),
    "escape_regex": lambda: s.str.escape_regex(),
    "exclude": lambda: pl.exclude("a"),
    "field": lambda: pair.struct.with_fields(pl.field("a")),
    "fold": lambda: pl.fold(0, lambda x, y: x + y, ["a", "b"]),
    "format": lambda: pl.format("{}", a),
    "from_epoch": lambda: pl.from_epoch(n, "us"),
    "int_range": lambda: pl.int_range(pl.len()),
    "len": lambda: pl.len(),
    "linear_space": lambda: pl.linear_space(0, 1, pl.len()),
    "linear_spaces": lambda: pl.linear_spaces("a", "b", 3),
    "lit": lambda: pl.lit(1.5),
    "map_batches": lambda: pl.map_batches(["a"], _first),
    "map_groups": lambda: pl.map_groups(["a"], _first),
    "nth": lambda: pl.nth(0),
    "ones": lambda: pl.ones(pl.len()),
    "pipe_with_dtype": lambda: pl.pipe_with_dtype(["a"], lambda found: found[0][0]),
    "quantile": lambda: pl.quantile("a", 0.5),
    "reduce": lambda: pl.reduce(lambda x, y: x + y, ["a", "b"]),
    "repeat": lambda: pl.repeat(1.0, pl.len()),
    "rolling_corr": lambda: pl.rolling_corr(a, b, window_size=5),
    "rolling_cov": lambda: pl.rolling_cov(a, b, window_size=5),
    "row_index": lambda: pl.row_index(),
    "sql_expr": lambda: pl.sql_expr("a + 1"),
    "time": lambda: pl.time(n),
    "when": lambda: pl.when(a > 1).then(b),
    "zeros": lambda: pl.zeros(pl.len()),
}  # fmt: skip

NAMESPACES: dict[str, dict[str, Builder]] = {
    "list": LIST,
    "arr": ARR,
    "str": STR,
    "dt": DT,
    "bin": BIN,
    "cat": CAT,
    "struct": STRUCT,
    "name": NAME,
    "ext": EXT,
    "map": MAP,
}

NOT_OPERATORS = frozenset({"deserialize", "meta", *NAMESPACES})
"""Public names of `pl.Expr` that build no operator: the namespaces, and what reads an expression."""

NOT_FUNCTIONS = frozenset(
    """align_frames build_info collect_all collect_all_async concat defer delete_iceberg disable_string_cache
    dtype_of enable_string_cache explain_all from_arrow from_dataframe from_dict from_dicts from_numpy from_pandas
    from_records from_repr from_torch get_extension_type get_index_type json_normalize merge_sorted read_avro
    read_clipboard read_csv read_database read_database_uri read_delta read_excel read_ipc read_ipc_schema
    read_ipc_stream read_json read_lines read_ndjson read_ods read_parquet read_parquet_metadata
    read_parquet_schema register_extension_type scan_arrow_c_stream scan_csv scan_delta scan_external_reader
    scan_iceberg scan_ipc scan_lance scan_lines scan_ndjson scan_parquet scan_pyarrow_dataset select self_dtype
    set_random_seed show_versions sql struct_with_fields thread_pool_size union unregister_extension_type
    using_string_cache wrap_df wrap_s""".split()
)
"""Public functions of `polars` that build no expression: readers, frames, settings, dtypes."""


def builders() -> dict[str, Builder]:
    """Every builder under the dotted name by which it is reached, variants included."""
    named = {f"Expr.{name}": builder for name, builder in EXPR.items() if hasattr(pl.Expr, name)}
    named |= {f"Expr.{name}": builder for name, builder in VARIANTS.items()}
    for namespace, methods in NAMESPACES.items():
        owner = getattr(a, namespace, None)
        named |= {
            f"Expr.{namespace}.{name}": builder
            for name, builder in methods.items()
            if hasattr(owner, name)
        }
    return named | {
        f"pl.{name}": builder for name, builder in FUNCTIONS.items() if hasattr(pl, name)
    }


FOREIGN = frozenset(
    """Expr.inspect Expr.map_batches Expr.map_elements Expr.name.map Expr.name.strip_prefix Expr.name.strip_suffix
    Expr.pipe_with_dtype Expr.rolling_map pl.cum_fold pl.cum_reduce pl.cum_sum_horizontal pl.fold pl.map_batches
    pl.map_groups pl.pipe_with_dtype pl.reduce""".split()
)
"""Builders whose expression holds a Python function."""


def native() -> dict[str, Builder]:
    """Every builder whose expression Polars computes by itself."""
    return {name: builder for name, builder in builders().items() if name not in FOREIGN}
