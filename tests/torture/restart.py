"""scripts/torture restart: the time from start to the ready line, by the size of the log, after a clean stop and after SIGKILL under load.

The promise is G9: bounded by the active tails, not by the data. No judge here; the figures are the result.
"""
import json
import os
import shutil
import statistics
import subprocess
import time

from campaign import Broker, Failed, Skipped, append_ledger, commit, say

PARTITIONS = 8
EVENT_BYTES = 4096
ROUNDS = 5


class Restart:
    def __init__(self, campaign, sizes):
        self.campaign, self.sizes = campaign, sizes
        # The settings that everybody has: the curve is about those.
        self.broker = campaign.broker = Broker(campaign, campaign.folder / "data", {"data.io": campaign.options.io})

    def play(self):
        free = shutil.disk_usage(self.campaign.folder).free
        if free < self.sizes[-1] * 1.3e9:
            raise Skipped(f"{self.campaign.options.dir} has {free / 1e9:.0f} GB free, and {self.sizes[-1]} GB of log need a third more")
        self.broker.start()
        self.campaign.command("topic", "create", "curve", "--partitions", PARTITIONS, "--set", "retention_age=none")
        rows = []
        say(f"{'GB':>6} {'segments':>9} {'clean ms':>9} {'killed ms':>10}   (medians of {ROUNDS})")
        for size in self.sizes:
            self.grow(size)
            row = self.measure()
            rows.append(row)
            say(f"{row['gb']:>6} {row['segments']:>9} {row['clean_ms']:>9.1f} {row['killed_ms']:>10.1f}")
        self.broker.stop()
        line = {"campaign": "restart", "rows": rows, "partitions": PARTITIONS, "io": self.campaign.options.io, "failures": 0,
                "commit": commit(), "kernel": os.uname().release}
        say(json.dumps(line))
        append_ledger(self.campaign.options, line)

    def describe(self):
        _, output, _ = self.campaign.command("-o", "json", "topic", "describe", "curve")
        partitions = json.loads(output)["partition_list"]
        bad = [p["state"] for p in partitions if p["state"] != "ok"]
        if bad:
            raise Failed(f"partitions are not ok: {bad}")
        return sum(p["bytes"] for p in partitions), sum(p["segments"] for p in partitions)

    def produce(self, events):
        return [self.campaign.millrace, "--broker", self.broker.listen, "-o", "json", "bench", "produce", "--topic", "curve",
                "--events", events, "--event-bytes", EVENT_BYTES, "--producers", 4, "--in-flight", 16]

    def grow(self, gb):
        missing = gb * 10**9 - self.describe()[0]
        if missing > 0:
            self.campaign.children.run(self.produce(int(missing / EVENT_BYTES) + 1), timeout=3600)

    def start(self):
        """Milliseconds from the start of the process to its ready line."""
        begin = time.monotonic()
        self.broker.start(patience=600)
        return (time.monotonic() - begin) * 1000

    def measure(self):
        clean, killed = [], []
        for _ in range(ROUNDS):
            self.broker.stop()
            clean.append(self.start())
            load = self.campaign.children.start(self.produce(10**9), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.5)
            self.broker.kill()
            load.kill()
            load.wait()
            killed.append(self.start())
        size, segments = self.describe()
        return {"gb": round(size / 1e9, 1), "segments": segments, "clean_ms": round(statistics.median(clean), 1),
                "killed_ms": round(statistics.median(killed), 1), "killed_ms_max": round(max(killed), 1)}


def play(campaign):
    try:
        sizes = sorted({float(word) for word in campaign.options.gb.split(",")})
    except ValueError:
        raise Failed(f"--gb {campaign.options.gb}: sizes in GB, separated by commas") from None
    Restart(campaign, sizes).play()
