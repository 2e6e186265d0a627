"""Identifiers: how the name of a patient's identifier is written, and what its values look like.

The word alone is harmless: code, prose and logs are full of it. It tells something where values
stand below it (tables.py) or beside it, as the key of a record, which is found here.
Knows nothing of the package. Pure.
"""

import re
import unicodedata

# patient_id, PatientID, "patient id", patient-id; and .x, _y, _1, which joins put behind it.
_NAME = re.compile(r"patient[\W_]{0,9}id(?:[._ ]?(?:x|y|\d\d?))?", re.IGNORECASE)
# Stata and R shorten names to fit: patien~d, patient_…
_SHORT = re.compile(r"(pati[ent_i]*)(?:~|…|\.\.\.?)([ent_id]*)[⁰-⁹¹²³]*", re.IGNORECASE)
# Whatever may hold one of these. Wide, because it only saves looking more closely.
CANDIDATE = re.compile(
    r"p[\W_]{0,9}a[\W_]{0,9}t[\W_]{0,9}i[\W_]{0,9}(?:e[\W_]{0,9}n[\W_]{0,9}t|[ent]*(?:~|…|\.\.))",
    re.IGNORECASE,
)
# Signs that may stand around a name; the last are marks of encodings read as Latin-1.
_AROUND = " \t\r\n\"'`*#%/\ufeff\u00a0\\ÿþï»¿"

_NUMBER = re.compile(r"[-+]?\d[\d,]*\.?\d*(?:[eE][-+]?\d+)?")
_VALUE = re.compile(
    rf"{_NUMBER.pattern}"
    r"|[A-Za-z]{0,4}[-_./#]?\d{2,}[\w.:/+-]*"  # P001, ID-0001, 2020-01-31
    r"|(?=[^\d]*\d)[0-9A-Fa-f-]{8,}"  # a hash, a UUID
)

_KEY = r"patient[\W_]{0,3}id"
_RECORD = re.compile(
    rf"""["'\\]{_KEY}["'\\]+\s*(?::|=>)\s*[\[(]?\s*["'\\]*[-+]?\d"""  # JSON, Python, Ruby
    rf"""|\$\s*{_KEY}\s*(?::|<)\s*[\w>\[\]:. ]+\s["']?\d"""  # R's str() and glimpse()
    rf"""|<\w[^<>]*\s{_KEY}\s*=\s*["']?\d"""  # an attribute
    rf"""|<{_KEY}(?:\s[^>]*)?>\s*\w|<th(?:\s[^>]*)?>\s*{_KEY}\s*<""",  # XML, HTML in a script
    re.IGNORECASE,
)
_BARE = re.compile(rf"""(?<![\w"'.]){_KEY}\s{{0,9}}[=:]\s{{0,9}}["']?(\d[\w.-]*)""", re.IGNORECASE)


def is_identifier(cell: str) -> bool:
    """Is a cell that name and nothing else?"""
    if len(cell) > 200:
        return False
    name = cell.strip(_AROUND)
    return bool(_NAME.fullmatch(name)) or _is_shortened(name)


def is_loosely(cell: str) -> bool:
    """The same, whatever signs are around the name: where a header is looked for, not in prose."""
    return is_identifier(cell) or (
        len(cell) < 200 and re.sub(r"[\W_]", "", cell).casefold() == "patientid"
    )


def _is_shortened(name: str) -> bool:
    found = _SHORT.fullmatch(name.casefold())
    if not found or len(found[1]) < 5:
        return False
    return "patient_id".startswith(found[1]) and "patient_id".endswith(found[2])


def is_number(cell: str) -> bool:
    return bool(_NUMBER.fullmatch(cell.strip(_AROUND)))


def is_value(cell: str) -> bool:
    """Could it be the value of an identifier, not a name of something?"""
    return len(cell) < 200 and bool(_VALUE.fullmatch(cell.strip(_AROUND)))


class Records:
    """Text in which an identifier is the key of a record.

    A bare `patient_id: 5` may be a count of something; two that differ are two patients.
    """

    def __init__(self) -> None:
        self._first = ""

    def found(self, line: str) -> bool:
        """Is one found in this line, or together with lines before?"""
        if _RECORD.search(line):
            return True
        for bare in _BARE.finditer(line):
            self._first = self._first or bare[1]
            if bare[1] != self._first:
                return True
        return False


_ESCAPE_CODES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# The engine puts it before each line of a log.
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z ")
_LETTERS = re.compile(r"\\u00([0-9a-fA-F]{2})")


class _Seen(dict[int, str]):
    """For str.translate: what people see of a letter outside of ASCII, found once for each."""

    def __missing__(self, code: int) -> str:
        letter = chr(code)
        seen = letter
        if letter in "│┃┆┇┊┋║¦\u2758\uff5c":
            seen = "|"
        elif unicodedata.category(letter) == "Cf":
            seen = ""
        elif letter not in "…¹²³" and not letter.isascii():
            normal = unicodedata.normalize("NFKC", letter)
            seen = normal if len(normal) == 1 else letter  # so that columns stay aligned
        self[code] = seen
        return seen


_SEEN = _Seen()


def plain(line: str) -> str:
    """A line as it is compared: colours, the engine's times and what nobody sees are left out."""
    if "\x1b" in line:
        line = _ESCAPE_CODES.sub("", line)
    if line.startswith("2"):
        line = _TIME.sub("", line, count=1)
    if "\\u00" in line:
        line = _LETTERS.sub(lambda found: chr(int(found[1], 16)), line)
    if "\0" in line:  # UTF-16 in a log that is not
        line = line.replace("\0", "")
    return line if line.isascii() else line.translate(_SEEN)
