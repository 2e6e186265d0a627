"""Outputs as studies make them every day: none of these may be held back.

Name of the case -> (name of the file, its content). `job.log` stands for the job's own log, from
which nothing may be cut.
"""

import base64
import gzip
import json
import struct
import zlib

Cases = dict[str, tuple[str, bytes]]


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    """A small grey image with these chunks in it."""
    header = struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0\x40\x40\xff\xff" * 4)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def jpeg(*segments: tuple[int, bytes]) -> bytes:
    """The frame of a JPEG, progressive: two scans."""
    scan = b"\xff\xda\0\x08\x01\x01\0\0\x3f\0" + b"\x12\xff\0\x34\xff\xd0\x56"
    made = b"".join(
        b"\xff" + bytes([marker]) + struct.pack(">H", len(data) + 2) + data
        for marker, data in [(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0"), *segments, (0xDB, b"\0" * 65)]
    )
    return b"\xff\xd8" + made + scan + scan + b"\xff\xd9"


def data_url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


IMAGE = data_url("image/png", png())
SMALL = data_url("image/svg+xml", b'<svg><path d="M 0 0"/></svg>')
FONT = data_url("font/woff2", b"wOF2" + b"\0" * 40)
ROUNDED = "region,sex,n,rate\n" + "".join(
    f"{region},{sex},{n},{n / 7:.2f}\n"
    for n, region in enumerate(["North East", "London", "Yorkshire and The Humber"], 10)
    for sex in "FM"
)

TABLES: Cases = {
    "a rounded table": ("t.csv", ROUNDED.encode()),
    "an empty file": ("t.csv", b""),
    "a header without rows": ("t.csv", b"region,n\n"),
    "5,000 rows": ("t.csv", b"week,n\n" + b"2021-01-01,5\n" * 5000),
    "a table of Excel's, UTF-8 with a mark": ("t.csv", ROUNDED.encode("utf-8-sig")),
    "a table in UTF-16": ("t.csv", ROUNDED.encode("utf-16")),
    "a table in Latin-1": ("t.csv", "ville,n\nOrléans,10\n".encode("latin-1")),
    "semicolons and decimal commas": ("t.csv", b"group;mean\na;1,5\nb;2,5\n"),
    "R's write.csv with names of rows": (
        "t.csv",
        b'"","estimate","p"\n"age",1.02,0.03\n"sexM",1.4,0.2\n',
    ),
    "a data dictionary": (
        "t.csv",
        b"variable,meaning\nage,years\npatient_id,the key of the cohort\n",
    ),
    "missing values by variable": ("t.csv", b"variable,missing\npatient_id,0\nage,12\nsex,0\n"),
    "a summary of variables": (
        "t.csv",
        b"variable,class,n_unique\npatient_id,integer,1000\nage,integer,80\n",
    ),
    "counts of patients": ("t.csv", b"n_patients,n_patient_ids\n1000,1000\n"),
    "a table with a title above": (
        "t.csv",
        b"Table 1: rows per patient_id, rounded\n\ngroup,n\na,10\n",
    ),
    "a list of variables": ("t.csv", b"variable\nage\npatient_id\nsex\n"),
    "quoted cells with commas and lines": ("t.csv", b'note,n\n"one, two\nthree",5\n'),
    "regression coefficients": ("t.csv", b"term,estimate,conf.low,conf.high\nage,1.1,1.0,1.2\n"),
    "a wide table": (
        "t.csv",
        (",".join(f"week_{n}" for n in range(600)) + "\n" + "1," * 599 + "1\n").encode(),
    ),
    "Windows line ends": ("t.csv", ROUNDED.replace("\n", "\r\n").encode()),
}

STATA_TABLE = """
      Source |       SS           df       MS      Number of obs   =     1,000
-------------+----------------------------------   F(2, 997)       =     12.10
       Model |  120.338812         2   60.169406   Prob > F        =    0.0000
    Residual |  4957.92142       997  4.97283994   R-squared       =    0.0237
------------------------------------------------------------------------------
         bmi | Coefficient  Std. err.      t    P>|t|     [95% conf. interval]
-------------+----------------------------------------------------------------
         age |   .0214421   .0044781     4.79   0.000     .0126544    .0302298
"""

TEXTS: Cases = {
    "a Stata table of coefficients": ("t.txt", STATA_TABLE.encode()),
    "an R model summary": (
        "t.txt",
        b"""
Call:
glm(formula = died ~ age + sex, family = binomial, data = select(df, -patient_id))

Coefficients:
             Estimate Std. Error z value Pr(>|z|)
(Intercept) -3.912023   0.412120  -9.492  < 2e-16 ***
age          0.031145   0.006519   4.777 1.78e-06 ***
""",
    ),
    "prose about the key": (
        "t.txt",
        b"Rows were joined on patient_id, then\n1,000 of them were kept.\npatient_id\nis dropped before rounding.\n",
    ),
    "a list of columns": ("t.txt", b"columns:\npatient_id\nage\nsex\n"),
    "missing values as pandas prints them": (
        "t.txt",
        b"patient_id    0\nage           3\nsex           0\ndtype: int64\n",
    ),
    "a tab separated table of counts": ("t.txt", b"group\tn\na\t10\nb\t20\n"),
    "a schema as pandas prints it": (
        "t.txt",
        b""" #   Column      Non-Null Count  Dtype
---  ------      --------------  -----
 0   patient_id  1000 non-null   int64
 1   age         1000 non-null   int64
""",
    ),
    "SQL": (
        "t.txt",
        b"SELECT\n    patient_id,\n    age,\n    sex\nFROM cohort\nWHERE patient_id IN (\n  SELECT patient_id FROM x\n)\n",
    ),
    "a long text of log lines": (
        "t.txt",
        b"2021-01-01 10:00:00,123 step 5 of 9, loss 0.25\n" * 6000,
    ),
    "a report in Markdown": (
        "t.md",
        b"# Results\n\n| group | n |\n|---|---:|\n| a | 10 |\n\nWe linked by `patient_id`.\n",
    ),
    "a dictionary in Markdown": (
        "t.md",
        b"| variable | meaning | unit |\n|---|---|---|\n| age | in years | 1 |\n| patient_id | the key | none |\n| sex | F or M | none |\n",
    ),
    "code in Markdown": (
        "t.md",
        b'```python\ncols = [\n    "patient_id",\n    "age",\n]\ndf.groupby(\'patient_id\').size()\n```\n',
    ),
    "an embedded image in Markdown": (
        "t.md",
        f'# Figure\n\n![plot]({IMAGE})\n<img src="{IMAGE}">\n'.encode(),
    ),
    "an HTML table in Markdown": (
        "t.md",
        b"<table><tr><th>group</th><th>n</th></tr><tr><td>a</td><td>10</td></tr></table>\n",
    ),
}

OBJECTS: Cases = {
    "counts": ("t.json", b'{"n": 1000, "by_sex": {"F": 520, "M": 480}}'),
    "a list of records of groups": (
        "t.json",
        json.dumps([{"group": g, "n": 10} for g in "abc"]).encode(),
    ),
    "NaN as Python writes it": ("t.json", b'{"mean": NaN, "max": Infinity}'),
    "the word as a value": (
        "t.json",
        b'{"key": "patient_id", "variables": ["patient_id", "age"], "n": 5}',
    ),
    "missing values by variable": (
        "t.json",
        b'[{"variable": "patient_id", "missing": 0}, {"variable": "age", "missing": 4}]',
    ),
    "a configuration": ("t.json", b'{"join": {"on": ["patient_id"]}, "cut": [0, 18]}'),
    "a figure of plotly": (
        "t.json",
        json.dumps({"data": [{"x": list(range(9000)), "y": [1] * 9000, "type": "bar"}]}).encode(),
    ),
    "JSON lines": ("t.json", b'{"n": 1}\n{"n": 2}\n'),
    "a notebook's text": (
        "t.json",
        json.dumps({"source": ["df = df.drop(columns='patient_id')\n", "print(1)\n"]}).encode(),
    ),
    "a number": ("t.json", b"12.5\n"),
}

R_MARKDOWN = f"""<!DOCTYPE html>
<html>
<head>
<meta charset="utf-8" />
<meta name="viewport" content="width=device-width, initial-scale=1" />
<title>Report on patient_id linkage</title>
<script src="{data_url("application/javascript", b"/* jQuery */ window.x = 1 < 2;")}"></script>
<script>document.body.className = "a" + "<b>";</script>
<style type="text/css">@font-face {{ src: url({FONT}) }} body {{ background: url("{IMAGE}") }}</style>
<link rel="canonical" href="https://docs.opensafely.org/report" />
</head>
<body class='it&#39;s'>
<p>Code is at <a href="https://github.com/opensafely/study">GitHub</a>, keyed by <code>patient_id</code>.</p>
<pre class="r"><code><span class="fu">df</span> <span class="sc">%&gt;%</span> select(patient_id, age)
cohort &lt;- read_csv(&quot;x.csv&quot;, col_types = cols(patient_id = col_integer()))
</code></pre>
<img src="{IMAGE}" alt="a figure" /><br>
<table><thead><tr><th>group</th><th>n</th></tr></thead><tbody><tr><td>a</td><td>10</td></tr></tbody></table>
<svg xmlns="http://www.w3.org/2000/svg"><use xlink:href="#a"></use><text>1</text></svg>
</body>
</html>
"""

PAGES: Cases = {
    "an R Markdown report with all embedded": ("t.html", R_MARKDOWN.encode()),
    "the same in UTF-16": ("t.html", R_MARKDOWN.encode("utf-16")),
    "a figure in a page": ("t.html", f'<html><body><img src="{IMAGE}"></body></html>'.encode()),
    "a table as pandas writes it": (
        "t.html",
        b'<table border="1" class="dataframe"><thead><tr style="text-align: right;"><th></th><th>n</th></tr></thead><tbody><tr><th>a</th><td>10</td></tr><tr><th>patient_id</th><td>0</td></tr></tbody></table>',
    ),
    "a page of 20,000 lines of markup": (
        "t.html",
        b"<html><body>\n" + b"<p>a paragraph</p>\n" * 20_000 + b"</body></html>",
    ),
    "a dictionary in a page": (
        "t.html",
        b"<table><tr><th>variable</th><th>meaning</th></tr><tr><td>patient_id</td><td>the key</td></tr><tr><td>age</td><td>years</td></tr></table>",
    ),
    "code of several languages": (
        "t.html",
        b"<html><pre>\nsort patient_id\nmerge 1:1 patient_id using x\nkeep if n < 5 & m <= 3\n</pre></html>".replace(
            b"<=", b"&lt;="
        ).replace(b"< 5", b"&lt; 5"),
    ),
    "a page without tags": ("t.html", b"Nothing was found for any patient_id."),
    "an embedded figure in SVG": ("t.html", f"<img src='{SMALL}'>".encode()),
    "a notebook as nbconvert writes it": (
        "t.html",
        b"""<!DOCTYPE html><html><head><meta charset="utf-8"/><title>notebook</title>
<script src="https://cdnjs.cloudflare.com/ajax/libs/require.js/2.1.10/require.min.js"></script>
<script src="https://cdnjs.cloudflare.com/ajax/libs/mathjax/2.7.7/latest.js?config=TeX-AMS_CHTML-full,Safe"></script>
</head><body class="jp-Notebook"><div class="jp-InputArea"><pre><span></span><span class="n">df</span><span class="p">[</span><span class="s2">&quot;patient_id&quot;</span><span class="p">]</span><span class="o">.</span><span class="n">nunique</span><span class="p">()</span>
</pre></div><div class="jp-OutputArea-output"><pre>1000</pre></div>
<div class="jp-RenderedImage"><img alt="No description has been provided for this image" src="IMAGE"></div></body></html>""".replace(
            b"IMAGE", IMAGE.encode()
        ),
    ),
    "what pandoc says to old browsers": (
        "t.html",
        b'<html><!--[if lt IE 9]><script src="//cdnjs.cloudflare.com/x.js"></script><![endif]--><p>a</p></html>',
    ),
    "what Bootstrap draws": (
        "t.html",
        b"""<style>.a{background:url("data:image/svg+xml,%3csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3e%3cpath d='M2 5l6 6'/%3e%3c/svg%3e")}</style>""",
    ),
    "an old page": (
        "t.html",
        b"<html><body bgcolor=white><p align=center>it's <b>5 < 6<p>done</body></html>",
    ),
}

MATPLOTLIB = b"""<?xml version="1.0" encoding="utf-8" standalone="no"?>
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN"
  "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">
<svg xmlns:xlink="http://www.w3.org/1999/xlink" width="460.8pt" height="345.6pt" viewBox="0 0 460.8 345.6" xmlns="http://www.w3.org/2000/svg" version="1.1">
 <metadata><rdf:RDF xmlns:cc="http://creativecommons.org/ns#" xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><cc:Work><dc:type rdf:resource="http://purl.org/dc/dcmitype/StillImage"/></cc:Work></rdf:RDF></metadata>
 <defs><style type="text/css">*{stroke-linejoin: round; stroke-linecap: butt}</style></defs>
 <g id="figure_1"><path d="M 0 345.6 L 460.8 345.6 z" style="fill: #ffffff"/><defs><path id="m1" d="M 0 0 L 0 3.5"/></defs>
 <use xlink:href="#m1" x="10" y="20"/><image xlink:href="IMAGE"/><!-- Text: patient_id --></g>
</svg>
""".replace(b"IMAGE", IMAGE.encode())

GGPLOT = """<?xml version='1.0' encoding='UTF-8' ?>
<svg xmlns='http://www.w3.org/2000/svg' class='svglite' viewBox='0 0 720 576'>
<style type='text/css'><![CDATA[ .svglite line { fill: none; } ]]></style>
<rect width='100%' height='100%' style='stroke: none; fill: #FFFFFF;'/>
<text x='30' y='500'>0</text>
<text x='300' y='560'>patient_id</text>
<text x='10' y='400'>20</text>
<text x='10' y='300'>40</text>
</svg>
"""

FIGURES: Cases = {
    "a figure of matplotlib": ("f.svg", MATPLOTLIB),
    "a figure of ggplot2 with the key on an axis": ("f.svg", GGPLOT.encode()),
    "the same, packed": ("f.svgz", gzip.compress(GGPLOT.encode())),
    "a figure of 30,000 points": (
        "f.svg",
        b"<svg>\n" + b'<circle cx="1" cy="2" r="3"/>\n' * 30_000 + b"</svg>",
    ),
    "a PNG": ("f.png", png()),
    "a PNG of matplotlib": (
        "f.png",
        png(
            (b"tEXt", b"Software\0Matplotlib version3.8.0, https://matplotlib.org/"),
            (b"pHYs", b"\0" * 9),
        ),
    ),
    "a PNG with a colour profile and a date": (
        "f.png",
        png((b"iCCP", b"x\0\0" + zlib.compress(b"p" * 900)), (b"tIME", b"\0" * 7)),
    ),
    "a JPEG": ("f.jpg", jpeg()),
    "a JPEG with a profile and a comment": (
        "f.jpeg",
        jpeg(
            (0xE2, b"ICC_PROFILE\0" + b"x" * 60_000),
            (0xE2, b"ICC_PROFILE\0" + b"x" * 60_000),
            (0xFE, b"CREATOR: R"),
        ),
    ),
}

PYTHON_LOG = b"""2026-11-22T17:30:46.123456789Z Traceback (most recent call last):
2026-11-22T17:30:46.123456790Z   File "/workspace/analysis/model.py", line 12, in <module>
2026-11-22T17:30:46.123456791Z     df = df[["patient_id", "age", "sex"]].merge(other, on="patient_id")
2026-11-22T17:30:46.123456792Z KeyError: 'patient_id'
2026-11-22T17:30:46.123456793Z Index(['patient_id', 'age', 'sex'], dtype='object')
2026-11-22T17:30:46.123456794Z ['patient_id', 'age', 'sex']
2026-11-22T17:30:46.123456795Z (1000, 3)
2026-11-22T17:30:46.123456796Z patient_id      int64
2026-11-22T17:30:46.123456797Z age             int64
2026-11-22T17:30:46.123456798Z dtype: object
"""

R_LOG = """> library(tidyverse)
── Attaching core tidyverse packages ──────────────────────── tidyverse 2.0.0 ──
✔ dplyr     1.1.4     ✔ readr     2.1.5
> cohort <- read_csv("output/input.csv", col_types = cols(
+   patient_id = col_integer(),
+   age = col_integer()
+ ))
> names(cohort)
[1] "patient_id" "age"        "sex"
> dim(cohort)
[1] 1000    3
> cohort %>% group_by(patient_id) %>% summarise(n = n()) %>% nrow()
[1] 1000
Joining with `by = join_by(patient_id)`
> n_distinct(cohort$patient_id)
[1] 1000
> count(cohort, sex)
# A tibble: 2 × 2
  sex       n
  <chr> <int>
1 F       520
2 M       480
"""

STATA_LOG = b""". use "output/cohort.dta", clear

. describe

Contains data from output/cohort.dta
 Observations:         1,000
    Variables:             3
--------------------------------------------------------------------------------
Variable      Storage   Display    Value
    name         type    format    label      Variable label
--------------------------------------------------------------------------------
patient_id      long    %12.0g
age             byte    %8.0g
--------------------------------------------------------------------------------
Sorted by: patient_id

. isid patient_id

. duplicates report patient_id

Duplicates in terms of patient_id

--------------------------------------
   Copies | Observations       Surplus
----------+---------------------------
        1 |         1000             0
--------------------------------------

. merge 1:1 patient_id using "output/other.dta"

    Result                      Number of obs
    -----------------------------------------
    Not matched                             0
    Matched                             1,000  (_merge==3)
    -----------------------------------------

. summarize

    Variable |        Obs        Mean    Std. dev.       Min        Max
-------------+---------------------------------------------------------
  patient_id |      1,000       500.5    288.8194          1       1000
         age |      1,000      47.321    18.21442         18         99

. stset date, failure(died) id(patient_id)

              ID variable: patient_id
            Failure event: died!=0 & died<.
"""

COHORT_LOG = b"""[info] Loading study definition study_definition.py
[info] SELECT * INTO #tmp FROM (SELECT patient_id, MAX(date) AS date FROM events GROUP BY patient_id) t
[info] CREATE CLUSTERED INDEX patient_id_index ON #tmp (patient_id)
[info] 1000 rows in patient_id order
[info] patient_id: 0 missing
[info] age: 12 missing
"""

LOGS: Cases = {
    f"{what} {where}": (name, text)
    for where, name in (("as the job's log", "job.log"), ("as an output", "t.log"))
    for what, text in {
        "a Python log": PYTHON_LOG,
        "an R log": R_LOG.encode(),
        "a Stata log": STATA_LOG,
        "a log of cohortextractor": COHORT_LOG,
        "progress bars": b"\r".join(b" %d%% done" % n for n in range(100))
        + b"\n\x1b[32mok\x1b[0m\n",
        "a log of 20,000 lines": b"iteration 5, loss 0.25, 12\n" * 20_000,
    }.items()
}

ALL: Cases = {
    f"{kind}: {what}": case
    for kind, cases in {
        "table": TABLES,
        "text": TEXTS,
        "JSON": OBJECTS,
        "page": PAGES,
        "figure": FIGURES,
        "log": LOGS,
    }.items()
    for what, case in cases.items()
}
