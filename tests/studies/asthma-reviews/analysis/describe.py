"""Table 1: who had a review and who a course of steroids. Counts are rounded."""

import study

CHARACTERISTICS = {
    "age_band": "Age",
    "sex": "Sex",
    "imd_quintile": "Deprivation quintile (1 = most)",
    "smoking": "Smoking",
}


def described(characteristic: str, group: str, rows: list[study.Row]) -> dict[str, object]:
    people = study.rounded(len(rows))
    row = {"characteristic": characteristic, "group": group, "people": people}
    for column in ("review", "steroid_course"):
        count = study.rounded(sum(each[column] == "1" for each in rows))
        row[column] = count
        # made from the rounded counts, so that they cannot be undone
        row[f"{column}_percent"] = f"{100 * count / people:.1f}"
    return row


def main() -> None:
    patients = study.read("patients.csv")
    table = [described("All", "All", patients)]
    for column, title in CHARACTERISTICS.items():
        groups = sorted({row[column] for row in patients})
        table += [
            described(title, group, [row for row in patients if row[column] == group])
            for group in groups
        ]
    study.write("characteristics.csv", table)
    print(f"{len(table)} groups described")


if __name__ == "__main__":
    main()
