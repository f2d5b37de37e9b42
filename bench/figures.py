"""A figure: what was measured, what it is held against, and whether the ratio is good enough."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Figure:
    """``ours`` against ``floor``, in the same unit and from the same run."""

    what: str
    ours: float
    floor: float
    unit: str
    against: str
    """What the floor is."""
    limit: float | None = None
    """The ratio has to stay on its good side; without one the figure is only shown."""
    good: Literal["below", "above"] = "below"

    @property
    def ratio(self) -> float:
        return self.ours / self.floor

    @property
    def holds(self) -> bool:
        if self.limit is None:
            return True
        return self.ratio <= self.limit if self.good == "below" else self.ratio >= self.limit


def table(figures: Sequence[Figure]) -> str:
    """One line a figure, as Markdown."""
    lines = ["| what | ours | floor | ratio | target | |", "|---|---|---|---|---|---|"]
    for figure in figures:
        sign = "≤" if figure.good == "below" else "≥"
        target = "" if figure.limit is None else f"{sign} {figure.limit:g}"
        lines.append(
            f"| {figure.what} | {figure.ours:.4g} {figure.unit} "
            f"| {figure.floor:.4g} {figure.unit} ({figure.against}) "
            f"| {figure.ratio:.2f} | {target} | {'' if figure.holds else 'MISSED'} |"
        )
    return "\n".join(lines)
