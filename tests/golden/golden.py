"""What the golden directories are made and checked with: a broker on a directory, and what is read from it."""

import json
import pathlib
import subprocess

HERE = pathlib.Path(__file__).resolve().parent


class Broker:
    def __init__(self, millraced, data_dir):
        self.process = subprocess.Popen(
            [millraced, "--data-dir", str(data_dir), "--listen", "tcp://127.0.0.1:0", "--live", "off", "--http", "off"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the broker does not start: " + self.process.communicate(timeout=30)[1])
        self.endpoint = json.loads(line)["listen"]
        self.words = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            _, self.words = self.process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
        if self.process.returncode != 0:
            raise RuntimeError(f"the broker ended with {self.process.returncode}: {self.words}")


def events_of(millrace, broker, topic):
    """Every event, by partition and offset: what must never change."""
    done = subprocess.run([millrace, "--broker", broker.endpoint, "-o", "json", "consume", topic, "-e"], stdout=subprocess.PIPE,
                          check=True)
    events = [json.loads(line) for line in done.stdout.decode().splitlines()]
    return sorted(events, key=lambda event: (event["partition"], event["offset"]))
