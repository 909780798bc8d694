#!/usr/bin/env python3
"""Compares what came out of Millrace with the files that went in, byte for byte.

  scripts/demo_check.py MANIFEST    prints its findings as JSON; exit 1 if anything differs

It knows nothing of the broker but one rule: an event with a key goes to partition crc32c(key) modulo
the number of partitions. From the original files, line by line, it works out what each partition must
hold and in which order, and compares that with what was read back:

  - everything of a publish that was acked is there, at rising offsets without a hole, same bytes,
    in the order of sending (so in order per key), once;
  - of a publish that was cut short, what was acked is there in the same way; what was not acked may
    follow it, in order and at most once;
  - what subscribers were given while it happened is what the log holds at the same offsets.

The manifest names the topics, their publishes in order (file, times it was repeated, rule of the key,
events acked per partition or null for all of it), a replay of each topic, and the subscribers' output.
Read-back files hold one event a line: partition, offset, key, payload, with a tab between.
"""
import json
import sys


def crc32c_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


TABLE = crc32c_table()


def crc32c(data):
    value = 0xFFFFFFFF
    for byte in data:
        value = (value >> 8) ^ TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def lines_of(path):
    with open(path, "rb") as file:
        return file.read().splitlines()


def key_and_payload(line, rule):
    """`rule`: "field:NAME", the whole line with the key in that JSON field; "first", key and rest."""
    if rule == "first":
        key, _, payload = line.partition(b" ")
        return key, payload
    return json.loads(line)[rule.partition(":")[2]].encode(), line


def split_by_partition(publish, partitions):
    """What each partition must receive from one publish, in order."""
    once = [[] for _ in range(partitions)]
    places = {}
    for line in lines_of(publish["file"]):
        event = key_and_payload(line, publish["key"])
        if event[0] not in places:
            places[event[0]] = crc32c(event[0]) % partitions
        once[places[event[0]]].append(event)
    return [part * publish["repeat"] for part in once]


class Differs(Exception):
    pass


def read_back(path, partitions):
    """Per partition a dictionary of offset to (key, payload); refuses what comes twice or out of order."""
    events = [{} for _ in range(partitions)]
    last = [-1] * partitions
    with open(path, "rb") as file:
        data = file.read()
    if data and not data.endswith(b"\n"):
        raise Differs(f"{path}: the last event is cut short")
    for line in data.split(b"\n")[:-1]:
        partition, offset, key, payload = line.split(b"\t", 3)
        partition, offset = int(partition), int(offset)
        if offset <= last[partition]:
            raise Differs(f"partition {partition}: offset {offset} came after {last[partition]}")
        last[partition] = offset
        events[partition][offset] = (key, payload)
    return events


def check_equal(topic, partition, expected, held, begin):
    for index, event in enumerate(expected):
        found = held[begin + index]
        if found != event:
            raise Differs(f"{topic}/{partition} offset {begin + index}: sent {event[0]!r} "
                          f"{event[1][:60]!r}, found {found[0]!r} {found[1][:60]!r}")


def check_topic(name, topic):
    """Answers, per publish, how many events were sent, acked and found."""
    partitions = topic["partitions"]
    held = read_back(topic["replay"], partitions)
    sent = [split_by_partition(publish, partitions) for publish in topic["publishes"]]
    findings = [{"sent": sum(map(len, parts)), "acked": 0, "found": 0} for parts in sent]
    for partition in range(partitions):
        offsets = held[partition]
        if offsets and list(offsets) != list(range(len(offsets))):
            raise Differs(f"{name}/{partition}: offsets do not run from 0 without a hole")
        check_partition(name, topic, partition, sent, offsets, findings)
    return held, findings


def check_partition(name, topic, partition, sent, held, findings):
    begin = 0
    whole = sum(len(parts[partition]) for publish, parts in zip(topic["publishes"], sent)
                if publish["acked"] is None)
    for publish, parts, finding in zip(topic["publishes"], sent, findings):
        expected = parts[partition]
        acked = len(expected)
        if publish["acked"] is not None:
            # At most one publish of a topic is cut, so what is there beyond the others is of it.
            acked = publish["acked"].get(str(partition), 0)
            found = len(held) - whole
            if not acked <= found <= len(expected):
                raise Differs(f"{name}/{partition}: {acked} events acked of {len(expected)} sent, "
                              f"{found} found")
            expected = expected[:found]
        if begin + len(expected) > len(held):
            raise Differs(f"{name}/{partition}: {len(held)} events found, "
                          f"{begin + len(expected)} at least were acked")
        check_equal(name, partition, expected, held, begin)
        begin += len(expected)
        finding["acked"] += acked
        finding["found"] += len(expected)
    if begin != len(held):
        raise Differs(f"{name}/{partition}: {len(held)} events found, {begin} sent")


def check_view(view, topic, held):
    """What one subscriber was given: the same as the log, at least the events that it must have."""
    seen = read_back(view["file"], topic["partitions"])
    count = 0
    for partition, events in enumerate(seen):
        if list(events) != list(range(len(events))):
            raise Differs(f"partition {partition}: offsets do not run from 0 without a hole")
        for offset, event in events.items():
            if held[partition].get(offset) != event:
                raise Differs(f"partition {partition} offset {offset}: the log holds another event")
        count += len(events)
    least = sum(map(len, held)) if view["least"] is None else view["least"]
    if count < least:
        raise Differs(f"{count} events, {least} expected")
    return count


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    with open(sys.argv[1], encoding="utf-8") as file:
        manifest = json.load(file)
    answer = {"topics": {}, "views": {}, "differences": []}
    logs = {}
    for name, topic in manifest["topics"].items():
        try:
            logs[name], answer["topics"][name] = check_topic(name, topic)
        except Differs as difference:
            answer["differences"].append(str(difference))
    for view in manifest["views"]:
        if view["topic"] not in logs:
            continue
        try:
            answer["views"][view["name"]] = check_view(
                view, manifest["topics"][view["topic"]], logs[view["topic"]])
        except Differs as difference:
            answer["differences"].append(f"{view['name']}: {difference}")
    print(json.dumps(answer))
    return 1 if answer["differences"] else 0


if __name__ == "__main__":
    sys.exit(main())
