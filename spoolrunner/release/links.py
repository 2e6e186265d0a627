"""Links: what a document brings along or would fetch when it is opened.

Images, fonts, styles and scripts that it holds as `data:` are allowed and looked at. What it would
load from elsewhere keeps it back: it would tell somebody that and by whom it was opened, and
nobody can check what comes. A link that a person has to follow (`<a href="https://...">`) is fine,
and so are the libraries that every notebook names: a sealed server can't fetch them anyway.
Knows: images, findings.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from urllib.parse import unquote_to_bytes

from spoolrunner.release import images
from spoolrunner.release.findings import Findings

EXTERNAL = "It would load something from elsewhere when it is opened; embed that instead."
EMBEDDED = "It holds an embedded file that is no image, font, style or script, or that is damaged."

_LOADED = {"src", "srcset", "poster", "background", "data", "action", "formaction", "manifest"}
_LOADED |= {
    "imagesrcset",
    "code",
    "codebase",
    "archive",
    "classid",
    "profile",
    "dynsrc",
    "lowsrc",
    "ping",
}
_HREFS = {"href", "xlink:href"}
_OF_LIBRARIES = {"script", "link"}
_FOLLOWED = {"a", "area"}
_ONLY_TELLS = {"canonical", "author", "license", "help", "next", "prev", "alternate", "up", "home"}
_ELSEWHERE = re.compile(
    r"(?:[a-z][a-z0-9+.-]*:)?[\\/]{2}|(?:https?|ftp|file|wss?|blob):", re.IGNORECASE
)
# Hosts of fixed libraries, which nobody but they can write to; short, so that no data can go along.
_LIBRARY = re.compile(
    r"https://(?:cdnjs\.cloudflare\.com|mathjax\.rstudio\.com|cdn\.plot\.ly|fonts\.googleapis\.com)"
    r"/[\w./@+=?,:&|-]{1,120}"
)
_CONTROLS = re.compile(r"[\0-\x20]+")
_URL = re.compile(
    r"""url\(\s*(?:"([^"]*)"|'([^']*)'|([^)]*))|@import\s*["']([^"']*)""", re.IGNORECASE
)
_ESCAPED = re.compile(r"\\([0-9a-fA-F]{1,6})\s?")

_FONTS = (b"wOFF", b"wOF2", b"\0\1\0\0", b"OTTO", b"true", b"ttcf")
_IMAGES = (b"GIF8", b"RIFF", b"\0\0\1\0", b"BM", b"\0\0\0\x1cftypavif", b"\0\0\0\x20ftypavif")
_TEXTS = {
    "text/css": "style",
    "text/javascript": "script",
    "application/javascript": "script",
    "application/x-javascript": "script",
    "image/svg+xml": "svg",
}


class Links:
    """embedded: called with the kind ("svg", "style", "script") and text of what is embedded."""

    def __init__(self, findings: Findings, embedded: Callable[[str, str], None]) -> None:
        self._findings = findings
        self._embedded = embedded

    def tag(self, name: str, attributes: Mapping[str, str]) -> None:
        if "style" in attributes:
            self.style(attributes["style"])
        for key, value in attributes.items():
            if key in _LOADED or (key in _HREFS and _is_loaded(name, attributes)):
                if name not in _OF_LIBRARIES or not _LIBRARY.fullmatch(value.strip()):
                    self._loaded(value, several=key.endswith("srcset"))
            elif key in _HREFS and _CONTROLS.sub("", value[:20]).lower().startswith("data:"):
                self._data(value)
        refreshes = attributes.get("http-equiv", "").strip().lower() == "refresh"
        if refreshes and "url" in attributes.get("content", "").lower():
            self._findings.add(EXTERNAL)

    def style(self, text: str) -> None:
        if "\\" in text:
            text = _ESCAPED.sub(lambda code: chr(min(int(code[1], 16), 0x10FFFF)), text)
        for found in _URL.finditer(text):
            self._loaded(next(filter(None, found.groups()), ""))

    def _loaded(self, url: str, *, several: bool = False) -> None:
        start = _CONTROLS.sub("", url[:40])
        if start.lower().startswith("data:"):
            for one in url.split() if several else [url]:
                if one.lower().startswith("data:") or not several:
                    self._data(one)
        elif _ELSEWHERE.match(start) or (several and _ELSEWHERE.search(url)):
            self._findings.add(EXTERNAL)

    def _data(self, url: str) -> None:
        about, comma, body = url.strip().partition(",")
        kind = about[5:].split(";")[0].strip().lower()
        try:
            data = _decoded(body, is_base64=about.lower().rstrip().endswith("base64"))
        except ValueError:
            self._findings.add(EMBEDDED)
            return
        if kind in _TEXTS:
            self._embedded(_TEXTS[kind], data.decode("utf-8", "replace"))
        elif not comma or not _is_allowed(kind, data):
            self._findings.add(EMBEDDED)


def _is_loaded(name: str, attributes: Mapping[str, str]) -> bool:
    if name == "link":
        return not set(attributes.get("rel", "").lower().split()) <= _ONLY_TELLS
    return name not in _FOLLOWED


def _decoded(body: str, *, is_base64: bool) -> bytes:
    data = unquote_to_bytes(body)
    if not is_base64:
        return data
    try:
        return base64.b64decode(b"".join(data.split()) + b"==")
    except binascii.Error as error:
        raise ValueError from error


def _is_allowed(kind: str, data: bytes) -> bool:
    """Is it an image or a font, by what it says and by what it is? Empty ones hold a place."""
    if not data:
        return True
    if kind.startswith("image/"):
        known = images.problem(data) if data.startswith(images.KNOWN) else None
        return known == "" or (known is None and data.startswith(_IMAGES))
    is_font = kind.startswith(("font/", "application/")) and data.startswith(_FONTS)
    return is_font or (kind == "application/vnd.ms-fontobject" and data[34:36] == b"LP")
