"""The serializer of a posted list of jobs: what is taken, what is refused, and in which words.

As Django REST framework does it, for the fields and options the real server declares.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.rig.jobserver.exchange import refuse
from tests.rig.jobserver.site import Era

REQUIRED = "This field is required."
NULL = "This field may not be null."
BLANK = "This field may not be blank."
NOT_TEXT = "Not a valid string."
NUL = "Null characters are not allowed."
SURROGATE = "Surrogate characters are not allowed: U+{:X}."
NOT_TIME = (
    "Datetime has wrong format. Use one of these formats instead: "
    "YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."
)


class Invalid(Exception):
    """The words for one field."""


def text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Invalid(NOT_TEXT)
    clean = str(value).strip()
    if "\0" in clean:
        raise Invalid(NUL)
    for letter in clean:
        if 0xD800 <= ord(letter) <= 0xDFFF:
            raise Invalid(SURROGATE.format(ord(letter)))
    return clean


def time(value: object) -> datetime:
    if not isinstance(value, str):
        raise Invalid(NOT_TIME)
    try:
        found = datetime.fromisoformat(value)
    except ValueError as error:
        raise Invalid(NOT_TIME) from error
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def anything(value: object) -> object:
    return value


@dataclass(frozen=True)
class Field:
    name: str
    clean: Callable[[object], Any] = text
    required: bool = True
    null: bool = False
    blank: bool = False

    def read(self, item: dict[str, Any]) -> object:
        """Raises Invalid."""
        if self.name not in item:
            raise Invalid(REQUIRED)
        value = item[self.name]
        if value is None:
            if self.null:
                return None
            raise Invalid(NULL)
        cleaned = self.clean(value)
        if cleaned == "" and not self.blank:
            raise Invalid(BLANK)
        return cleaned


FIELDS = (
    Field("job_request_id"),
    Field("identifier"),
    Field("action", blank=True),
    Field("status"),
    Field("status_code", blank=True),
    Field("status_message", blank=True),
    Field("created_at", time),
    Field("updated_at", time, null=True),
    Field("started_at", time, null=True),
    Field("completed_at", time, null=True),
)
FIELDS_TODAY = (
    *FIELDS,
    Field("run_command", null=True, blank=True),
    Field("trace_context", anything, required=False, null=True, blank=True),
    Field("metrics", anything, required=False, null=True, blank=True),
)


def read_jobs(data: object, era: Era) -> list[dict[str, Any]]:
    """Jobs with exactly the fields of that era. Raises Refusal (400) if anything is wrong."""
    if data is None:
        raise refuse(400, {"non_field_errors": ["No data provided"]})
    if not isinstance(data, list):
        kind = type(data).__name__
        words = f'Expected a list of items but got type "{kind}".'
        raise refuse(400, {"non_field_errors": [words]})
    read = [_read(item, FIELDS if era is Era.OLD else FIELDS_TODAY) for item in data]
    errors = [wrong for _, wrong in read]
    if any(errors):
        by_place = {str(place): wrong for place, wrong in enumerate(errors) if wrong}
        raise refuse(400, errors if era is Era.OLD else by_place)
    return [good for good, _ in read]


def _read(item: object, fields: tuple[Field, ...]) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """The clean fields, and the words for the others."""
    if not isinstance(item, dict):
        words = f"Invalid data. Expected a dictionary, but got {type(item).__name__}."
        return {}, {"non_field_errors": [words]}
    good: dict[str, Any] = {}
    wrong: dict[str, list[str]] = {}
    for each in fields:
        if not each.required and each.name not in item:
            continue
        try:
            good[each.name] = each.read(item)
        except Invalid as error:
            wrong[each.name] = [str(error)]
    return good, wrong
