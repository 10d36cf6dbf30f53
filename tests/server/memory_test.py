"""A server that has worked for long holds no more than one that has worked for a while."""

from support import Server, run_all

JOB = {"prompt": "a star", "steps": 1, "width": 64, "height": 64}
WARM, MORE = 60, 240  # the events that are kept for readers that come back are not all there before
GROWTH = MORE * 1024
CACHES = 1280 << 10  # two connections' pages, and what SQLite needs besides


def held(s):
    lines = dict(line.split() for line in s.get("/metrics").body.decode().splitlines() if line[:1] != "#")
    heap, cache = (int(float(lines.get(f"veetance_{name}", 0))) for name in ("heap_bytes", "store_cache_bytes"))
    return heap - cache, cache


def work(s, n, seed):
    for i in range(n):
        job = s.post("/v1/generate", {**JOB, "seed": seed + i}).json()["id"]
        assert s.wait_for(job)["state"] == "done", job


def test_jobs_leave_nothing_behind(program):
    with Server(program) as s:
        work(s, 1, 0)
        if held(s)[0] <= 0:
            print("      this C library, or a sanitizer's, does not tell what is allocated")
            return
        work(s, WARM, 1)
        before, _ = held(s)
        work(s, MORE, 1 + WARM)
        after, cache = held(s)
        print(f"      {before >> 10} KiB after {WARM} jobs, {after >> 10} after {MORE} more, {cache >> 10} of the database")
        assert after - before < GROWTH, (before, after)
        assert cache < CACHES, cache


if __name__ == "__main__":
    run_all(globals())
