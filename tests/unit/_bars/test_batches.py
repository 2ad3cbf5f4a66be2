from __future__ import annotations

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rangebar_enrich._bars.batches import read_batches
from rangebar_enrich.errors import UnsupportedBarsError


def test_files_come_in_tables_of_the_size_asked_for(bars, tmp_path):
    pq.write_table(bars, tmp_path / "bars.parquet", row_group_size=33)

    tables = list(read_batches(tmp_path / "bars.parquet", 40))

    assert [table.num_rows for table in tables] == [40, 40, 40]
    assert pl.DataFrame(pa.concat_tables(tables)).equals(pl.DataFrame(bars))
    assert tables[0].schema.metadata[b"made_by"] == b"the tests"


def test_a_path_may_be_text(bars, tmp_path):
    pq.write_table(bars, tmp_path / "bars.parquet")

    assert sum(table.num_rows for table in read_batches(str(tmp_path / "bars.parquet"), 7)) == 120


class _Stream:
    """What only has the Arrow stream interface, and counts what was taken from it."""

    def __init__(self, bars):
        self._bars, self.taken = bars, 0

    def __arrow_c_stream__(self, requested_schema=None):
        def batches():
            for batch in self._bars.to_batches(max_chunksize=10):
                self.taken += batch.num_rows
                yield batch

        reader = pa.RecordBatchReader.from_batches(self._bars.schema, batches())
        return reader.__arrow_c_stream__(requested_schema)


def test_streams_are_read_as_they_come(bars):
    stream = _Stream(bars)

    first = next(read_batches(stream, 25))

    assert first.num_rows == 25
    assert stream.taken == 30


@pytest.mark.parametrize("kind", ["table", "batch", "reader", "polars", "pandas", "stream"])
def test_eager_kinds_and_readers(kind, bars):
    given = {
        "table": bars,
        "batch": bars.combine_chunks().to_batches()[0],
        "reader": bars.to_reader(max_chunksize=9),
        "polars": pl.DataFrame(bars),
        "pandas": bars.to_pandas(),
        "stream": _Stream(bars),
    }[kind]

    tables = list(read_batches(given, 50))

    assert [table.num_rows for table in tables] == [50, 50, 20]
    assert pl.DataFrame(pa.concat_tables(tables)).equals(pl.DataFrame(bars))


def test_a_pandas_index_becomes_the_timestamp(bars):
    frame = bars.to_pandas()
    frame.index = pl.Series(range(len(frame))).cast(pl.Datetime("us", "UTC")).to_pandas()

    (table,) = read_batches(frame.set_index(frame.index.astype("datetime64[us, UTC]")), 1_000)

    assert table.column_names[0] == "timestamp"


@pytest.mark.parametrize("sizes", [[], [0], [0, 0]], ids=str)
def test_no_rows_give_one_table_without_rows(sizes, bars):
    batches = [bars.slice(0, size).combine_chunks().to_batches() for size in sizes]
    flat = [batch for made in batches for batch in made]

    (table,) = read_batches(pa.RecordBatchReader.from_batches(bars.schema, flat), 5)

    assert (table.num_rows, table.schema) == (0, bars.schema)


def test_empty_batches_between_others_are_passed_over(bars):
    whole = bars.combine_chunks().to_batches()[0]
    batches = [
        whole.slice(0, 0),
        whole.slice(0, 60),
        whole.slice(0, 0),
        whole.slice(60),
        whole.slice(0, 0),
    ]

    tables = list(read_batches(pa.RecordBatchReader.from_batches(bars.schema, batches), 60))

    assert [table.num_rows for table in tables] == [60, 60]


def test_absent_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^No such file: '.*bars\.parquet'$"):
        read_batches(tmp_path / "bars.parquet", 10)


def test_what_holds_no_bars_is_refused():
    with pytest.raises(UnsupportedBarsError, match=r"'builtins\.int' cannot be read"):
        next(read_batches(7, 10))
