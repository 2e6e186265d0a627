"""Real jobs that write a canary wherever they can; what leaves the site knows nothing of it."""

import json

import pytest

from tests.system.conftest import NewSite

CANARY = "kanarie"
WRITE = f"""\
import os, sys
out = sys.argv[2]
os.makedirs(f"{{out}}/{CANARY}")
for name in ("a", "{CANARY}", "{CANARY}\\n{CANARY}", "x{CANARY}" * 20):
    open(f"{{out}}/{{name}}.csv", "w").write("patient_id,{CANARY}\\n1,2\\n")
os.symlink("/etc/{CANARY}", f"{{out}}/{CANARY}-link.csv")
os.mkfifo(f"{{out}}/{CANARY}-pipe.csv")
open("{CANARY}.txt", "w").write("{CANARY}")
print("{CANARY}")
if sys.argv[1] == "raise":
    raise ValueError("{CANARY}")
sys.exit(int(sys.argv[1]))
"""


def project() -> str:
    """Each action writes into a folder of its own, all of which its one pattern claims."""
    ends = {"fine": "0", "fails": "7", "raises": "raise", "unmatched": "0", "needs": "0"}
    actions = {
        name: {
            "run": f"python:v2 python write.py {end} {name}",
            "outputs": {"moderately_sensitive": {"o": f"{name}/*.csv"}},
        }
        for name, end in ends.items()
    }
    actions["needs"]["needs"] = ["fails"]
    actions["unmatched"]["outputs"] |= {"highly_sensitive": {"n": "never/*.csv"}}
    actions["killed"] = {
        "run": 'python:v2 sh -c "python write.py 0 killed; kill -9 $$"',
        "outputs": {"moderately_sensitive": {"o": "killed/*.csv"}},
    }
    return json.dumps({"version": "4.0", "actions": actions})


@pytest.mark.attack("a path of the host shows in a report")
def test_no_report_holds_what_a_job_wrote_or_a_path_of_the_host(new_site: NewSite) -> None:
    site = new_site(REPORTS="export")
    study = site.study({"project.yaml": project(), "write.py": WRITE})
    for action in ("fine", "fails", "raises", "unmatched", "needs", "killed", "nosuchaction"):
        asked = site.request(study, action, identifier=action, workspace={"name": action})
        site.drop(asked, f"{action}.json")
    site.drain()
    reports = {path.name: path.read_text() for path in site.spool.glob("outbox/[!.]*.json")}
    assert len(reports) >= 7
    for name, text in reports.items():
        assert CANARY not in text, name
        assert str(site.folder) not in text, name
        assert "/tmp" not in text, name
        assert "Traceback" not in text, name
    assert site.statuses("fine") == {"fine": "succeeded"}
    assert site.statuses("unmatched") == {"unmatched": "unmatched_patterns"}
    # ... while whoever may read the private log finds all of it by the reference that was told
    assert CANARY in site.do("logs", site.jobs("raises")["raises"]["reference"])
