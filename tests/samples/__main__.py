"""Write the samples of the current format, from a run that is killed half-way through a job.

python -m tests.samples
"""

import json
import re
import tempfile
from pathlib import Path

from tests.samples.kinds import KINDS, folder
from tests.site import Site
from tests.system.test_crash_points import QUICK, die_at


def main() -> None:
    with tempfile.TemporaryDirectory() as top:
        Path(top).chmod(0o755)
        site = Site(Path(top) / "site", REPORTS="export")
        study = site.study({"project.yaml": QUICK})
        site.drop(site.request(study, "first", identifier="finished"))
        site.drain()
        asked = site.request(study, "first", "second", identifier="active")
        site.drop(asked)
        die_at(site, "workspace.ledger:Ledger.settle")
        site.do("local-run", "first", "--project-dir", str(study))
        reason = {"message": "It would not.", "answer": "no", "refused_at": "2026-11-22T00:00:00Z"}
        refused = site.spool / "outbox/refused/active.error.json"
        refused.write_text(json.dumps({"format": 1, "error": "report_refused", **reason}))
        for name, kind in KINDS.items():
            path = next(iter(sorted(site.spool.glob(kind.where))))
            text = path.read_text().replace(top, "/srv")
            if path.suffix == ".jsonl":
                text = text.splitlines(keepends=True)[-1]
            target = folder(kind) / f"{name}.json"
            target.parent.mkdir(exist_ok=True)
            target.write_text(re.sub(r"file:///srv", "/srv", text))


main()
