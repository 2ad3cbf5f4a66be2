"""Window kernels: values whose bits depend on their window alone.

A running sum keeps a residue of every value that has left the window. Here a window of w rows is
built from windows of 1, 2, 4, 8, … rows, each made of two halves, in an order that w alone fixes;
so the same rows give the same bits wherever the column begins, in any blocks, chunks or threads,
beside any other windows and series. That holds on one processor and NumPy; every operation is a
correctly rounded IEEE one, none is fused, so it should on others too, which is not promised.
"""

from __future__ import annotations

from rangebar_enrich._windows.layout import Layout
from rangebar_enrich._windows.rolling import Job, rolling
from rangebar_enrich._windows.window import Kind, Window, result_dtype

__all__ = ["Job", "Kind", "Layout", "Window", "result_dtype", "rolling"]
