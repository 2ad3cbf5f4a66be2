"""Packs: a catalogue of building blocks, and the provider that makes columns of them.

A building block is a pure function from expressions and parameters to one expression. Its docstring
is its documentation, in one place for readers of the code and of the pages: the first line ends in
the formula, and lines `Source:`, `Unit:` and `TA-Lib:` say the rest.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import polars as pl

from rangebar_enrich.errors import DeclarationError, message
from rangebar_enrich.protocol import BarContext
from rangebar_enrich.reach import reach_of

Number = int | float
Parameters = tuple[Number, ...]

_FACT = re.compile(r"^(Source|Unit|TA-Lib|Note): (.*)$")


@dataclass(frozen=True, slots=True)
class Feature:
    """A building block as a column of a pack; it takes inputs by position, parameters by name.

    Attributes:
        stem: Column name without prefix and parameters.
        block: Makes the expression from the inputs and the parameters, both in order.
        inputs: What the block is given, by the pack's names for it.
        defaults: The parameters of each column that the pack has by default.
        warm_up: Parameters to the number of rows at the start that have no value.
    """

    stem: str
    block: Callable[..., pl.Expr]
    inputs: tuple[str, ...]
    defaults: tuple[Parameters, ...]
    warm_up: Callable[..., int]

    @property
    def words(self) -> tuple[str, ...]:
        """Names of the parameters that make a column, in order."""
        given = list(inspect.signature(self.block).parameters.values())[len(self.inputs) :]
        return tuple(one.name for one in given if one.default is one.empty)

    def document(self) -> Mapping[str, str]:
        """Return the block's formula and facts: `formula`, `Source`, `Unit`, and others it has."""
        paragraphs = (inspect.getdoc(self.block) or "").split("\n\n")
        facts = {"formula": paragraphs[0].replace("\n", " ").partition(": ")[2].rstrip(".")}
        for paragraph in paragraphs[1:]:
            for line in _joined(paragraph):
                found = _FACT.match(line)
                if found:
                    facts[found[1]] = found[2].rstrip(".")
        return facts


def _joined(paragraph: str) -> list[str]:
    """Return the lines of a paragraph, those that go on from a fact joined to it."""
    lines: list[str] = []
    for line in paragraph.splitlines():
        if lines and not _FACT.match(line):
            lines[-1] += f" {line.strip()}"
        else:
            lines.append(line)
    return lines


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a pack: a feature with its parameters."""

    name: str
    feature: Feature
    parameters: Parameters

    @property
    def warm_up(self) -> int:
        """Rows at the start that have no value."""
        return self.feature.warm_up(*self.parameters)

    def expression(self, inputs: Mapping[str, pl.Expr]) -> pl.Expr:
        """Return the value, made from the pack's inputs."""
        given = [inputs[name] for name in self.feature.inputs]
        return self.feature.block(
            *given, **dict(zip(self.feature.words, self.parameters, strict=True))
        )


class Pack:
    """A provider made from a catalogue.

    Args:
        only: Stems to have, of the catalogue's; all by default.
        parameters: Stem to the parameters of its columns, in place of the default ones: a number,
            or a tuple where it takes several, for each column. `[]` leaves the feature out.

    Attributes:
        columns: The names, in the catalogue's order.
        min_bars: Column to warm-up rows.

    Raises:
        DeclarationError: A stem is unknown, or parameters do not fit.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    catalogue: ClassVar[tuple[Feature, ...]]
    columns: tuple[str, ...]
    min_bars: Mapping[str, int]

    def __init__(
        self,
        *,
        only: Iterable[str] | None = None,
        **parameters: Iterable[Number | Parameters],
    ) -> None:
        chosen = {stem: [_as_tuple(one) for one in given] for stem, given in parameters.items()}
        stems = [feature.stem for feature in self.catalogue]
        kept = stems if only is None else list(only)
        self._refuse(self._unknown([*kept, *chosen]) + self._misfits(chosen))
        self._columns = tuple(
            Column(_column_name(self.name, feature.stem, one), feature, one)
            for feature in self.catalogue
            if feature.stem in kept
            for one in chosen.get(feature.stem, feature.defaults)
        )
        self.columns = tuple(column.name for column in self._columns)
        self.min_bars = MappingProxyType({one.name: one.warm_up for one in self._columns})
        self._given = (None if only is None else tuple(kept), chosen)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the arguments, which every process understands."""
        only, chosen = self._given
        return (_rebuild, (type(self), only, chosen))

    def expressions(self, context: BarContext, /) -> Mapping[str, pl.Expr]:
        """Return one expression for each of `columns`."""
        inputs = self.inputs(context)
        return {column.name: column.expression(inputs) for column in self._columns}

    def formulas(self) -> Mapping[str, str]:
        """Return each column's formula in a line, as its building block is documented."""
        return {one.name: one.feature.document()["formula"] for one in self._columns}

    def inputs(self, context: BarContext, /) -> Mapping[str, pl.Expr]:
        """Return what the building blocks are given, by name."""
        raise NotImplementedError

    def _unknown(self, stems: Sequence[str]) -> list[str]:
        known = {feature.stem for feature in self.catalogue}
        return [f"'{stem}': no such feature" for stem in sorted(set(stems) - known)]

    def _misfits(self, chosen: Mapping[str, Sequence[Parameters]]) -> list[str]:
        words = {feature.stem: feature.words for feature in self.catalogue}
        return [
            f"'{stem}': got {one}, expected positive ({', '.join(words[stem])})"
            for stem, given in sorted(chosen.items())
            for one in given
            if stem in words and (len(one) != len(words[stem]) or min(one, default=1) <= 0)
        ]

    def _refuse(self, faults: Sequence[str]) -> None:
        if faults:
            hint = f"the names are those of rangebar_enrich.features.{self.name}.CATALOGUE."
            head = f"{len(faults)} argument(s) that the pack '{self.name}' does not have:"
            raise DeclarationError.of(self.name, message(head, faults, hint))

    def documentation_table(self, context: BarContext) -> str:
        """Return column, formula, unit, warm-up, reach and source as a Markdown table."""
        lines = ["| column | formula | unit | warm-up | earlier bars | source |", "|---" * 6 + "|"]
        exprs = self.expressions(context)
        for column in self._columns:
            facts = column.feature.document()
            past = reach_of(exprs[column.name]).past
            rows = "all, held" if past == float("inf") else str(past)
            cells = [f"`{column.name}`", facts["formula"], facts["Unit"], str(column.warm_up)]
            cells += [rows, _source(facts)]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        return "\n".join(lines)


def _rebuild(kind: type[Pack], only: tuple[str, ...] | None, chosen: Mapping[str, Any]) -> Pack:
    return kind(only=only, **chosen)


def _as_tuple(given: Number | Parameters) -> Parameters:
    return given if isinstance(given, tuple) else (given,)


def _column_name(pack: str, stem: str, parameters: Parameters) -> str:
    numbers = [f"{value:g}".replace(".", "p") for value in parameters]
    return "_".join([pack, stem, *numbers])


def _source(facts: Mapping[str, str]) -> str:
    twin = f"; TA-Lib `{facts['TA-Lib']}`" if "TA-Lib" in facts else ""
    return facts["Source"] + twin
