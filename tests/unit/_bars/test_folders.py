from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rangebar_enrich._bars.batches import read_batches
from rangebar_enrich._bars.files import ending_of, format_of
from rangebar_enrich._bars.folders import count_rows, is_typed, read_whole, size_in_memory
from rangebar_enrich.errors import BarColumnError, BarsError, UnsupportedBarsError


def write(table, path):
    with (
        path.open("wb") as file,
        format_of(path).writer(ending_of(path), file, table.schema) as writer,
    ):
        writer.write_table(table)


@pytest.fixture
def folder(bars, tmp_path):
    """Return a folder of 12 files whose order by text is not their order in time."""
    made = tmp_path / "bars"
    made.mkdir()
    for part in range(12):
        pq.write_table(bars.slice(part * 10, 10), made / f"part-{part}.parquet")
    (made / "_SUCCESS").write_text("")
    (made / ".part-1.parquet.crc").write_text("x")
    (made / "notes.txt").write_text("mine")
    return made


def test_a_folder_is_one_table(folder, bars):
    assert read_whole(folder).equals(bars)
    assert [table.num_rows for table in read_batches(folder, 50)] == [50, 50, 20]
    assert pa.concat_tables(read_batches(folder, 50)).equals(bars)
    assert (count_rows(folder), is_typed(folder)) == (120, True)
    assert size_in_memory(folder) > bars.nbytes / 2


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".arrow", ".arrows"])
def test_folders_hold_any_format(ending, bars, tmp_path):
    for part in range(3):
        write(bars.slice(part * 40, 40), tmp_path / f"{part}{ending}")
    assert read_whole(tmp_path).to_pydict() == bars.to_pydict()
    assert pa.concat_tables(read_batches(tmp_path, 7)).to_pydict() == bars.to_pydict()


def test_what_only_a_path_says_is_a_column(bars, tmp_path):
    for symbol in ("A", "B C"):
        part = tmp_path / f"symbol={symbol.replace(' ', '%20')}" / "threshold_decimal_bps=250"
        part.mkdir(parents=True)
        pq.write_table(bars.slice(0, 5), part / "0.parquet")

    actual = read_whole(tmp_path)

    assert actual["symbol"].to_pylist() == ["A"] * 5 + ["B C"] * 5
    assert actual["threshold_decimal_bps"].to_pylist() == [250] * 10
    assert pa.concat_tables(read_batches(tmp_path, 3)).equals(actual)


def test_what_the_files_say_is_not_replaced_by_the_path(make_bars, tmp_path):
    part = tmp_path / "symbol=OTHER"
    part.mkdir()
    pq.write_table(make_bars(5, symbol="MINE"), part / "0.parquet")
    assert set(read_whole(tmp_path)["symbol"].to_pylist()) == {"MINE"}


def test_metadata_that_differ_become_a_column(make_bars, tmp_path):
    for symbol in ("A", "B"):
        made = make_bars(5, metadata={"symbol": symbol, "threshold_decimal_bps": "250"})
        pq.write_table(made, tmp_path / f"{symbol}.parquet")

    actual = read_whole(tmp_path)

    assert actual["symbol"].to_pylist() == ["A"] * 5 + ["B"] * 5
    assert b"symbol" not in actual.schema.metadata
    assert actual.schema.metadata[b"threshold_decimal_bps"] == b"250"


def test_columns_of_some_files_are_null_in_the_others(tmp_path):
    pq.write_table(pa.table({"close": [1, 2]}), tmp_path / "0.parquet")
    pq.write_table(pa.table({"close": [1.5], "more": ["x"]}), tmp_path / "1.parquet")
    expected = {"close": [1.0, 2.0, 1.5], "more": [None, None, "x"]}
    assert read_whole(tmp_path).to_pydict() == expected
    assert pa.concat_tables(read_batches(tmp_path, 2)).to_pydict() == expected


def test_columns_that_a_file_lacks_may_be_null(tmp_path):
    """Else the table breaks its own schema, and cannot be cast or written (arrow#39670)."""
    close = pa.field("close", pa.float64(), nullable=False)
    for part, name in enumerate(["vwap", "ofi"]):
        fields = [close, pa.field(name, pa.float64(), nullable=False)]
        made = pa.Table.from_arrays([pa.array([1.0]), pa.array([2.0])], schema=pa.schema(fields))
        pq.write_table(made, tmp_path / f"{part}.parquet")

    actual = read_whole(tmp_path)

    assert actual.cast(actual.schema).to_pylist()[1] == {"close": 1.0, "vwap": None, "ofi": 2.0}
    assert [field.nullable for field in actual.schema] == [False, True, True]


def test_files_that_do_not_fit_are_refused(tmp_path):
    pq.write_table(pa.table({"close": [1.0]}), tmp_path / "0.parquet")
    pq.write_table(pa.table({"close": ["x"]}), tmp_path / "1.parquet")
    with pytest.raises(BarColumnError, match=r"do not fit together: .*close"):
        read_whole(tmp_path)


def test_folders_of_several_formats_are_refused(folder, bars):
    write(bars, folder / "more.csv")
    with pytest.raises(UnsupportedBarsError, match=r"several formats: CSV, Parquet\.\nHint: give"):
        read_whole(folder)


def test_folders_without_bars_are_refused(tmp_path):
    with pytest.raises(UnsupportedBarsError, match=r"holds no file of bars\.\nHint: use \.parquet"):
        next(read_batches(tmp_path, 5))


def test_a_broken_file_is_named(folder):
    (folder / "part-7.parquet").write_text("no parquet")
    with pytest.raises(BarsError, match=r"^Cannot read bars from 'part-7\.parquet'"):
        read_whole(folder)
