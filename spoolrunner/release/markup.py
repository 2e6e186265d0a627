"""Markup: HTML and SVG, read tag by tag, each letter once.

What a person would see goes line by line to the search for tables, cells with tabs between them;
scripts, comments and attributes are read as text too, for they can hold data. Not html.parser: it
looks at unfinished tags again and again, and 64 KiB of "<a " took it 108 s (Python 3.11.7); the
author of the file may be anybody.
Knows: links, tables, identifiers, findings.
"""

import html
import re

from spoolrunner.release import identifiers, links
from spoolrunner.release.findings import Findings
from spoolrunner.release.tables import Tables

# An attribute's value may be quoted only right behind its `=`: it is read as browsers read it.
# Possessive throughout, so that what does not match is not tried in other ways.
_VALUE = r"""(?:"[^"]*+"|'[^']*+'|[^\s>"'][^\s>]*+|(?=>))"""
_ATTRIBUTE = rf"[^\s/>][^\s/>=]*+(?:\s*+=\s*+{_VALUE})?+"
_TAG = re.compile(rf"<([a-zA-Z][^\s/>]*+)((?:[\s/]++|{_ATTRIBUTE})*+)>")
_ATTRIBUTES = re.compile(rf"([^\s/>][^\s/>=]*+)(?:\s*+=\s*+({_VALUE}))?+")
_BEGIN = re.compile(r"<(?:[a-zA-Z/!?]|$)")
# Attributes that may matter here; of a figure with a million points, few have one.
_TELLING = re.compile(
    "src|href|ping|style|data|(?<![a-z])on|action|content|poster|background|code|manifest|profile"
    f"|classid|archive|lowsrc|&|{identifiers.CANDIDATE.pattern}",
    re.IGNORECASE,
)
_QUOTES = re.compile("[\"'`]")
_COMMENT_END = re.compile("--!?>")
_OTHERS = ("<![CDATA[", "]]>"), ("<!", ">"), ("<?", ">"), ("</", ">")
_LONGEST = len("<![CDATA[")
_RAW = {"script", "style", "xmp", "noembed", "noframes", "noscript", "textarea", "title"}
_INLINE = {
    *("a", "abbr", "b", "bdi", "bdo", "cite", "code", "data", "del", "dfn", "em", "font", "i"),
    *("ins", "kbd", "label", "mark", "q", "s", "samp", "small", "span", "strong", "sub", "sup"),
    *("time", "tt", "u", "var", "wbr"),
}
_CELLS = {"td", "th"}
_DRAWN = {"text", "tspan"}  # words of a figure: the numbers beside them are its scale
MOST_DEPTH = 3
MOST_INNER = 1000
MOST_CELLS = 10_000  # of a row; more is none

NOT_CLOSED = "Its markup does not end, so it could not be read."
ENTITIES = "It defines entities, which can hide what it holds."
SCRIPT = "It is a figure that holds a script."


