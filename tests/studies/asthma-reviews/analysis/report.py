"""The report: one HTML page with the answer, the flow of numbers, the table and the figure."""

from html import escape

import study

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 16px/1.5 sans-serif; max-width: 54rem; margin: 2rem auto; color: #222 }}
table {{ border-collapse: collapse; margin: 1rem 0 }}
th, td {{ padding: .2rem .8rem; border-bottom: 1px solid #ddd; text-align: left }}
td.number {{ text-align: right; font-variant-numeric: tabular-nums }}
svg {{ width: 100% }} .note {{ color: #666; font-size: .9rem }}
</style>
<h1>{title}</h1>
<p><strong>{answer}</strong></p>
<h2>Who was studied</h2>{flow}
<h2>Characteristics</h2>{table}
<h2>Odds ratios</h2>{figure}
<p class="note">The patients are made up. Numbers of people are rounded to the midpoint of sixes,
percentages are made from rounded numbers.</p>
</html>
"""
HEADINGS = {
    "step": "After each step",
    "people": "People",
    "characteristic": "",
    "group": "Group",
    "review": "Reviewed",
    "review_percent": "%",
    "steroid_course": "Steroids",
    "steroid_course_percent": "%",
}


def as_table(rows: list[dict[str, str]]) -> str:
    head = "".join(f"<th>{HEADINGS[name]}</th>" for name in rows[0])
    body = "".join(f"<tr>{''.join(map(cell, row.values()))}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def cell(value: str) -> str:
    number = value.replace(".", "", 1).isdigit()
    shown = f"{int(value):,}" if value.isdigit() and len(value) > 3 else escape(value)
    return f"<td class='number'>{shown}</td>" if number else f"<td>{shown}</td>"


def answer(estimates: list[dict[str, str]]) -> str:
    review = next(each for each in estimates if each["model"] == "adjusted")
    lower, upper = float(review["lower"]), float(review["upper"])
    found = "lower" if upper < 1 else "higher" if lower > 1 else "not clearly different"
    return (
        f"The odds of a course of oral steroids were {found} in people who had had a review: "
        f"adjusted odds ratio {float(review['odds_ratio']):.2f} "
        f"(95% confidence interval {lower:.2f} to {upper:.2f})."
    )


def main() -> None:
    page = PAGE.format(
        title="Annual asthma reviews and courses of oral steroids",
        answer=answer(study.read("odds_ratios.csv")),
        flow=as_table(study.read("flow.csv")),
        table=as_table(study.read("characteristics.csv")),
        figure=(study.OUTPUT / "odds_ratios.svg").read_text(),
    )
    (study.OUTPUT / "report.html").write_text(page, encoding="utf-8")
    print("the report is written")


if __name__ == "__main__":
    main()
