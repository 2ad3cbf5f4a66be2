"""Benchmarks: this engine beside what else one would write, in one run, interleaved.

`bars` and `indicators` make the input and the features, `workloads/` what is timed, `race` times,
`agreement` and `exact` see who is right, `memory` measures peaks in processes of their own,
`targets` holds the figures to reach, `results`, `table`, `charts` and `comparison` report.
"""
