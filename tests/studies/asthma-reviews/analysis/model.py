"""Logistic regression of a course of oral steroids on having had a review, by Newton's method.

Crude: the review alone. Adjusted: with age, sex, deprivation, smoking and inhaler use.
"""

import math

import study

TERMS = {
    "Asthma review in the last year": lambda row: float(row["review"]),
    "Age, for ten years": lambda row: (int(row["age"]) - 50) / 10,
    "Female": lambda row: float(row["sex"] == "F"),
    "Deprivation, one quintile less": lambda row: float(row["imd_quintile"]) - 3,
    "Current smoker": lambda row: float(row["smoking"] == "current"),
    "Former smoker": lambda row: float(row["smoking"] == "former"),
    "Six or more reliever inhalers": lambda row: float(int(row["inhalers"]) >= 6),
}
MAX_STEPS = 25
CONVERGED = 1e-8

Matrix = list[list[float]]


def fit(design: Matrix, outcome: list[int]) -> tuple[list[float], list[float]]:
    """Coefficients and their standard errors; design has a leading column of ones."""
    beta = [0.0] * len(design[0])
    for _ in range(MAX_STEPS):
        score, information = derivatives(design, outcome, beta)
        covariance = inverse(information)
        step = [sum(c * s for c, s in zip(row, score, strict=True)) for row in covariance]
        beta = [b + s for b, s in zip(beta, step, strict=True)]
        if max(map(abs, step)) < CONVERGED:
            return beta, [math.sqrt(covariance[i][i]) for i in range(len(beta))]
    raise SystemExit("the model did not converge")


def derivatives(
    design: Matrix, outcome: list[int], beta: list[float]
) -> tuple[list[float], Matrix]:
    """First derivative of the log likelihood, and minus the second, at beta."""
    size = len(beta)
    score = [0.0] * size
    information = [[0.0] * size for _ in beta]
    for x, y in zip(design, outcome, strict=True):
        p = 1 / (1 + math.exp(-sum(b * v for b, v in zip(beta, x, strict=True))))
        weight = p * (1 - p)
        for i, value in enumerate(x):
            score[i] += (y - p) * value
            for j in range(i + 1):
                information[i][j] += weight * value * x[j]
    for i in range(size):
        for j in range(i):
            information[j][i] = information[i][j]
    return score, information


def inverse(matrix: Matrix) -> Matrix:
    """Gauss-Jordan with row exchanges."""
    size = len(matrix)
    rows = [row + [float(i == j) for j in range(size)] for i, row in enumerate(matrix)]
    for i in range(size):
        pivot = max(range(i, size), key=lambda r: abs(rows[r][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for r in range(size):
            if r != i:
                factor = rows[r][i]
                rows[r] = [a - factor * b for a, b in zip(rows[r], rows[i], strict=True)]
    return [row[size:] for row in rows]


def odds_ratios(model: str, terms: list[str], rows: list[study.Row]) -> list[dict[str, str]]:
    design = [[1.0, *(TERMS[term](row) for term in terms)] for row in rows]
    beta, error = fit(design, [int(row["steroid_course"]) for row in rows])
    return [
        {
            "model": model,
            "term": term,
            "odds_ratio": f"{math.exp(b):.3f}",
            "lower": f"{math.exp(b - 1.96 * e):.3f}",
            "upper": f"{math.exp(b + 1.96 * e):.3f}",
        }
        for term, b, e in zip(terms, beta[1:], error[1:], strict=True)
    ]


def main() -> None:
    patients = study.read("patients.csv")
    terms = list(TERMS)
    estimates = odds_ratios("crude", terms[:1], patients) + odds_ratios("adjusted", terms, patients)
    study.write("odds_ratios.csv", estimates)
    print(f"{len(estimates)} odds ratios estimated")


if __name__ == "__main__":
    main()
