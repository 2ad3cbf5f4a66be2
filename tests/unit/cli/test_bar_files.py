from __future__ import annotations

import os
import re

import pyarrow as pa
import pytest
import typer

from rangebar_enrich._bars.files import FORMATS
from rangebar_enrich.cli.bar_files import check_ending, read_bars
from rangebar_enrich.cli.bar_writer import write_bars
from rangebar_enrich.errors import BarsError

TYPED = tuple(ending for one in FORMATS if one.is_typed for ending in one.endings)
PLAIN = tuple(ending for one in FORMATS if not one.is_typed for ending in one.endings)


@pytest.fixture
def bars() -> pa.Table:
    schema = pa.schema(
        [
            pa.field("close_time", pa.int64(), nullable=False),
            pa.field("close", pa.float64()),
            pa.field("x_a", pa.float64(), metadata={"provider": "x", "status": "ok"}),
        ],
        metadata={"symbol": "SIM", "mine": "kept"},
    )
    columns = [[1_700_000_000_000_000, 1_700_000_000_000_001], [0.1 + 0.2, 5e-324], [None, -0.0]]
    return pa.table(columns, schema=schema)


@pytest.mark.parametrize("ending", [*TYPED, ".PARQUET"])
def test_bar_files_keep_values_types_and_metadata(bars, tmp_path, ending):
    path = tmp_path / f"bars{ending}"
    write_bars(bars, path)
    assert read_bars(path).equals(bars, check_metadata=True)


@pytest.mark.parametrize("ending", PLAIN)
def test_bar_files_keep_values_in_csv(bars, tmp_path, ending):
    path = tmp_path / f"bars{ending}"
    write_bars(bars, path)
    actual = read_bars(path)
    assert actual.to_pydict() == bars.to_pydict()


def test_read_bars_takes_whole_prices_in_csv_as_floats(tmp_path):
    path = tmp_path / "bars.csv"
    path.write_text("close_time,Open,close,trades\n1,100,101,7\n")
    types = read_bars(path).schema.types
    assert types == [pa.int64(), pa.float64(), pa.float64(), pa.int64()]


@pytest.mark.parametrize("ending", [*TYPED, *PLAIN])
def test_read_bars_says_what_it_cannot_read(tmp_path, ending):
    path = tmp_path / f"bars{ending}"
    path.write_bytes(b"")
    with pytest.raises(BarsError, match=rf"Cannot read bars from 'bars{re.escape(ending)}'"):
        read_bars(path)


def test_write_bars_leaves_the_old_file_when_it_fails(bars, tmp_path):
    path = tmp_path / "bars.csv"
    path.write_text("old")
    nested = bars.append_column("list", pa.array([[1], [2]]))
    with pytest.raises(BarsError, match=r"Cannot write 'bars\.csv'"):
        write_bars(nested, path)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["bars.csv"]


def test_write_bars_into_no_folder_is_an_error(bars, tmp_path):
    with pytest.raises(BarsError, match=r"Cannot write 'bars\.parquet'"):
        write_bars(bars, tmp_path / "absent" / "bars.parquet")


def test_write_bars_keeps_a_symbolic_link(bars, tmp_path):
    target, link = tmp_path / "real.parquet", tmp_path / "link.parquet"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write_bars(bars, link)
    assert link.is_symlink()
    assert read_bars(target).equals(bars)


def test_write_bars_obeys_the_umask(bars, tmp_path):
    path = tmp_path / "bars.parquet"
    old = os.umask(0o027)
    try:
        write_bars(bars, path)
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o640


def test_check_ending_lists_what_is_known(tmp_path):
    with pytest.raises(typer.BadParameter, match=r"none of \.parquet \.pq \.arrow"):
        check_ending(tmp_path / "bars.xlsx")
