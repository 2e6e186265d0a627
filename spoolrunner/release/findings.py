"""Findings: what has been found in a file that may not be seen at medium privacy, in our words.

Reasons are sentences and figures of our own, never content: they are shown beside the file.
Knows nothing of the package.
"""

from dataclasses import dataclass, field

MEGABYTE = 1024 * 1024
FILE_TYPES = frozenset(  # reference 2.4
    {".csv", ".jpg", ".jpeg", ".png", ".svg", ".svgz", ".html", ".txt", ".log", ".json", ".md"}
)


@dataclass(frozen=True)
class Rules:
    """What may go to medium privacy. file_types: suffixes with their dot, upper and lower case told
    apart; none at all means that nothing may go there."""

    max_size_bytes: int = 16 * MEGABYTE
    max_rows: int = 5000
    file_types: frozenset[str] = FILE_TYPES


@dataclass(frozen=True)
class Finding:
    """reasons: why it is kept back, empty if it may be released. checked: what was looked at, in
    words. rows, columns: of a table, the rows without their header."""

    reasons: tuple[str, ...] = ()
    checked: str = ""
    rows: int | None = None
    columns: int | None = None

    @property
    def reason(self) -> str:
        """For people: why, and what was looked at; "" if it may be released."""
        return " ".join([*self.reasons, f"Checked: {self.checked}."]) if self.reasons else ""


@dataclass
class Findings:
    """Written while a file is read. rows: of its longest table. others: more reasons, in order."""

    rules: Rules
    identifies: bool = False
    rows: int | None = None
    columns: int | None = None
    others: dict[str, None] = field(default_factory=dict)

    @property
    def suffice(self) -> bool:
        """Is it kept back already? Then nobody has to read on."""
        return self.identifies or bool(self.others) or (self.rows or 0) > self.rules.max_rows

    def add(self, reason: str) -> None:
        self.others[reason] = None

    def saw_rows(self, rows: int) -> None:
        self.rows = max(self.rows or 0, rows)

    def finding(self, checked: str) -> Finding:
        reasons = list(self.others)
        if self.identifies:
            reasons.append("It has a column that identifies patients.")
        if (self.rows or 0) > self.rules.max_rows:
            reasons.append(f"Its {self.rows} rows are above the limit of {self.rules.max_rows}.")
        is_table = self.columns is not None
        return Finding(tuple(reasons), checked, self.rows if is_table else None, self.columns)


def too_big(size_bytes: int, limit_bytes: int) -> str:
    return (
        f"Its size of {size_bytes / MEGABYTE:.1f}MB is above the limit of "
        f"{limit_bytes / MEGABYTE:.1f}MB."
    )
