#!/usr/bin/python3
"""Writes the golden samples of format version 1 into schemas/golden/v1 (see schemas/README.md).

Released samples are never written again: this refuses to touch a file that exists. A new version of a format gets a new
folder and a new list of samples.
"""

import pathlib

import millrace_client as m

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "schemas" / "golden" / "v1"
TIME = 1_788_264_000_000_000_000  # 2026-09-01T12:00:00Z


def sample_batch():
    events = [
        m.Event(b'{"n":1}', key=b"repo-1", headers=[(b"type", b"push")], time_ns=TIME),
        m.Event(b"hello, millrace", time_ns=TIME + 1_000_000),
    ]
    return m.encode_batch(events, producer_id=0x1122334455667788, producer_epoch=0, sequence=0)


def samples():
    cluster = bytes.fromhex("00112233445566778899aabbccddeeff")
    yield "ping_request", "Request{version 1, id 7, Ping}", m.encode_root(
        "Request", {"version": 1, "id": 7, "body": ("Ping", {})})
    yield "ping_reply", "Reply{id 7, Pong}", m.encode_root("Reply", {"id": 7, "body": ("Pong", {
        "broker_version": "0.1.0", "cluster_id": cluster, "protocol_min": 1, "protocol_max": 1,
        "live": "tcp://127.0.0.1:7712", "uptime_ms": 1500})})
    yield "produce_request", "Request{version 1, id 8, Produce{orders, partition 3}}; the batch is the next frame", m.encode_root(
        "Request", {"version": 1, "id": 8, "body": ("Produce", {"topic": "orders", "partition": 3})})
    yield "produced_reply", "Reply{id 8, Produced{[40, 42)}}", m.encode_root("Reply", {"id": 8, "body": ("Produced", {
        "base_offset": 40, "end_offset": 42, "append_time": TIME + 2_000_000})})
    yield "error_reply", "Reply{id 9, error 25}", m.encode_root("Reply", {
        "id": 9, "error": 25, "error_text": "offset 99 is outside [10, 42]", "range_begin": 10, "range_end": 42})
    yield "batch", "a batch of two events as a producer sends it, not compressed", sample_batch()
    yield "live_head", "head of a live message: base 40, 2 events", m.LIVE_HEAD.pack(40, 2, 0, TIME + 2_000_000, 42)


def to_text(comment, data):
    lines = [f"# {comment}; {len(data)} bytes"]
    lines += [data[at:at + 16].hex(" ") for at in range(0, len(data), 16)]
    return "\n".join(lines) + "\n"


def from_text(text):
    return bytes.fromhex(" ".join(line for line in text.splitlines() if not line.startswith("#")))


if __name__ == "__main__":
    for name, comment, data in samples():
        path = FOLDER / f"{name}.hex"
        if path.exists():
            print(f"{path.name}: stands already, left alone")
        else:
            path.write_text(to_text(comment, data))
            print(f"{path.name}: {len(data)} bytes")
