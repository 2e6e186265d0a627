"""Every error: who must act, the exit status, the code in the request file, the public sentence.

    SpoolrunnerError
      Usage              2   the command line is wrong
      BadInput           3   a person's input is wrong: a request, a project.yaml, an id, a name
        BadRequest           .. a file in the inbox that can't become a request
        CannotExpand         .. a well-formed request whose jobs can't be made; finishes as failed
          BadProject         .. its project.yaml (all problems at once)
      BadMachine         4   the machine or its configuration is wrong: the operator must act
        BadConfig            .. the settings (all problems at once)
        Refused              .. an executor can't guarantee what a job must have
      TryLater           5   busy or unreachable: waiting may help
      Bug               70   ours

The message is public: our own sentence, made only of names that came in with the request or stand
in its project.yaml, and of settings' names. What a job, a program or the system said goes to
`detail`, which is for the private log. Knows nothing else of the package.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import ClassVar


class Who(StrEnum):
    """Whose turn it is."""

    RESEARCHER = "researcher"
    OPERATOR = "operator"
    US = "spoolrunner's makers"
    NOBODY = "nobody"


class SpoolrunnerError(Exception):
    """message: one public sentence. hint: what to do. detail: private, may quote programs.

    kind: a short snake_case word for machines ("unknown_action"); default: the class's.
    """

    kind: str = "internal_error"
    who: ClassVar[Who] = Who.US
    exit_status: ClassVar[int] = 70

    def __init__(self, message: str, *, kind: str = "", hint: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail = detail
        if kind:
            self.kind = kind

    @property
    def public(self) -> str:
        """Message and hint, as the outside may read them."""
        return f"{self.message} {self.hint}".strip()


class Usage(SpoolrunnerError):
    kind = "usage"
    who = Who.OPERATOR
    exit_status = 2


class BadInput(SpoolrunnerError):
    kind = "bad_input"
    who = Who.RESEARCHER
    exit_status = 3


class BadRequest(BadInput):
    """What lies in the inbox can't become a request; it goes to rejected/ with this reason."""

    kind = "bad_request"


class CannotExpand(BadInput):
    """A well-formed request that can't become jobs: it is accepted and finished as failed."""

    kind = "cannot_expand"


class BadProject(CannotExpand):
    """problems: every problem of the file, sorted by place, each one public sentence."""

    kind = "invalid_project"

    def __init__(self, problems: Sequence[str], *, hint: str = "", detail: str = "") -> None:
        super().__init__("\n".join(problems), hint=hint, detail=detail)
        self.problems = tuple(problems)


class BadMachine(SpoolrunnerError):
    kind = "bad_machine"
    who = Who.OPERATOR
    exit_status = 4


class BadConfig(BadMachine):
    """problems: every problem of the settings, one sentence each."""

    kind = "bad_config"

    def __init__(self, problems: Sequence[str], *, hint: str = "") -> None:
        super().__init__("\n".join(problems), hint=hint)
        self.problems = tuple(problems)


class Refused(BadMachine):
    """The executor can't guarantee what the job must have, so it was not started."""

    kind = "refused"


class TryLater(SpoolrunnerError):
    """Busy or unreachable. Never means "failed": the same thing may work in a while."""

    kind = "try_later"
    who = Who.OPERATOR
    exit_status = 5


class Bug(SpoolrunnerError):
    """Something we thought impossible."""
