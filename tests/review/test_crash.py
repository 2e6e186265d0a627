"""review: crash points"""
import json, os, signal, subprocess, sys, time
import pytest
from tests.site import Site, WITHIN_S

CHAIN = """\
version: "4.0"
actions:
  first:
    run: python:v2 sh -c "echo x > a.csv"
    outputs:
      highly_sensitive: {a: a.csv}
  second:
    run: python:v2 sh -c "cat a.csv > b.csv"
    needs: [first]
    outputs:
      moderately_sensitive: {b: b.csv}
"""
ENDLESS = """\
version: "4.0"
actions:
  endless:
    run: python:v2 sh -c "sleep 1000; echo > a.csv"
    outputs:
      highly_sensitive: {o: a.csv}
  after:
    run: python:v2 sh -c "cp a.csv b.csv"
    needs: [endless]
    outputs:
      highly_sensitive: {o: b.csv}
"""
def die(site, where):
    done = subprocess.run([sys.executable, "-m", "tests.system.dying", where, "run", "--drain"], env=site.environment(), cwd=site.folder, timeout=60, capture_output=True, text=True)
    assert done.returncode == -9, (done.returncode, done.stderr)

def drain(site, timeout=30):
    done = subprocess.run([sys.executable, "-m", "spoolrunner", "run", "--drain"], env=site.environment(), cwd=site.folder, timeout=timeout, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]

def started(site, i="r1"):
    p = site.spool/"running"/f"{i}.json"
    return p.exists() and any(j["phase"]=="started" for j in site.active(i)["jobs"])

def edit(site, i, change):
    p = site.spool/"running"/f"{i}.json"
    data = json.loads(p.read_bytes()); change(data); p.write_text(json.dumps(data))

@pytest.mark.parametrize("where", [
  "spoolrunner.runner.results:Results.finish",
  "spoolrunner.runner.results:Results.clear",
  "spoolrunner.runner.results:Results.publish",
  "spoolrunner.runner.results:Results.collect",
  "spoolrunner.runner.results:Results.lay_out",
  "spoolrunner.runner.results:Results.launch",
  "spoolrunner.runner.diary:Diary.started",
  "spoolrunner.runner.diary:Diary.ended",
  "spoolrunner.workspace.ledger:Ledger.settle",
  "spoolrunner.workspace.publishing:place",
  "spoolrunner.spool.requests:_ended",
  "spoolrunner.spool.requests:Requests.finish",
  "spoolrunner.spool.requests:recent",
  "spoolrunner.spool.claims:drop_all",
  "spoolrunner.runner.planner:Planner.plan_all",
  "spoolrunner.runner.planner:Planner._make_jobs",
])
def test_killed_at(site, where):
    study = site.study({"project.yaml": CHAIN})
    site.drop(site.request(study, "run_all", identifier="r1"))
    die(site, where)
    drain(site)
    assert set(site.statuses("r1").values()) == {"succeeded"}
    assert list((site.high/"publishing").glob("*/*.json")) == []
    assert [j["attempt"] for j in site.jobs("r1").values()] == [1, 1]

def test_stray_file_in_process_folder(site):
    study = site.study({"project.yaml": CHAIN.replace("echo x", "sleep 2; echo x")})
    site.drop(site.request(study, "first", identifier="r1"))
    site.start()
    site.until(lambda: started(site))
    for folder in (site.spool/"processes").iterdir(): (folder/"stray").write_text("")
    site.finished("r1", within_s=30)
    assert site.statuses("r1") == {"first": "succeeded"}

def test_storage_away(site):
    site.start()
    site.until(lambda: "alive" in site.do("status"))
    study = site.study({"project.yaml": CHAIN})
    os.rename(site.high, site.folder/"away")
    site.drop(site.request(study, "first", identifier="r1"))
    time.sleep(1)
    os.rename(site.folder/"away", site.high)
    site.finished("r1", within_s=20)
    assert site.statuses("r1") == {"first": "succeeded"}

def test_torn_index(site):
    study = site.study({"project.yaml": CHAIN})
    site.drop(site.request(study, "first", identifier="r0")); drain(site)
    site.drop(site.request(study, "second", identifier="r1"))
    die(site, "spoolrunner.runner.planner:Planner._make_jobs")
    (site.spool/"workspaces/ws.json").write_text("{torn")
    drain(site)
    job = site.jobs("r1")["__error__"]
    assert str(site.spool) not in json.dumps(site.done("r1")["jobs"])

def switches(runner):
    text = open(f"/proc/{runner.pid}/status").read()
    return int(text.split("voluntary_ctxt_switches:")[1].split()[0])

def test_spin(site):
    study = site.study({"project.yaml": CHAIN.replace("python:v2 sh", "stata-mp:latest sh")})
    site.drop(site.request(study, "first", identifier="r1"))
    runner = site.start()
    site.until(lambda: "waiting_on_image" in site.do("status", "--json"))
    site.do("cancel", "r1")
    site.finished("r1")
    time.sleep(11)
    before = switches(runner); time.sleep(3); n = switches(runner) - before
    assert n < 20, n

