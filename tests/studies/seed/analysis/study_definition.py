from cohortextractor import StudyDefinition, patients

study = StudyDefinition(
    index_date="2020-03-01",
    default_expectations={
        "date": {"earliest": "2019-01-01", "latest": "2020-03-01"},
        "rate": "uniform",
        "incidence": 0.5,
    },
    population=patients.registered_as_of("index_date"),
    age=patients.age_as_of(
        "index_date",
        return_expectations={"int": {"distribution": "population_ages"}},
    ),
    sex=patients.sex(
        return_expectations={"category": {"ratios": {"F": 0.5, "M": 0.5}}},
    ),
)
