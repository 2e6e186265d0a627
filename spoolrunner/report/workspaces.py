"""Workspaces as people read them: which there are, and what the newest run of each action made."""

from collections.abc import Iterable, Iterator

from spoolrunner.figures import size_words, time_words
from spoolrunner.index import ActionState, WorkspaceIndex
from spoolrunner.report.sheet import COLOURS, Block, Cell, Line, Table, ago


def workspaces_sheet(known: Iterable[WorkspaceIndex]) -> Iterator[Block]:
    columns = ("number", "workspace", "db", "branch", "actions", "repository")
    yield Table(columns, [_about(one) for one in known])


def _about(one: WorkspaceIndex) -> tuple[Cell, ...]:
    number, actions = str(one.number or "-"), str(len(one.actions))
    words = (number, one.name, one.db, one.branch, actions, one.repo)
    return tuple(Cell(word) for word in words)


def workspace_sheet(index: WorkspaceIndex) -> Iterator[Block]:
    number = f"  (number {index.number})" if index.number else ""
    yield Line("workspace", Cell(f"{index.name}  (db {index.db}){number}"))
    yield Line("study", Cell(f"{index.repo}  {index.branch}"))
    if not index.actions:
        yield Line("", Cell("Nothing has run here yet."))
        return
    columns = ("newest", "action", "when", "took", "outputs", "size", "commit")
    yield Table(columns, [_run(name, state) for name, state in index.actions.items()])


def _run(action: str, state: ActionState) -> tuple[Cell, ...]:
    """outputs, size: of what lies there, which a failed run does not replace."""
    newest = state.newest
    words = (
        action,
        f"{ago(newest.completed_at)} ago",
        time_words(newest.ran_s) or "-",
        str(len(state.outputs)),
        size_words(sum(mark.size for mark in state.outputs.values())),
        newest.sha[:7],
    )
    return (Cell(newest.status, COLOURS.get(newest.status, "")), *map(Cell, words))
