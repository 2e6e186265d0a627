"""Apply the exclusions one after the other, and keep how many people each of them leaves."""

import study

EXCLUSIONS = {
    "Registered for 12 months or more": lambda row: int(row["registered_months"]) >= 12,
    "Aged 18 to 95": lambda row: 18 <= int(row["age"]) <= 95,
    "No record of COPD": lambda row: row["copd"] == "0",
    "Deprivation and smoking known": lambda row: row["imd_quintile"] and row["smoking"],
}
BANDS = ((18, "18-34"), (35, "35-49"), (50, "50-64"), (65, "65-79"), (80, "80-95"))


def age_band(age: int) -> str:
    return [name for start, name in BANDS if age >= start][-1]


def main() -> None:
    rows = study.read("cohort.csv")
    flow = [{"step": "Adults and children with asthma", "people": study.rounded(len(rows))}]
    for step, keeps in EXCLUSIONS.items():
        rows = [row for row in rows if keeps(row)]
        flow.append({"step": step, "people": study.rounded(len(rows))})
    for row in rows:
        row["age_band"] = age_band(int(row["age"]))
    study.write("patients.csv", rows)
    study.write("flow.csv", flow)
    print(f"{len(EXCLUSIONS)} exclusions applied")


if __name__ == "__main__":
    main()
