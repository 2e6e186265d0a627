"""The audit for people: a line for each event: when, who, what.

Words come from requests, names of images and of files; what a terminal would take for more than
text is escaped.
"""

import pwd
from collections.abc import Callable, Iterable, Iterator, Sequence

from spoolrunner.audit import COMMAND, Event
from spoolrunner.report.sheet import COLOURS, Block, Cell, Line, Table

MOST_NAMED = 3
SHORT = 7  # of a commit


def audited_sheet(events: Iterable[Event]) -> Iterator[Block]:
    rows = [_row(one) for one in events]
    if rows:
        yield Table(("when (UTC)", "who", "event", "what"), rows)
    else:
        yield Line("", Cell("There is nothing of that in the audit."))


def _row(event: Event) -> tuple[Cell, ...]:
    when = event.at[:19].replace("T", " ")
    word = COMMAND if event.source == COMMAND else event.event
    what = Cell(_safe(_said(event)), _colour(event))
    return Cell(when), Cell(_who(event.uid)), Cell(_safe(word)), what


def _said(event: Event) -> str:
    if event.source == COMMAND:
        return " ".join(event.details.get("words", [event.event]))
    return SAID.get(event.event, _unknown)(event)


def _accept(event: Event) -> str:
    told = event.details
    for_whom = f" for {told['created_by']}" if told.get("created_by") else ""
    asked = f"{_names(told.get('actions', []))} in {event.workspace}"
    return f"{asked}, by {event.source}{for_whom} ({event.request})"


def _cancel(event: Event) -> str:
    return f"{_names(event.details.get('actions', []))} of {event.request}"


def _register(event: Event) -> str:
    anew = ", for another repository or database" if event.details.get("force") else ""
    return f"the workspace {event.workspace}{anew}"


def _reject(event: Event) -> str:
    return f"{event.details.get('name')}: {event.details.get('error')}"


def _refuse(event: Event) -> str:
    return f"{event.request}: {event.details.get('error')}"


def _withdraw(event: Event) -> str:
    return f"{event.request}, by hand"


def _expire(event: Event) -> str:
    removed = _counted(len(event.details.get("removes", [])), "folder")
    return f"{removed}, kept for as long as was set"


def _reload(event: Event) -> str:
    return f"settings: {', '.join(event.details.get('settings', []))}"


def _start(event: Event) -> str:
    told = event.details
    parts = [str(told.get("image", "")).rpartition("/")[2], str(told.get("commit", ""))[:SHORT]]
    if inputs := len(told.get("inputs", {})):
        parts.append(_counted(inputs, "input"))
    if database := told.get("database"):
        parts.append(f"database {database}")
    if told.get("attempt", 1) > 1:
        parts.append(f"attempt {told['attempt']}")
    return f"{event.workspace}/{event.action}: {', '.join(filter(None, parts))}"


def _end(event: Event) -> str:
    told = event.details
    counts = {name: len(told.get(name, {})) for name in ("private", "released", "withheld")}
    parts = [str(told.get("status_code", ""))]
    if outputs := sum(counts.values()):
        parts.append(_counted(outputs, "output"))
    parts += [f"{counts[name]} {name}" for name in ("released", "withheld") if counts[name]]
    return f"{event.workspace}/{event.action}: {', '.join(parts)}"


def _unknown(event: Event) -> str:
    """Such as one of a later version, which may know more of them."""
    return event.request or event.workspace


SAID: dict[str, Callable[[Event], str]] = {
    "accept": _accept,
    "cancel": _cancel,
    "register": _register,
    "reject": _reject,
    "refuse": _refuse,
    "withdraw": _withdraw,
    "expire": _expire,
    "reload": _reload,
    "start": _start,
    "end": _end,
}


def _colour(event: Event) -> str:
    if event.source == COMMAND:
        return "cyan"
    if event.event in ("reject", "refuse", "withdraw"):
        return "yellow"
    return COLOURS.get(str(event.details.get("status", "")), "")


def _who(uid: int) -> str:
    if uid < 0:
        return "-"
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MOST_NAMED])
    return f"{shown} and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else shown


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _safe(text: str) -> str:
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )
