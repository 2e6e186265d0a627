"""How long a plan and a choice take: `python -m tests.plan.timing`.

2,500 actions is the largest study there is; above 0.3 s for its plan it ends with 1.
"""

import sys
from collections.abc import Callable
from time import process_time

from spoolrunner.plan import Candidate, Known, Load, State, choose
from spoolrunner.request import RUN_ALL
from tests.plan.studies import ELSEWHERE, OTHERS, a_plan

MOST_S = 0.3


def a_study(actions: int) -> dict[str, list[str]]:
    """Layers of 50, each action needs ten of the layer before; the last needs 700 actions."""
    names = [f"action_{number}" for number in range(actions)]
    needs = {
        name: [names[place // 50 * 50 - 50 + (place + n) % 50] for n in range(10)]
        if place >= 50
        else []
        for place, name in enumerate(names)
    }
    needs[names[-1]] = names[-701:-1]
    return needs


def a_chain(actions: int) -> dict[str, list[str]]:
    return {f"a{n}": [f"a{n - 1}"] if n else [] for n in range(actions)}


def seconds(what: Callable[[], object]) -> float:
    """Of processor time, the best of three."""
    best = float("inf")
    for _ in range(3):
        begun = process_time()
        what()
        best = min(best, process_time() - begun)
    return best


def rows(actions: int) -> dict[str, Callable[[], object]]:
    study, chain = a_study(actions), a_chain(actions)
    known = {name: Known(State.SUCCEEDED, OTHERS, "job", ELSEWHERE) for name in study}
    waiting = [Candidate(f"j{n}", f"w{n % 7}", n, n % 3 == 0, 1 + n % 4) for n in range(actions)]
    plenty = 10**6
    return {
        "run_all, nothing known": lambda: a_plan(study, RUN_ALL),
        "run_all, all to be reused": lambda: a_plan(study, RUN_ALL, known=known),
        "run_all with force": lambda: a_plan(study, RUN_ALL, known=known, force=True),
        "the end of a chain": lambda: a_plan(chain, f"a{actions - 1}"),
        "choice, all full": lambda: choose(waiting, Load(8), max_workers=8, max_db_workers=4),
        "choice, all start": lambda: choose(
            waiting, Load(), max_workers=plenty, max_db_workers=plenty
        ),
    }


def main() -> int:
    slowest_s = 0.0
    for actions in (250, 2500):
        for name, what in rows(actions).items():
            took_s = seconds(what)
            slowest_s = max(slowest_s, took_s)
            print(f"{actions:5} {name:28} {took_s * 1000:8.1f} ms")
    print(f"at most {slowest_s * 1000:.1f} ms; the goal is {MOST_S * 1000:g} ms")
    return int(slowest_s > MOST_S)


if __name__ == "__main__":
    sys.exit(main())
