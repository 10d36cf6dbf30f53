"""The network to a worker is cut in the middle of a job: that job fails, and nothing else. Two network namespaces are the
two machines; where they cannot be made there is nothing to try."""

import os
import subprocess
import sys
import time

from engine_faults_test import STAR, Watch, outcome, submit
from support import Server, run_all, until

HERE, THERE = f"vt-net-here-{os.getpid()}", f"vt-net-there-{os.getpid()}"
ADDRESS = "10.211.9.2:50052"
INSIDE = "VEETANCE_TEST_THERE" # the other machine's name, once the test runs in its own


def two_machines():
    """What makes them; the links are named after the process, too, since they begin in the same place."""
    a, b = f"vna{os.getpid()}", f"vnb{os.getpid()}"
    yield from (f"netns add {HERE}", f"netns add {THERE}",
                f"link add {a} netns {HERE} type veth peer name {b} netns {THERE}",
                f"-n {HERE} link set {a} name vt0", f"-n {THERE} link set {b} name vt0",
                f"-n {HERE} addr add 10.211.9.1/24 dev vt0", f"-n {THERE} addr add 10.211.9.2/24 dev vt0",
                f"-n {HERE} link set lo up", f"-n {HERE} link set vt0 up", f"-n {THERE} link set vt0 up",
                f"netns exec {HERE} true")


def ip(command):
    try:
        return subprocess.run(["ip", *command.split()], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def outside():
    """Runs this file again on one of two machines."""
    try:
        if not all(ip(c) for c in two_machines()):
            print("network namespaces cannot be made here")
            return 77
        return subprocess.run(["ip", "netns", "exec", HERE, sys.executable, *sys.argv],
                              env={**os.environ, INSIDE: THERE}, check=False).returncode
    finally:
        for name in (HERE, THERE):
            ip(f"netns del {name}")


class Away:
    """A worker on the other machine, and the link to it."""

    def __init__(self, program):
        self.name = os.environ[INSIDE]
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", self.name, program, "worker", "--listen", ADDRESS, "--device", "cpu",
             "--threads", "1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: self.process.poll() is not None or self.listens())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def listens(self):
        said = subprocess.run(["ip", "netns", "exec", self.name, "cat", "/proc/net/tcp"], capture_output=True,
                              text=True, check=True)
        return f":{50052:04X} 00000000:0000 0A" in said.stdout

    def link(self, state):
        assert ip(f"-n {self.name} link set vt0 {state}")


def once_reached(s, job):
    """What a job makes when the worker has noticed, too, that its client is gone, and is free for another."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        j = s.wait_for(submit(s, job))
        if j["state"] == "done":
            break
        assert j["error"]["code"] == "engine_lost_worker", j
    return outcome(s, job)


def test_a_cut_network_is_a_failed_job(program):
    with Away(program) as worker:
        if worker.process.poll() is not None:
            print("      skipped: no worker can be started here")
            return
        with Server(program, "--device", "none", "--engine", ADDRESS, "--patience", "3") as s:
            quick = ("generate", STAR)
            before = outcome(s, quick)
            with Watch(s) as watch:
                job = submit(s, ("generate", dict(STAR, steps=900)))
                until(lambda: s.get("/v1/jobs/" + job).json().get("stage") == "steps")
                worker.link("down")
                j = s.wait_for(job)
                assert j["state"] == "failed" and j["error"]["code"] == "engine_lost_worker", j
                assert "worker" in j["error"]["detail"], j
                worker.link("up")
                assert once_reached(s, quick) == before
            watch.check()
        # An engine of this machine goes on without it, and makes the same image.
        with Server(program, "--engine", ADDRESS, "--patience", "3") as s:
            jobs = [submit(s, ("generate", dict(STAR, steps=900, seed=seed))) for seed in (1, 2)]
            where = lambda: [g["running"] and g["running"]["id"] for g in s.get("/v1/telemetry").json()["engines"]]
            until(lambda: None not in where())
            here, there = where()
            until(lambda: s.get("/v1/jobs/" + there).json().get("stage") == "steps")
            worker.link("down")
            j = s.wait_for(there)
            assert j["state"] == "failed" and j["error"]["code"] == "engine_lost_worker", j
            assert s.get("/v1/jobs/" + here).json()["state"] == "running" and sorted(jobs) == sorted((here, there))
            s.request("DELETE", "/v1/jobs/" + here)
            assert s.wait_for(here)["state"] == "cancelled"
            assert outcome(s, quick) == before


if __name__ == "__main__":
    if INSIDE not in os.environ:
        sys.exit(outside())
    run_all(globals())