class Markup:
    """strict: it is a whole document, which has to end well. svg: a figure, so without scripts."""

    def __init__(
        self, findings: Findings, *, strict: bool, svg: bool = False, depth: int = 0
    ) -> None:
        self._findings = findings
        self._strict, self._svg, self._depth = strict, svg, depth
        self._tables = Tables()
        self._links = links.Links(findings, self._embedded)
        self._waiting: list[str] = []
        self._waiting_letters = self._next_try = 0
        self._raw = ""
        self._line: list[str] = []
        self._cell: list[str] | None = None
        self._row: list[tuple[str, str]] = []
        self._in_head = self._in_pre = False
        self._rows = self._inner = 0
        self.tags: set[str] = set()

    def feed(self, text: str) -> None:
        """The next piece. What is not finished waits until twice as much is there."""
        self._waiting.append(text)
        self._waiting_letters += len(text)
        if self._waiting_letters >= self._next_try:
            self._read(last=False)

    def close(self) -> None:
        self._read(last=True)
        self._end_row()
        self._end_line()
        self._findings.identifies |= self._tables.found

    def _read(self, *, last: bool) -> None:
        text = "".join(self._waiting)
        at = 0
        while at < len(text) and not self._findings.suffice:
            after = self._raw_text(text, at, last) if self._raw else self._next(text, at, last)
            if after == at:
                break
            at = after
        rest = text[at:]
        if last and rest:
            self._aside(rest)
            if self._strict and not self._findings.suffice:
                self._findings.add(NOT_CLOSED)
        self._waiting, self._waiting_letters = [rest], len(rest)
        self._next_try = 2 * len(rest) if at == 0 else 0

    def _next(self, text: str, at: int, last: bool) -> int:
        """Read one tag or the text up to it; where it ends, or at if it does not."""
        found = _BEGIN.search(text, at)
        start = found.start() if found else -1
        if start != at:
            end = start if start > 0 else len(text) if last else max(at, text.rfind("\n") + 1)
            self._text(html.unescape(text[at:end]))
            return end
        if not last and len(text) - at < _LONGEST:
            return at
        if text.startswith("<!--", at):
            # From the second letter: browsers take <!--> for a whole comment.
            found = _COMMENT_END.search(text, at + 2)
            self._aside(text[at + 4 : found.start()] if found else "")
            return found.end() if found else at
        for begin, finish in _OTHERS:
            if text.startswith(begin, at):
                end = text.find(finish, at + len(begin))
                if end >= 0:
                    self._other(begin, text[at + len(begin) : end])
                return end + len(finish) if end >= 0 else at
        return self._tag(text, at)

    def _tag(self, text: str, at: int) -> int:
        found = _TAG.match(text, at)
        if found is None:
            return at
        name = found[1].lower()
        self.tags.add(name)
        given = _ATTRIBUTES.findall(found[2]) if _TELLING.search(found[2]) else []
        self._begin(name, {key.lower(): _unquoted(value) for key, value in given})
        if name in _RAW and not found[2].endswith("/"):
            self._raw = name
        return found.end()

    def _raw_text(self, text: str, at: int, last: bool) -> int:
        """The text of an element that holds no tags, up to its end tag."""
        end = re.compile(rf"</{self._raw}[\s/>]", re.IGNORECASE).search(text, at)
        if end is None and not (last and not self._strict):
            return at
        inner = text[at : end.start() if end else len(text)]
        name, self._raw = self._raw, ""
        if name == "style":
            self._links.style(inner)
        elif name in ("noscript", "noembed", "noframes"):
            self._nested(inner)
        if name == "script" and "\\n" in inner and identifiers.CANDIDATE.search(inner):
            self._aside(_QUOTES.sub("\n", inner.replace("\\n", "\n")))  # tables in its strings
        self._aside(html.unescape(inner) if name in ("textarea", "title") else inner)
        return end.start() if end else len(text)

    def _other(self, begin: str, inner: str) -> None:
        if begin == "</":
            self._end(inner.split()[0].lower() if inner.strip() else "")
        elif begin == "<![CDATA[":
            self._text(inner)
        elif begin == "<?" and inner.lower().startswith("xml-stylesheet"):
            self._findings.add(links.EXTERNAL)
        elif "[" in inner or "entity" in inner[:20].lower():
            self._findings.add(ENTITIES)

    def _begin(self, name: str, attributes: dict[str, str]) -> None:
        if identifiers.is_identifier(name):
            self._findings.identifies = True
        if self._svg and (name == "script" or any(key.startswith("on") for key in attributes)):
            self._findings.add(SCRIPT)
        self._links.tag(name, attributes)
        for value in attributes.values():
            if identifiers.CANDIDATE.search(value):
                self._aside(value)
        if "srcdoc" in attributes:
            self._nested(attributes["srcdoc"])
        self._structure(name)

    def _structure(self, name: str) -> None:
        if name == "table":
            self._end_line()
            self._rows = 0
        elif name == "tr":
            self._end_row()
            self._rows += 1
            self._findings.saw_rows(self._rows)
        elif name in _CELLS:
            self._end_cell()
            if len(self._row) == MOST_CELLS:
                self._end_row()
            self._cell = []
            self._row.append((name, ""))
        elif name not in _INLINE and self._cell is None:
            self._end_line()
        self._in_head = self._in_head or name == "thead"
        self._in_pre = self._in_pre or name == "pre"
        if name in _DRAWN:
            self._tables.reset()

    def _end(self, name: str) -> None:
        if name in _CELLS:
            self._end_cell()
        elif name in ("tr", "table", "thead", "tbody", "tfoot"):
            self._end_row()
        elif name not in _INLINE and self._cell is None:
            self._end_line()
        self._in_head = self._in_head and name not in ("thead", "table")
        self._in_pre = self._in_pre and name != "pre"
        if name in _DRAWN:
            self._tables.reset()

    def _text(self, text: str) -> None:
        if self._cell is not None:
            self._cell.append(text)
            return
        *lines, rest = text.split("\n")
        for line in lines:
            self._line.append(line)
            self._end_line()
        self._line.append(rest)

    def _end_line(self) -> None:
        self._tables.line("".join(self._line))
        self._line = []

    def _end_cell(self) -> None:
        if self._cell is not None and self._row:
            text = "".join(self._cell)
            self._row[-1] = (self._row[-1][0], " ".join(text.split()))
            if "\n" in text.strip():
                self._aside(text, apart=False)
        self._cell = None

    def _end_row(self) -> None:
        """A row is a line with tabs; in a header the name is enough, without rows below it."""
        self._end_cell()
        if not self._row:
            return
        kinds = {kind for kind, _ in self._row}
        is_header = self._in_head or kinds == {"th"}
        if is_header and any(identifiers.is_loosely(text) for _, text in self._row):
            self._findings.identifies = True
        self._tables.line("\t".join(text for _, text in self._row))
        self._row = []

    def _aside(self, text: str, *, apart: bool = True) -> None:
        """Text that does not stand among the lines."""
        tables = self._tables if apart else Tables()
        tables.reset()
        for line in text.splitlines():
            tables.line(line)
        tables.reset()
        self._findings.identifies |= tables.found

    def _embedded(self, kind: str, text: str) -> None:
        """A style, script or figure that is part of the document."""
        if kind == "svg":
            self._nested(text, svg=True)
        else:
            self._aside(text)
            if kind == "style":
                self._links.style(text)

    def _nested(self, text: str, *, svg: bool = False) -> None:
        self._inner += 1
        if self._depth >= MOST_DEPTH or self._inner > MOST_INNER:
            self._findings.add(links.EMBEDDED)
            return
        inner = Markup(self._findings, strict=False, svg=svg, depth=self._depth + 1)
        inner.feed(text)
        inner.close()


def _unquoted(given: str) -> str:
    value = given[1:-1] if given[:1] in ("'", '"') else given
    return html.unescape(value) if "&" in value else value
