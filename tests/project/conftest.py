import pytest


@pytest.fixture
def seed_example() -> bytes:
    """What job-runner's README shows as valid, in our own layout."""
    return b"""\
version: "3.0"
expectations:
  population_size: 1000
actions:
  generate_study_population:
    run: cohortextractor:latest generate_cohort --study-definition study_definition
    outputs: {highly_sensitive: {cohort: output/input.csv}}
  run_model:
    run: stata-mp:latest analysis/model.do
    needs: [generate_study_population]
    outputs:
      moderately_sensitive: {model: models/cox-model.txt, figure: figures/survival-plot.png}
"""
