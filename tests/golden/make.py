"""Makes the golden data directory of the format versions that these programs write.

  make.py MILLRACE MILLRACED VERSION    writes VERSION.tar.gz and VERSION.json.gz beside this file

Run it once for a release that changed a format, and never again for that version: what a released broker wrote is what later
ones must read. The directory has two topics, rolled segments with their indexes, batches of every codec, keys, headers, a
session, a trimmed start, a partition without events, and the checkpoints of a clean stop."""

import gzip
import io
import json
import pathlib
import subprocess
import sys
import tarfile
import tempfile

from golden import HERE, Broker, events_of


def produce(millrace, broker, topic, lines, *words):
    subprocess.run([millrace, "--broker", broker.endpoint, "-q", "produce", topic, *words], input="\n".join(lines).encode() + b"\n",
                   check=True, stdout=subprocess.DEVNULL)


def make(millrace, millraced, data_dir):
    def run(*words):
        subprocess.run([millrace, "--broker", broker.endpoint, "-q", *words], check=True, stdout=subprocess.DEVNULL)

    with Broker(millraced, data_dir) as broker:
        run("topic", "create", "orders", "--partitions", "2", "--set", "segment_bytes=64 KiB", "--set", "batch_bytes_max=32 KiB",
            "--set", "retention_age=none")
        run("topic", "create", "quiet.topic-1", "--partitions", "2", "--set", "live=false", "--set", "retention_age=none")
        for round_number in range(12):
            lines = [f"customer-{i % 7}:order {round_number}-{i} " + "".join(chr(97 + (i * j) % 26) for j in range(180))
                     for i in range(80)]
            produce(millrace, broker, "orders", lines, "--key-separator", ":", "--batch-bytes", "8KiB",
                    "--compression", ("none", "zstd", "lz4")[round_number % 3], "--header", f"round={round_number}")
    # A second life, so that there are both slots of a checkpoint, and segments of two lives.
    with Broker(millraced, data_dir) as broker:
        produce(millrace, broker, "quiet.topic-1", ["", "a", "é \"quoted\" \\ \t tab"], "--partition", "0")
        produce(millrace, broker, "orders", [f"second life {i}" for i in range(5)], "--partition", "1")
        run("topic", "trim", "orders", "--partition", "0", "--before", "100")
    with Broker(millraced, data_dir) as broker:
        return {"events": {topic: events_of(millrace, broker, topic) for topic in ("orders", "quiet.topic-1")}}


def pack(data_dir, archive):
    """The same bytes for the same files, whenever and by whomever it is run."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path in sorted(data_dir.rglob("*")):
            if path.name == "lock" or "pool" in path.parts:
                continue
            entry = tar.gettarinfo(path, str(path.relative_to(data_dir)))
            entry.uid = entry.gid = entry.mtime = 0
            entry.uname = entry.gname = ""
            with path.open("rb") if path.is_file() else io.BytesIO() as content:
                tar.addfile(entry, content if path.is_file() else None)
    archive.write_bytes(gzip.compress(out.getvalue(), 9, mtime=0))


def main():
    millrace, millraced, version = sys.argv[1:]
    archive = HERE / f"{version}.tar.gz"
    if archive.exists():
        sys.exit(f"make.py: {archive} is there: what a version wrote does not change. Name the next version")
    with tempfile.TemporaryDirectory(prefix="millrace-golden-") as folder:
        data_dir = pathlib.Path(folder) / "data"
        expected = make(millrace, millraced, data_dir)
        pack(data_dir, archive)
    counts = {topic: len(events) for topic, events in expected["events"].items()}
    text = json.dumps(expected, indent=0, ensure_ascii=False) + "\n"
    (HERE / f"{version}.json.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{archive.name}: {archive.stat().st_size} bytes, events {counts}")


if __name__ == "__main__":
    main()
