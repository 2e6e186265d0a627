"""A log line: one event, `key=value` words and a sentence, or one JSON object; always one line.

    2026-11-22T10:00:00.123Z INFO request=r1 job=cek2 workspace=ws action="fit model" status=failed

The keys are those in the event's own template, so whatever a value holds can't pass for another.
"""

import json
import logging
import re
import time
from collections.abc import Callable

CONVERSION = re.compile(r"(?:\b(\w+)=)?%(?:%|[-+ #0]*[\d.]*([sdrgf]))")
PLAIN = re.compile(r"[^\s\"'=\\\x00-\x1f\x7f]+")
# syslog(3), as sd-daemon(3) has them at the beginning of a line
PRIORITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.NOTSET, 7))


class LineFormatter(logging.Formatter):
    """as_json: an object for programs. journal: each line begins with its priority, as <6>.

    hide: writes over what nobody may read; what programs said is logged, and they know secrets.
    """

    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    hide: Callable[[str], str] = staticmethod(str)

    def __init__(self, *, as_json: bool = False, journal: bool = False) -> None:
        super().__init__()
        self.converter = time.gmtime
        self._as_json = as_json
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        template, arguments = str(record.msg), record.args if isinstance(record.args, tuple) else ()
        story = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        at, level = self.formatTime(record), record.levelname
        if self._as_json:
            sentence = _filled(template, arguments) + story
            words = {"time": at, "level": level, "message": sentence}
            line = json.dumps({**_fields(template, arguments), **words}, ensure_ascii=False)
        else:
            line = _one_line(
                f"{at} {level} {_filled(template, _quoted(template, arguments))}{story}"
            )
        line = self.hide(line)
        return f"<{_priority(record.levelno)}>{line}" if self._journal else line


def _fields(template: str, arguments: tuple[object, ...]) -> dict[str, str]:
    return {key: str(value) for key, value in _pairs(template, arguments) if key}


def _quoted(template: str, arguments: tuple[object, ...]) -> tuple[object, ...]:
    """The same, values of keys quoted where they would run into the next word."""
    return tuple(
        json.dumps(value, ensure_ascii=False)
        if key and isinstance(value, str) and not PLAIN.fullmatch(value)
        else value
        for key, value in _pairs(template, arguments)
    )


def _pairs(template: str, arguments: tuple[object, ...]) -> list[tuple[str, object]]:
    found = [match for match in CONVERSION.finditer(template) if match[0][-2:] != "%%"]
    keys = [match[1] or "" for match in found]
    return list(zip(keys, arguments, strict=False))


def _filled(template: str, arguments: tuple[object, ...]) -> str:
    return template % arguments if arguments else template


def _one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _priority(level: int) -> int:
    return next(number for least, number in PRIORITIES if level >= least)
