"""The lines of all jobs that run; what their threads tell is done in the mover's thread."""

from collections.abc import Collection

from spoolrunner.request import Job, Request
from spoolrunner.runner.folding import Folding
from spoolrunner.runner.house import House
from spoolrunner.runner.line import Line
from spoolrunner.runner.waiting import Waiting


class Lines:
    """By job; a line is here until its last deed is done. The mover's thread's alone."""

    def __init__(self, house: House, waiting: Waiting, folding: Folding) -> None:
        self._house = house
        self._book = house.book
        self._waiting = waiting
        self._folding = folding
        self._lines: dict[str, Line] = {}

    def all(self) -> Collection[Line]:
        return self._lines.values()

    def of(self, job: Job) -> Line | None:
        return self._lines.get(job.identifier)

    def requests(self) -> list[Request]:
        """Whose jobs run; one that was withdrawn is among them until they have stopped."""
        return [line.request for line in self._lines.values()]

    def still_publishes(self, job: Job) -> bool:
        """Whoever needs it would find its outputs half in place."""
        line = self.of(job)
        return line is not None and not line.settled

    def begin(self, request: Request, job: Job) -> None:
        self._folding.runs(request)
        line = Line(self._house, request, job, self._settled, self._ended)
        self._lines[job.identifier] = line
        line.begin()

    def _settled(self, line: Line) -> None:
        """From the line's thread: the job has ended and its outputs may be read."""

        def change() -> None:
            if line.settled:
                return  # told again by a line that could not clear away at once
            line.settled = True
            self._book.ended.append((line.request, line.job))

        self._book.tell(change)

    def _ended(self, line: Line) -> None:
        """From the line's thread, as its last deed."""

        def change() -> None:
            self._lines.pop(line.job.identifier, None)
            if line.job.active:
                self._waiting.back(line.request, line.job)
            elif not line.settled:
                self._book.ended.append((line.request, line.job))

        self._book.tell(change)