def test_dependency_failed_in_index(site):
    study = site.study({"project.yaml": CHAIN})
    site.drop(site.request(study, "run_all", identifier="r0")); drain(site)
    study = site.study({"project.yaml": CHAIN.replace("echo x > a.csv", "exit 3")})
    site.drop(site.request(study, "first", "second", identifier="r1")); drain(site)
    assert site.statuses("r1")["second"] == "dependency_failed"
    index = json.loads((site.spool/"workspaces/ws.json").read_bytes())
    assert index["actions"]["second"]["newest"]["request"] == "r1"

def test_dependency_failed_in_index_after_kill(site):
    study = site.study({"project.yaml": CHAIN})
    site.drop(site.request(study, "run_all", identifier="r0")); drain(site)
    study = site.study({"project.yaml": CHAIN.replace("echo x > a.csv", "exit 3")})
    site.drop(site.request(study, "first", "second", identifier="r1"))
    die(site, "spoolrunner.workspace:Workspace.note")
    drain(site)
    assert site.statuses("r1")["second"] == "dependency_failed"
    index = json.loads((site.spool/"workspaces/ws.json").read_bytes())
    assert index["actions"]["second"]["newest"]["request"] == "r1"

def test_exact_id(site):
    study = site.study({"project.yaml": CHAIN})
    (site.spool/"control/paused").write_text("")
    site.drop(site.request(study, "first", identifier="r1"), "a.json")
    site.drop(site.request(study, "first", identifier="r10", workspace={"name": "other"}), "b.json")
    drain(site)
    site.do("cancel", "r1")
    site.do("show", "r1")

@pytest.mark.parametrize("words", [("status",), ("show", "r1"), ("cancel", "r1"), ("submit", "/x", "a", "--wait"), ("show", "../x"), ("show", ""), ("show", "x"*300), ("logs", "r1"), ("workspace", "list"), ("run", "--drain"), ("status", "--json")])
def test_another_user(site, words):
    study = site.study({"project.yaml": CHAIN})
    site.drop(site.request(study, "first", identifier="r1")); 
    (site.spool/"control/paused").write_text("")
    drain(site)
    done = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", sys.executable, "-m", "spoolrunner", *words], env=site.environment(), cwd="/", capture_output=True, text=True, timeout=60)
    print(words, done.returncode, done.stderr[-500:], done.stdout)
    assert "Traceback" not in done.stderr
    assert done.returncode in (3, 4)

@pytest.mark.parametrize("words", [("show", "../x"), ("show", ""), ("show", "x"*300)])
def test_odd_ids(site, words):
    done = site.try_to(*words)
    assert done.returncode == 3, done.stderr[-300:]

def test_paused_restart(site):
    study = site.study({"project.yaml": ENDLESS})
    site.drop(site.request(study, "endless", identifier="r1"))
    site.start(); site.until(lambda: started(site)); site.close()
    (site.spool/"control/paused").write_text("")
    site.start(); site.until(lambda: "alive" in site.do("status")); time.sleep(1)
    assert site.active("r1")["jobs"][0]["status_code"] == "executing"
    (site.spool/"control/paused").unlink()
    site.settings["STOP_GRACE"]="1s"
    site.do("cancel", "r1"); site.finished("r1", 30)

def test_mkdir_control(site):
    runner = site.start(); site.until(lambda: "alive" in site.do("status"))
    (site.spool/"control/cancel/x").mkdir()
    time.sleep(1)
    assert runner.poll() is None

def test_changed_by_hand(site):
    site.settings["STOP_GRACE"]="1s"
    study = site.study({"project.yaml": ENDLESS})
    site.drop(site.request(study, "endless", identifier="r1"))
    runner = site.start(); site.until(lambda: started(site))
    edit(site, "r1", lambda d: d.update(message="mine"))
    (site.spool/"control/cancel/r1").write_text("")
    site.until(lambda: not (site.spool/"running/r1.json").exists(), 15)
    assert list((site.spool/"rejected").glob("*r1*"))

def test_removed_while_clearing(site):
    study = site.study({"project.yaml": CHAIN.replace("echo x", "sleep 2; echo x")})
    site.drop(site.request(study, "first", identifier="r1"))
    runner = site.start(); site.until(lambda: started(site))
    for folder in (site.spool/"processes").iterdir(): (folder/"stray").write_text("")
    site.until(lambda: site.active("r1")["jobs"][0]["phase"] == "ended")
    (site.spool/"running/r1.json").unlink()
    for folder in (site.spool/"processes").iterdir(): (folder/"stray").unlink()
    time.sleep(8)
    assert runner.poll() is None

def test_kill_before_replan(site):
    study = site.study({"project.yaml": ENDLESS.replace("sleep 1000", "sleep 4")})
    site.settings |= {"STOP_GRACE": "1s"}
    site.drop(site.request(study, "endless", identifier="r1"), "r1.json")
    runner = site.start(); site.until(lambda: started(site))
    site.drop(site.request(study, "after", identifier="r2"), "r2.json")
    site.until(lambda: (site.spool / "running/r2.json").exists() and site.active("r2")["jobs"])
    runner.kill(); runner.wait()
    site.do("cancel", "r1")
    die(site, "spoolrunner.runner.replanner:Replanner._read")
    drain(site)
    assert site.statuses("r1") == {"endless": "cancelled_by_user"}
    assert site.statuses("r2") == {"endless": "succeeded", "after": "succeeded"}

