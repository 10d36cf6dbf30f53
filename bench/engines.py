#!/usr/bin/env python3
"""engines.py PROGRAM [JOBS] - how many small images a minute `veetance serve` makes with one CPU engine and with two, of a
thread each. Prints a table; the store is in memory, where the machine has such a folder."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "server"))
from support import Server  # noqa: E402

REQUEST = {"prompt": "a red star", "steps": 8, "width": 128, "height": 128}


def measure(program, devices, jobs):
    with Server(program, "--device", devices) as s:
        for seed in range(2 * len(devices.split(","))):  # every engine opens its model
            s.post("/v1/generate", {**REQUEST, "seed": seed})
        wait(s)
        start = time.monotonic()
        for seed in range(jobs):
            s.post("/v1/generate", {**REQUEST, "seed": 100 + seed})
        wait(s)
        return time.monotonic() - start


def wait(s):
    while True:
        q = s.get("/v1/queue").json()
        if not q["running_jobs"] and not q["queued"]:
            return
        time.sleep(0.01)


def main():
    program, jobs = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 60
    if os.path.isdir("/dev/shm"):
        os.environ["TMPDIR"] = "/dev/shm"
    print("| engines | jobs | seconds | jobs a minute |\n| --- | --- | --- | --- |")
    for devices in ("cpu", "cpu,cpu"):
        seconds = measure(program, devices, jobs)
        print(f"| {devices} | {jobs} | {seconds:.2f} | {60 * jobs / seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
