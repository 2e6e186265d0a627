"""A forest plot of the odds ratios, written as SVG by hand: it needs no drawing library."""

import math
from html import escape

import study

WIDTH, ROW, LEFT, RIGHT, TOP = 820, 34, 270, 650, 50
TICKS = (0.6, 0.8, 1.0, 1.25, 1.6, 2.0)
LOW, HIGH = math.log(0.55), math.log(2.1)


def x(odds_ratio: float) -> float:
    return LEFT + (RIGHT - LEFT) * (math.log(odds_ratio) - LOW) / (HIGH - LOW)


def row(number: int, estimate: study.Row) -> str:
    middle = TOP + ROW * number + ROW / 2
    value, lower, upper = (float(estimate[each]) for each in ("odds_ratio", "lower", "upper"))
    colour = "#9a9a9a" if estimate["model"] == "crude" else "#1f5a8c"
    return (
        f'<text x="10" y="{middle + 4}">{escape(estimate["term"])} ({estimate["model"]})</text>'
        f'<line x1="{x(lower):.1f}" x2="{x(upper):.1f}" y1="{middle}" y2="{middle}" '
        f'stroke="{colour}" stroke-width="2"/>'
        f'<rect x="{x(value) - 5:.1f}" y="{middle - 5}" width="10" height="10" fill="{colour}"/>'
        f'<text x="{RIGHT + 15}" y="{middle + 4}">{value:.2f} ({lower:.2f} to {upper:.2f})</text>'
    )


def axis(bottom: float) -> str:
    ticks = "".join(
        f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{TOP}" y2="{bottom}" stroke="#e4e4e4"/>'
        f'<text x="{x(tick):.1f}" y="{bottom + 20}" text-anchor="middle">{tick:g}</text>'
        for tick in TICKS
    )
    one = f'<line x1="{x(1):.1f}" x2="{x(1):.1f}" y1="{TOP}" y2="{bottom}" stroke="#444"/>'
    return ticks + one


def main() -> None:
    estimates = study.read("odds_ratios.csv")
    bottom = TOP + ROW * len(estimates)
    body = axis(bottom) + "".join(row(n, each) for n, each in enumerate(estimates))
    title = "Odds ratio (95% confidence interval) of a course of oral steroids"
    (study.OUTPUT / "odds_ratios.svg").write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 35}" '
        f'font-family="sans-serif" font-size="13" role="img" aria-label="{title}">'
        f'<rect width="100%" height="100%" fill="white"/>'
        f'<text x="10" y="26" font-size="15" font-weight="bold">{title}</text>{body}</svg>\n'
    )
    print("the figure is drawn")


if __name__ == "__main__":
    main()
