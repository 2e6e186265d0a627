"""Make up a cohort of adults with asthma, as a database would return it: one row per patient.

On a real backend this action would be an ehrQL dataset definition. The associations written in
`steroids` are what the model should find again.
"""

import math
import random

import study

PATIENTS = 12_000
SEED = 20261122


def patient(number: int, chance: random.Random) -> dict[str, object]:
    age = min(max(round(chance.gauss(49, 18)), 12), 99)
    sex = chance.choices(["F", "M"], [58, 42])[0]
    deprivation = chance.randint(1, 5)
    smoking = smoking_status(deprivation, chance)
    inhalers = min(round(chance.expovariate(1 / 5)), 24)
    reviewed = chance.random() < expit(0.2 + 0.012 * (age - 50) + 0.08 * (deprivation - 3))
    risk = steroids(age, sex, deprivation, smoking, inhalers, reviewed)
    return {
        "patient_id": number,
        "age": age,
        "sex": sex,
        "imd_quintile": deprivation if chance.random() > 0.02 else "",
        "smoking": smoking if chance.random() > 0.04 else "",
        "inhalers": inhalers,
        "registered_months": round(chance.expovariate(1 / 90)),
        "copd": int(chance.random() < 0.06 * (age > 40)),
        "review": int(reviewed),
        "steroid_course": int(chance.random() < risk),
    }


def smoking_status(deprivation: int, chance: random.Random) -> str:
    current = 0.26 - 0.03 * deprivation
    return chance.choices(["never", "former", "current"], [0.5, 0.5 - current, current])[0]


def steroids(
    age: int, sex: str, deprivation: int, smoking: str, inhalers: int, reviewed: bool
) -> float:
    """The chance of a course of oral steroids in the year after; odds ratios as comments."""
    return expit(
        -1.75
        + 0.08 * (age - 50) / 10  # 1.08 for ten years
        + 0.26 * (sex == "F")  # 1.30
        - 0.09 * (deprivation - 3)  # 0.91 for each quintile less deprived
        + 0.41 * (smoking == "current")  # 1.51
        + 0.14 * (smoking == "former")  # 1.15
        + 0.34 * (inhalers >= 6)  # 1.40
        - 0.29 * reviewed  # 0.75
    )


def expit(value: float) -> float:
    return 1 / (1 + math.exp(-value))


if __name__ == "__main__":
    chance = random.Random(SEED)
    study.write("cohort.csv", (patient(number, chance) for number in range(1, PATIENTS + 1)))
    print(f"{PATIENTS} patients written")
