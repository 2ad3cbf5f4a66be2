"""What must work with nothing but the wheel and what it depends on: `make test-wheel`.

Run with `python -I`, so that the checkout is not on the path.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import math
import sys

import polars as pl
import pyarrow as pa

import rangebar_enrich as rbe

EXTRAS = ["pandas", "chdb", "typer", "rich", "plotly", "rangebar", "pytest", "hypothesis"]


class Momentum:
    name, version, columns, min_bars = "momentum", "1.0.0", ("momentum_return_2",), 2

    def expressions(self, _context: rbe.BarContext) -> list[pl.Expr]:
        close = pl.col("close")
        return [(close / close.shift(2) - 1).alias("momentum_return_2")]


def main() -> None:
    there = [name for name in EXTRAS if importlib.util.find_spec(name)]
    assert there == [], f"the environment is not clean: {there}"
    assert "site-packages" in (rbe.__file__ or ""), f"not the wheel: {rbe.__file__}"
    assert rbe.__version__ == importlib.metadata.version("rangebar-enrich")

    bars = pa.table({"close_time": [1, 2, 3, 4], "close": [1.0, 2.0, 4.0, 6.0]})
    made = rbe.enrich_bars(bars, "BTCUSDT", 250, providers=[Momentum()])
    values = made["momentum_return_2"].to_pylist()

    assert values[:2] == [None, None]
    assert math.isclose(values[2], 3.0)
    assert math.isclose(values[3], 2.0)
    assert made.select(bars.column_names).equals(bars)
    sys.stdout.write(f"the wheel of {rbe.__version__} enriches bars without extras\n")


if __name__ == "__main__":
    main()