def test_timeout_kill(site):
    site.settings |= {"JOB_TIMEOUT": "1s", "STOP_GRACE": "1s"}
    study = site.study({"project.yaml": ENDLESS})
    site.drop(site.request(study, "endless", identifier="r1"))
    die(site, "spoolrunner.runner.results:Results.collect")
    drain(site)
    assert site.statuses("r1") == {"endless": "timed_out"}

def test_reboot_not_counted(site):
    site.settings["MAX_ATTEMPTS"] = "1"
    study = site.study({"project.yaml": CHAIN.replace("echo x", "sleep 2; echo x")})
    site.drop(site.request(study, "first", identifier="r1"))
    runner = site.start(); site.until(lambda: started(site)); runner.kill(); runner.wait()
    edit(site, "r1", lambda d: d["jobs"][0].update(boot_id="another"))
    for folder in (site.spool/"processes").iterdir():
        pid = json.loads((folder/"started").read_bytes())["pid"]
        os.kill(pid, 9)
    time.sleep(1)
    drain(site)
    assert site.statuses("r1") == {"first": "succeeded"}

def test_cancel_action_before_plan(site):
    study = site.study({"project.yaml": ENDLESS.replace("sleep 1000", "sleep 4")})
    site.drop(site.request(study, "endless", identifier="r1"))
    die(site, "spoolrunner.runner.reading:Reader.read")
    site.do("cancel", "r1", "endless")
    drain(site)
    assert site.statuses("r1") == {"endless": "cancelled_by_user"}

def test_unknown_executor(site):
    study = site.study({"project.yaml": CHAIN.replace("echo x", "sleep 2; echo x")})
    site.drop(site.request(study, "first", identifier="r1"))
    runner = site.start(); site.until(lambda: started(site)); runner.kill(); runner.wait()
    edit(site, "r1", lambda d: d["jobs"][0].update(executor="gone"))
    drain(site)
    assert site.statuses("r1") == {"first": "internal_error"}

def test_blocked_drain(site):
    study = site.study({"project.yaml": CHAIN.replace("python:v2 sh -c \"cat", "stata-mp:latest sh -c \"cat")})
    site.drop(site.request(study, "first", identifier="r0")); drain(site)
    site.drop(site.request(study, "second", identifier="r1"), "a.json"); drain(site)
    site.drop(site.request(study, "first", identifier="r2"), "b.json"); drain(site)

def test_full_disk(folder):
    spool = folder/"site"/"spool"; spool.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=755", "tmpfs", str(spool)], check=True)
    try:
        out = folder/"out"; out.mkdir(); out.chmod(0o755)
        class S(Site):
            def do(self, *w): return super().do(*w, *(["--volatile"] if w == ("init",) else []))
        class S(S):
            def drop(self, c, name="request.json"):
                (self.spool/"inbox"/(name+".part")).write_text(json.dumps(c)); return (self.spool/"inbox"/(name+".part")).rename(self.spool/"inbox"/name)
        site = S(folder/"site", MIN_FREE_DISK="0", HIGH_PRIVACY_STORAGE_BASE=str(out/"h"), MEDIUM_PRIVACY_STORAGE_BASE=str(out/"m"))
        study = site.study({"project.yaml": CHAIN.replace("echo x", "sleep 2; echo x")})
        site.drop(site.request(study, "run_all", identifier="r1"))
        runner = site.start(); site.until(lambda: started(site))
        with pytest.raises(OSError), (spool/"fill").open("wb", buffering=0) as f:
            while True: f.write(b"x"*4096)
        time.sleep(4)
        assert runner.poll() is None
        (spool/"fill").unlink()
        site.finished("r1", 40)
        assert set(site.statuses("r1").values()) == {"succeeded"}
        site.close()
    finally:
        subprocess.run(["umount", "-l", str(spool)])

def test_grown_cancel_survives_kill(site):
    study = site.study({"project.yaml": ENDLESS.replace("sleep 1000", "sleep 6")})
    site.settings |= {"STOP_GRACE": "1s"}
    asked = site.request(study, "endless", identifier="r1")
    site.drop(asked)
    runner = site.start(); site.until(lambda: started(site)); runner.kill(); runner.wait()
    site.drop({**asked, "cancelled_actions": ["endless"]})
    die(site, "spoolrunner.runner.mover:Mover._carry_out_orders")
    drain(site)
    assert site.statuses("r1") == {"endless": "cancelled_by_user"}

def test_sigterm_storm(site):
    for n in range(15):
        runner = site.start(); site.until(lambda: "alive" in site.do("status"))
        for i in range(200): (site.spool/"control/wake").write_text(str(i))
        runner.send_signal(signal.SIGTERM)
        assert runner.wait(10) == 0
