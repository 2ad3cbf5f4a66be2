"""The main job on one machine: trades, the Rust bar builder, features, a database, a chart."""

from __future__ import annotations

from rangebar_enrich.demo.builder import build_bars
from rangebar_enrich.demo.simulator import simulate_trades
from rangebar_enrich.demo.trade_file import iter_trade_file

__all__ = ["build_bars", "iter_trade_file", "simulate_trades"]
