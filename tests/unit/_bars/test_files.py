from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from rangebar_enrich._bars.batches import read_batches
from rangebar_enrich._bars.files import ENDINGS, FORMATS, ending_of, format_of
from rangebar_enrich._bars.folders import read_whole
from rangebar_enrich.errors import UnsupportedBarsError


def write(table, path):
    """Write a table by the writer of its ending, in pieces."""
    with (
        path.open("wb") as file,
        format_of(path).writer(ending_of(path), file, table.schema) as writer,
    ):
        for piece in table.to_batches(max_chunksize=50):
            writer.write_table(pa.Table.from_batches([piece], schema=table.schema))
    return path


def test_endings_are_of_one_format_each():
    assert len(ENDINGS) == sum(len(one.endings) for one in FORMATS)
    assert all(ending == ending.lower() for ending in ENDINGS)


@pytest.mark.parametrize("ending", [*ENDINGS, ".PARQUET", ".CSV.GZ"])
def test_every_format_is_written_read_whole_and_in_batches(ending, bars, tmp_path):
    path = write(bars, tmp_path / f"my.bars{ending}")

    whole, batches = read_whole(path), pa.concat_tables(read_batches(path, 40))

    assert batches.cast(whole.schema).equals(whole)
    assert whole.to_pydict() == bars.to_pydict()
    if format_of(path).is_typed:
        assert whole.schema.equals(bars.schema, check_metadata=True)


@pytest.mark.parametrize("ending", ENDINGS)
def test_nan_and_null_come_back_as_they_went_in(ending, tmp_path):
    values = [1.0, float("nan"), None, float("inf"), float("-inf"), -0.0]
    table = pa.table({"row": range(6), "close": values})

    actual = read_whole(write(table, tmp_path / f"bars{ending}"))["close"]

    assert str(actual.to_pylist()) == str(table["close"].to_pylist())


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".csv.gz"])
def test_columns_beyond_a_format_are_decoded(ending, tmp_path):
    text = pa.array(["a", "a", "b"])
    words = dict.fromkeys(("ends", "view", "words"), str(text.to_pylist()))
    exotic = {
        "ends": pc.run_end_encode(text),
        "view": text.cast(pa.string_view()),
        "words": text.dictionary_encode(),
        "wide": pa.array([1, 2, 3]).cast(pa.decimal256(45, 2)),
    }

    actual = read_whole(write(pa.table(exotic), tmp_path / f"bars{ending}"))

    assert {name: str(actual[name].to_pylist()) for name in words} == words
    assert [float(value) for value in actual["wide"].to_pylist()] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("ending", [".arrow", ".feather", ".ipc", ".arrows"])
@pytest.mark.parametrize("opened", [pa.ipc.new_file, pa.ipc.new_stream])
def test_ipc_files_and_streams_are_told_apart_by_their_bytes(ending, opened, bars, tmp_path):
    path = tmp_path / f"bars{ending}"
    with opened(str(path), bars.schema) as writer:
        writer.write_table(bars)

    assert read_whole(path).equals(bars)
    assert sum(table.num_rows for table in read_batches(path, 7)) == bars.num_rows


def test_csv_types_are_known_where_they_are_no_guess(tmp_path):
    path = tmp_path / "bars.csv"
    path.write_text("symbol,close_time,Open,close,lookback_ofi,trades\n000001,1,100,101,,7\n")

    actual = read_whole(path)

    assert actual.schema.types == [
        pa.string(),
        pa.int64(),
        pa.float64(),
        pa.float64(),
        pa.float64(),
        pa.int64(),
    ]
    assert actual["symbol"].to_pylist() == ["000001"]


def test_compressed_csv_is_compressed(bars, tmp_path):
    sizes = {
        ending: write(bars, tmp_path / f"bars{ending}").stat().st_size
        for ending in format_of(tmp_path / "x.csv").endings
    }
    assert max(size for ending, size in sizes.items() if ending != ".csv") < sizes[".csv"] / 2


def test_parquet_is_read_in_less_than_a_row_group(tmp_path):
    """A row group may be larger than memory: what is held does not grow with it."""
    import pyarrow.parquet as pq

    rows = 800_000
    table = pa.table({f"c{i}": pa.array(range(i, rows + i), pa.float64()) for i in range(10)})
    pq.write_table(table, tmp_path / "bars.parquet", row_group_size=rows, use_dictionary=False)
    size = table.nbytes
    del table
    before, most = pa.total_allocated_bytes(), 0

    for _ in read_batches(tmp_path / "bars.parquet", 10_000):
        most = max(most, pa.total_allocated_bytes() - before)

    assert 0 < most < size / 2


@pytest.mark.parametrize(("name", "what"), [("x.xlsx", "ending in '.xlsx'"), ("x", "without an")])
def test_other_endings_are_refused(name, what, tmp_path):
    with pytest.raises(UnsupportedBarsError, match=f"^Files {what}.* are not read") as caught:
        format_of(tmp_path / name)
    assert str(caught.value).endswith(
        "Hint: use .parquet, .pq, .arrow, .ipc, .feather, .arrows, .csv, .csv.gz, .csv.bz2 or"
        " .csv.zst; or a folder of them."
    )


def test_a_format_that_cannot_hold_a_column_says_so():
    nested = pa.table({"list": [[1], [2]]})
    with (
        pytest.raises(pa.ArrowInvalid, match="list"),
        format_of_csv().writer(".csv", io.BytesIO(), nested.schema) as writer,
    ):
        writer.write_table(nested)


def format_of_csv():
    return next(one for one in FORMATS if not one.is_typed)
