#!/usr/bin/python3
"""Drives a real broker with the plain Python client and compares every byte. Usage: proof.py PATH_OF_MILLRACED

The client, and every expectation here, come from docs/wire-protocol.md and docs/storage-format.md. Exit code 0: all
agree; 1: a difference, which is named.
"""

import contextlib
import json
import os
import pathlib
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback

import zmq

import millrace_client as m
import segment_reader

PATIENCE = 60  # seconds; only a failure waits to the end of it
DATA = pathlib.Path(__file__).resolve().parents[1] / "data"
checks = 0


class Difference(Exception):
    pass


def same(what, got, expected):
    global checks
    checks += 1
    if got != expected:
        raise Difference(f"{what}: expected {expected!r:.300}, got {got!r:.300}")


def true(what, condition):
    same(what, bool(condition), True)


@contextlib.contextmanager
def refused(name, what):
    """The block must be answered with this error; its details are in the list."""
    seen = []
    try:
        yield seen
    except m.MillraceError as error:
        same(f"{what}: error", error.name, name)
        true(f"{what}: the error says something", error.text)
        seen.append(error)
        return
    raise Difference(f"{what}: expected the error {name}, got none")


class Broker:
    def __init__(self, program, directory):
        self.program, self.directory = program, directory
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            [self.program, "--data-dir", self.directory, "--listen", "tcp://127.0.0.1:0", "--live", "tcp://127.0.0.1:0",
             "--http", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        readable, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        line = self.process.stdout.readline() if readable else b""
        if not line:
            raise Difference("the broker did not get ready")
        ready = json.loads(line)
        same("ready line", ready["ready"], True)
        self.listen, self.live = ready["listen"], ready["live"]
        return ready

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        same("exit code after SIGTERM", self.process.wait(timeout=PATIENCE), 0)
        same("nothing but the ready line on standard output", self.process.stdout.read(), b"")
        self.process.stdout.close()


def webhooks(count=40):
    events = []
    with open(DATA / "github-webhooks.jsonl", "rb") as lines:
        for line in lines:
            line = line.rstrip(b"\n")
            body = json.loads(line)
            events.append(m.Event(line, key=body["key"].encode(), headers=[(b"event", body["event"].encode())]))
            if len(events) == count:
                return events
    return events


def facts(events):
    return [(event.key, event.payload, event.headers, event.time_ns) for event in events]


# -- the situations, in the order in which they are run ----------------------------------------------------------

def ping_tells_who_answers(client, broker):
    pong = client.ping()
    same("protocol", (pong["protocol_min"], pong["protocol_max"]), (1, 1))
    same("live endpoint", pong["live"], broker.live)
    same("length of the cluster id", len(pong["cluster_id"]), 16)
    true("a version", pong["broker_version"])


def topics_are_made_listed_described(client):
    made = client.create_topic("hooks", partitions=4, settings=["retention_age=2 days"])
    same("name", made["topic"], "hooks")
    same("partitions", made["partitions"], 4)
    same("columns are absent", made["start_offsets"], None)
    true("an id", made["id"] != bytes(16))
    with refused("topic_exists", "a topic twice"):
        client.create_topic("hooks", partitions=4)
    for name in ("", ".", "..", ".hidden", "a/b", "a b", "\u00e4", "x" * 201):
        with refused("bad_topic_name", f"the name {name[:10]!r}"):
            client.create_topic(name)
    with refused("bad_setting", "an unknown setting"):
        client.create_topic("other", settings=["no_such_key=1"])
    described = client.call("DescribeTopic", {"topic": "hooks"})[0]
    same("the same id", described["id"], made["id"])
    same("starts", described["start_offsets"], [0] * 4)
    same("ends", described["end_offsets"], [0] * 4)
    same("states", described["states"], ["ok"] * 4)
    listed = client.call("ListTopics", {})[0]
    same("names", listed["names"], ["hooks"])
    same("ids", listed["ids"], [made["id"]])
    same("metadata", client.call("Metadata", {"topic": "hooks"})[0]["partitions"], 4)
    return made["id"]


def events_come_back_byte_for_byte(client, session):
    partition_events = {}
    for event in webhooks():
        partition_events.setdefault(m.partition_of(event.key, 4), []).append(event)
    true("real keys use more than one partition", len(partition_events) > 1)
    for partition, events in partition_events.items():
        half = len(events) // 2 or 1
        end = 0
        for part in (events[:half], events[half:]):
            if not part:
                continue
            batch = session.batch(part, partition)
            answer = client.produce("hooks", partition, batch)
            same("base offset", answer["base_offset"], end)
            end += len(part)
            same("end offset", answer["end_offset"], end)
            same("ack", answer["ack"], m.ACK_DURABLE)
            same("not a duplicate", answer["duplicate"], False)
        got = client.fetch("hooks", partition, 0)
        same("bounds", (got.start_offset, got.end_offset, got.next_offset), (0, len(events), len(events)))
        same("events", facts(got.events), facts(events))
        same("offsets", [event.offset for event in got.events], list(range(len(events))))
        for header, _, data in got.batches:
            same("the body is what was sent", (header.producer_id, header.producer_epoch), (session.producer_id, 0))
            true("a place", header.segment_id != 0 and header.position % 8 == 0)
            true("8-byte payloads", all(data.index(event.payload) % 8 == 0 for event in events if event.payload in data))
    return partition_events


def a_fetch_in_the_middle_gives_the_whole_batch(client):
    got = client.fetch("ordered", 0, 1)
    same("the first batch holds the asked offset", got.batches[0][0].base_offset, 0)
    got = client.fetch("ordered", 0, 0, max_bytes=0)
    same("one whole batch although 0 bytes were asked", len(got.batches), 1)
    same("where to go on", got.next_offset, got.batches[0][0].end_offset)


def a_retry_gives_the_old_offsets(client):
    client.create_topic("ordered")
    session = m.ProducerSession()
    sent = [session.batch([m.Event(f"event {3 * i + j}".encode()) for j in range(3)]) for i in range(40)]
    answers = [client.produce("ordered", 0, batch) for batch in sent]
    same("offsets", [answer["base_offset"] for answer in answers], [3 * i for i in range(40)])
    for i in (39, 20, 8):
        again = client.produce("ordered", 0, sent[i])
        same(f"batch {i} again", (again["base_offset"], again["end_offset"], again["duplicate"]), (3 * i, 3 * i + 3, True))
    with refused("sequence_expired", "a duplicate older than the window"):
        client.produce("ordered", 0, sent[7])
    same("nothing was added", client.list_offsets("ordered", 0, m.WHERE_END)["offset"], 120)
    return session, sent


def sequences_are_checked(client, session, sent):
    ident = {"producer_id": session.producer_id, "producer_epoch": 0}
    with refused("out_of_order", "a gap"):
        client.produce("ordered", 0, m.encode_batch([m.Event(b"x")], sequence=121, **ident))
    with refused("sequence_conflict", "the same sequence with other bytes"):
        client.produce("ordered", 0, m.encode_batch([m.Event(b"y") for _ in range(3)], sequence=117, **ident))
    with refused("unknown_producer", "a session that begins in the middle"):
        client.produce("ordered", 0, m.encode_batch([m.Event(b"x")], producer_id=77, sequence=5))
    newer = m.encode_batch([m.Event(b"newer epoch")], producer_id=session.producer_id, producer_epoch=1, sequence=0)
    same("a newer epoch starts over", client.produce("ordered", 0, newer)["base_offset"], 120)
    with refused("fenced", "the old epoch"):
        client.produce("ordered", 0, m.encode_batch([m.Event(b"x")], sequence=120, **ident))
    plain = m.encode_batch([m.Event(b"no session")])
    same("without a session", client.produce("ordered", 0, plain)["base_offset"], 121)
    same("a repetition is a new event", client.produce("ordered", 0, plain)["base_offset"], 122)
    return 123


def ack_levels_are_answered(client, end):
    answer = client.produce("ordered", 0, m.encode_batch([m.Event(b"received")]), ack=m.ACK_RECEIVED)
    same("offset", answer["base_offset"], end)
    true("at least what was asked for", answer["ack"] >= m.ACK_RECEIVED)
    silent = client.send("Produce", {"topic": "ordered", "partition": 0, "ack": m.ACK_NONE}, m.encode_batch([m.Event(b"none")]))
    with refused("unknown_topic", "an unknown topic is told even when no ack is wanted"):
        client.produce("nowhere", 0, m.encode_batch([m.Event(b"x")]), ack=m.ACK_NONE)
    same("no answer to ack none", client.waiting.get(silent), None)
    deadline = time.monotonic() + PATIENCE
    while client.list_offsets("ordered", 0, m.WHERE_END)["offset"] < end + 2:
        if time.monotonic() > deadline:
            raise Difference("events that nobody waits for do not become durable")
    same("events", [event.payload for event in client.fetch("ordered", 0, end).events], [b"received", b"none"])
    return end + 2


def offsets_are_listed(client, end):
    def where(kind, value=0):
        return client.list_offsets("ordered", 0, kind, value)["offset"]
    same("start", where(m.WHERE_START), 0)
    same("end", where(m.WHERE_END), end)
    same("ten before the end", where(m.WHERE_BEFORE_END, 10), end - 10)
    same("more than there are", where(m.WHERE_BEFORE_END, 10_000), 0)
    same("an offset", where(m.WHERE_OFFSET, 7), 7)
    same("an offset past the end", where(m.WHERE_OFFSET, 7_000), end)
    same("long ago", where(m.WHERE_TIME, 0), 0)
    same("in the future", where(m.WHERE_TIME, time.time_ns() + 3_600_000_000_000), end)
    batches = client.fetch("ordered", 0, 0).batches
    for header, _, _ in batches[:5]:
        found = where(m.WHERE_TIME, header.append_time)
        first = next(h for h, _, _ in batches if h.append_time >= header.append_time)
        same("the time of a batch", found, first.base_offset)
    with refused("bad_request", "an unknown kind of place"):
        client.list_offsets("ordered", 0, 9)


def a_long_poll_waits_and_is_woken(client, end):
    begun = time.monotonic()
    got = client.fetch("ordered", 0, end, wait_ms=300)
    same("nothing came", got.batches, [])
    same("still there", got.next_offset, end)
    true("it waited", time.monotonic() - begun >= 0.25)
    waiting = client.send("Fetch", {"topic": "ordered", "partition": 0, "offset": end, "wait_ms": 60_000})
    client.produce("ordered", 0, m.encode_batch([m.Event(b"wake up")]))
    reply, data = client.receive(waiting)
    same("woken by the event", [e.payload for frame in data for _, events, _ in m.walk_batches(frame) for e in events], [b"wake up"])
    same("next", reply["body"][1]["next_offset"], end + 1)
    return end + 1


def bounds_are_refused(client, end):
    with refused("offset_out_of_range", "above the end") as seen:
        client.fetch("ordered", 0, end + 1)
    same("what can be read", seen[0].range, (0, end))
    with refused("unknown_topic", "fetch of an unknown topic"):
        client.fetch("nowhere", 0, 0)
    with refused("unknown_topic", "another incarnation"):
        client.call("Fetch", {"topic": "ordered", "topic_id": bytes(range(16)), "offset": 0})
    with refused("unknown_partition", "fetch of an unknown partition"):
        client.fetch("ordered", 1, 0)
    with refused("unknown_partition", "produce to an unknown partition"):
        client.produce("ordered", 4096, m.encode_batch([m.Event(b"x")]))
    with refused("bad_request", "an offset that cannot be"):
        client.fetch("ordered", 0, 1 << 63)


def a_subscription_obeys_its_credit(client, end):
    first_bytes = len(client.fetch("ordered", 0, 0, max_bytes=1).batches[0][2])
    subscription = m.Subscription(client, 5, "ordered", 0, 0, credit_bytes=1)
    same("bounds", (subscription.opened["start_offset"], subscription.opened["end_offset"]), (0, end))
    pushed, batches, _ = subscription.receive()
    same("one byte of credit gives one batch", [header.base_offset for header, _, _ in batches], [0])
    same("subscription", pushed["subscription"], 5)
    same("overdrawn", pushed["credit_left"], 0)
    same("next", pushed["next_offset"], 3)
    try:
        subscription.receive(timeout=0.3)
        raise Difference("a batch was pushed without credit")
    except TimeoutError:
        true("silence without credit", True)
    with refused("bad_state", "the number of an open subscription"):
        m.Subscription(client, 5, "ordered", 0, 0, credit_bytes=1)
    events, received = [event for _, found, _ in batches for event in found], 0
    subscription.grant(first_bytes + 4096)
    while len(events) < end:
        pushed, batches, size = subscription.receive()
        events += [event for _, found, _ in batches for event in found]
        same("next is behind the last", pushed["next_offset"], events[-1].offset + 1)
        subscription.grant(size)
    same("no gap, no repetition", [event.offset for event in events], list(range(end)))
    same("the same bytes as a fetch gives", facts(events), facts(client.fetch("ordered", 0, 0).events))
    client.produce("ordered", 0, m.encode_batch([m.Event(b"history runs into live")]))
    _, batches, _ = subscription.receive()
    same("live", [event.payload for _, found, _ in batches for event in found], [b"history runs into live"])
    subscription.close()
    client.produce("ordered", 0, m.encode_batch([m.Event(b"after the end")]))
    try:
        subscription.receive(timeout=0.3)
        raise Difference("a closed subscription still receives")
    except TimeoutError:
        true("silence after unsubscribe", True)
    reply, _ = client.receive(client.send("Credit", {"subscription": 99, "credit_bytes": 1}))
    same("credit for an unknown subscription", m.ERRORS[reply["error"]], "bad_state")
    with refused("bad_state", "unsubscribe of an unknown subscription"):
        client.call("Unsubscribe", {"subscription": 99})
    return end + 2


def wait_until_subscribed(client, tail, topic):
    """A SUB is connected when its first message comes: produce until then. Answers the head of that message."""
    for _ in range(200):
        client.produce(topic, 0, m.encode_batch([m.Event(b"knock")]))
        try:
            return tail.receive_raw(timeout=0.1)[0]
        except TimeoutError:
            continue
    raise Difference("nothing came from the live feed")


def the_live_feed_carries_whole_batches(client, broker):
    client.create_topic("feed")
    client.create_topic("feed-secret")
    client.create_topic("feed-off", settings=["live=false"])
    tail = m.LiveTail(client, broker.live, "feed", 0)
    try:
        head = wait_until_subscribed(client, tail, "feed")
        end = client.list_offsets("feed", 0, m.WHERE_END)["offset"]
        tail.next_offset = head[4]
        while tail.next_offset < end:
            tail.receive(timeout=PATIENCE)
        client.produce("feed-secret", 0, m.encode_batch([m.Event(b"not for this prefix")]))
        sent = [m.Event(b"live %d" % i, key=b"k%d" % i, headers=[(b"n", b"%d" % i)], time_ns=1000 + i) for i in range(50)]
        answer = client.produce("feed", 0, m.encode_batch(sent))
        head, batch = tail.receive_raw(timeout=PATIENCE)
        same("head", head, (answer["base_offset"], 50, 0, answer["append_time"], answer["end_offset"]))
        header, events, _ = m.parse_batch(batch)
        same("events", facts(events), facts(sent))
        same("the same batch as a fetch gives", batch[:header.body_bytes + 96],
             client.fetch("feed", 0, answer["base_offset"]).batches[0][2])
        # A message that is not taken stands for one that the feed dropped.
        tail.next_offset = answer["end_offset"]
        for text in (b"dropped 1", b"dropped 2"):
            client.produce("feed", 0, m.encode_batch([m.Event(text)]))
            tail.receive_raw(timeout=PATIENCE)
        client.produce("feed", 0, m.encode_batch([m.Event(b"after the gap")]))
        repaired = tail.receive(timeout=PATIENCE)
        same("a gap is repaired in order", [event.payload for event in repaired], [b"dropped 1", b"dropped 2", b"after the gap"])
        same("the gap", tail.gaps, [(answer["end_offset"], answer["end_offset"] + 2)])
    finally:
        tail.close()
    off = m.LiveTail(client, broker.live, "feed-off", 0)
    try:
        client.produce("feed-off", 0, m.encode_batch([m.Event(b"not on the feed")]))
        off.receive_raw(timeout=0.5)
        raise Difference("a topic that is not live is on the feed")
    except TimeoutError:
        true("a topic that is not live is not on the feed", True)
    finally:
        off.close()


def compressed_batches_pass_through(client):
    client.create_topic("packed")
    session = m.ProducerSession()
    events = webhooks(10)
    for codec in (m.CODEC_ZSTD, m.CODEC_LZ4):
        batch = session.batch(events, codec=codec)
        answer = client.produce("packed", 0, batch)
        header, found, data = client.fetch("packed", 0, answer["base_offset"]).batches[0]
        same("codec", header.codec, codec)
        true("smaller", header.body_bytes < header.raw_bytes)
        same("the body is untouched", data[96:], batch[96:])
        same("events", facts(found), facts(events))


def spoilt(batch, at, value, reseal=True):
    """The batch with other bytes at a place, its header checksum made right again."""
    out = bytearray(batch)
    out[at:at + len(value)] = value
    if reseal:
        struct.pack_into("<I", out, 92, m.crc32c(bytes(out[:92])) ^ m.batch_seed(0, 0))
    return bytes(out)


def bad_batches_are_refused(client):
    good = m.encode_batch([m.Event(b"one", key=b"k"), m.Event(b"two")])
    end = client.list_offsets("ordered", 0, m.WHERE_END)["offset"]

    def refuse(name, what, batch):
        with refused(name, what):
            client.produce("ordered", 0, batch)
    refuse("bad_batch", "a broken header checksum", spoilt(good, 40, b"\x01", reseal=False))
    refuse("bad_batch", "a broken body", spoilt(good, 150, bytes([good[150] ^ 1]), reseal=False))
    refuse("bad_batch", "an empty frame", b"")
    refuse("bad_batch", "half a batch", good[:120])
    refuse("bad_batch", "bytes after the batch", good + bytes(8))
    refuse("bad_batch", "three events in a batch of two", spoilt(good, 16, struct.pack("<I", 3)))
    refuse("bad_batch", "an offset given by the producer", _sealed_at_offset(good, 5))
    refuse("unsupported", "an unknown codec", spoilt(good, 5, b"\x07"))
    refuse("unsupported", "reserved flags", spoilt(good, 6, b"\x01"))
    refuse("unsupported", "a newer version", spoilt(good, 4, b"\x02"))
    refuse("too_large", "a batch above the limit", m.encode_batch([m.Event(bytes(1_100_000))]))
    same("nothing was added", client.list_offsets("ordered", 0, m.WHERE_END)["offset"], end)


def _sealed_at_offset(batch, offset):
    out = bytearray(batch)
    struct.pack_into("<Q", out, 24, offset)
    seed = m.batch_seed(0, offset)
    struct.pack_into("<I", out, 88, m.crc32c(bytes(out[96:])) ^ seed)
    struct.pack_into("<I", out, 92, m.crc32c(bytes(out[:92])) ^ seed)
    return bytes(out)


def bad_messages_are_refused(client):
    good = m.encode_root("Request", {"version": 1, "id": 1 << 40, "body": ("Ping", {})})

    def answer(frames):
        client.socket.send_multipart(frames)
        reply, _ = client.receive(1 << 40)
        return m.ERRORS.get(reply["error"], reply["error"])
    same("a good one", answer([good]), 0)
    same("a frame too many", answer([good, b"x"]), "bad_request")
    same("a thousand frames", answer([good] + [b"x"] * 1000), "bad_request")
    produce = m.encode_root("Request", {"version": 1, "id": 1 << 40, "body": ("Produce", {"topic": "ordered"})})
    same("a produce without its batch", answer([produce]), "bad_request")
    newer = m.encode_root("Request", {"version": 2, "id": 1 << 40, "body": ("Ping", {})})
    same("a newer version", answer([newer]), "unsupported")
    unknown = bytearray(good)
    unknown[31] = 200
    same("an unknown kind", answer([bytes(unknown)]), "unsupported")
    # These bear no id that could be answered; the connection must go on.
    for junk in (b"", b"x", b"GET / HTTP/1.1\r\n\r\n", good[:20], bytes(64), good.replace(b"MRRQ", b"MRRP"), os.urandom(200)):
        client.socket.send_multipart([junk])
    client.socket.send_multipart([b"", good])
    same("still served", client.ping()["protocol_max"], 1)


def topics_are_trimmed_and_deleted(client):
    topic = client.create_topic("gone", settings=["segment_bytes=64 KiB", "batch_bytes_max=32 KiB"])
    batch = m.encode_batch([m.Event(bytes(20_000))])
    for _ in range(12):
        client.produce("gone", 0, batch)
    trimmed = client.call("TrimTopic", {"topic": "gone", "partition": 0, "where": (m.WHERE_OFFSET, 7)})[0]
    same("the new start", trimmed["start_offset"], 7)
    with refused("offset_out_of_range", "below the start") as seen:
        client.fetch("gone", 0, 6)
    same("what is left", seen[0].range, (7, 12))
    same("the rest", [event.offset for event in client.fetch("gone", 0, 7).events], list(range(7, 12)))
    with refused("unknown_topic", "another incarnation"):
        client.call("DeleteTopic", {"topic": "gone", "topic_id": bytes(range(16))})
    client.call("DeleteTopic", {"topic": "gone", "topic_id": topic["id"]})
    with refused("unknown_topic", "a deleted topic"):
        client.fetch("gone", 0, 7)
    again = client.create_topic("gone")
    true("another incarnation has another id", again["id"] != topic["id"])
    same("it is empty", client.list_offsets("gone", 0, m.WHERE_END)["offset"], 0)
    client.call("DeleteTopic", {"topic": "gone"})


def a_small_segment_is_sealed_and_followed(client):
    client.create_topic("rolled", settings=["segment_bytes=64 KiB", "batch_bytes_max=32 KiB"])
    session = m.ProducerSession()
    for i in range(12):
        client.produce("rolled", 0, session.batch([m.Event(b"%d " % i * 10000)]))
    got = client.fetch("rolled", 0, 0)
    while got.next_offset < 12:
        more = client.fetch("rolled", 0, got.next_offset)
        got = m.Fetched(got.start_offset, got.end_offset, more.next_offset, got.batches + more.batches)
    same("every event", [event.payload for event in got.events], [b"%d " % i * 10000 for i in range(12)])
    true("several segments", client.call("DescribeTopic", {"topic": "rolled"})[0]["segments"][0] > 3)
    return got.events


def all_is_there_after_a_kill(client, partition_events, session, sent):
    for partition, events in partition_events.items():
        same("events after the kill", facts(client.fetch("hooks", partition, 0).events), facts(events))
    # The last epoch of this session is 1; its one batch is still known, and the old epoch is still fenced.
    newer = client.fetch("ordered", 0, 120).batches[0]
    again = m.encode_batch(newer[1], producer_id=session.producer_id, producer_epoch=1, sequence=0)
    answer = client.produce("ordered", 0, again)
    same("a retry across the crash", (answer["base_offset"], answer["duplicate"]), (120, True))
    with refused("fenced", "the old epoch across the crash"):
        client.produce("ordered", 0, sent[39])


def the_files_are_as_the_page_says(directory, ends):
    found = segment_reader.read_data_directory(directory)
    for (topic, partition), events in ends.items():
        same(f"{topic}/{partition} on disk", facts(found.events(topic, partition)), facts(events))
    true("sealed segments have indexes that agree", found.indexes.get(("rolled", 0), 0) >= 3)
    for place, segments in found.segments.items():
        if not segments:
            continue
        state = found.checkpoints[place]
        same(f"{place}: a clean stop is marked", state.clean, True)
        same(f"{place}: durable end", state.durable_end, segments[-1].end_offset)
        same(f"{place}: its segment", (state.segment_base, state.segment_id),
             (segments[-1].header.base_offset, segments[-1].header.segment_id))
        same(f"{place}: checksum of the last batch", state.last_crc, segments[-1].last_crc)


def run(program):
    with tempfile.TemporaryDirectory(prefix="millrace-proof-") as directory:
        broker = Broker(program, os.path.join(directory, "data"))
        try:
            broker.start()
            client = m.Client(broker.listen)
            ping_tells_who_answers(client, broker)
            topics_are_made_listed_described(client)
            partition_events = events_come_back_byte_for_byte(client, m.ProducerSession())
            session, sent = a_retry_gives_the_old_offsets(client)
            a_fetch_in_the_middle_gives_the_whole_batch(client)
            end = sequences_are_checked(client, session, sent)
            end = ack_levels_are_answered(client, end)
            offsets_are_listed(client, end)
            end = a_long_poll_waits_and_is_woken(client, end)
            bounds_are_refused(client, end)
            a_subscription_obeys_its_credit(client, end)
            the_live_feed_carries_whole_batches(client, broker)
            compressed_batches_pass_through(client)
            bad_batches_are_refused(client)
            bad_messages_are_refused(client)
            topics_are_trimmed_and_deleted(client)
            rolled = a_small_segment_is_sealed_and_followed(client)
            client.close()
            broker.kill()
            broker.start()
            client = m.Client(broker.listen)
            all_is_there_after_a_kill(client, partition_events, session, sent)
            on_disk = {("hooks", partition): events for partition, events in partition_events.items()}
            on_disk["ordered", 0] = client.fetch("ordered", 0, 0).events
            on_disk["rolled", 0] = rolled
            on_disk["packed", 0] = client.fetch("packed", 0, 0).events
            client.close()
            broker.stop()
            the_files_are_as_the_page_says(broker.directory, on_disk)
        finally:
            if broker.process and broker.process.poll() is None:
                broker.kill()
    print(f"proof: {checks} comparisons, no difference")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: proof.py PATH_OF_MILLRACED")
    try:
        run(sys.argv[1])
    except Difference as difference:
        traceback.print_exc()
        sys.exit(f"proof: DIFFERENCE: {difference}")
    except (m.MillraceError, TimeoutError) as error:
        traceback.print_exc()
        sys.exit(f"proof: DIFFERENCE: {error}")
