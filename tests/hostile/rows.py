"""What hostile peers do, one function a row of the protocol's list of faults. Each is bounded in count and time, raises Fault
when the broker answers otherwise than the page says, and leaves nothing open."""

import contextlib
import itertools
import os
import random
import resource
import select
import socket
import struct
import time

import wire
import zmtp

ROWS = {}


class Fault(Exception):
    pass


def row(name, what, memory_mib=96):
    """`memory_mib`: how much more the broker may hold afterwards."""

    def add(function):
        ROWS[name] = (what, memory_mib, function)
        return function

    return add


def expect(condition, text):
    if not condition:
        raise Fault(text)


class Counts:
    def __init__(self):
        self.connections = self.messages = 0


class Scene:
    """What a row is given: where the broker listens, how much to do, and chance."""

    def __init__(self, broker, options, seed):
        self.broker, self.scale, self.memory_factor = broker, options.scale, options.memory_factor
        self.random = random.Random(seed)
        self.counts = Counts()
        self.ids = itertools.count(1)

    def many(self, count):
        return max(2, int(count * self.scale))

    def raw(self, endpoint=None):
        self.counts.connections += 1
        return contextlib.closing(zmtp.connect(endpoint or self.broker.listen))

    def peer(self, *words, endpoint=None, **more):
        self.counts.connections += 1
        return zmtp.patient_peer(endpoint or self.broker.listen, *words, **more)

    def stranger(self, *words, endpoint=None, **more):
        """A peer that may be turned away."""
        self.counts.connections += 1
        return zmtp.Peer(endpoint or self.broker.listen, *words, **more)

    def send(self, peer, frames):
        self.counts.messages += 1
        peer.send(frames)

    def call(self, peer, head, *frames):
        """The reply to a request that was just made with the newest id."""
        self.send(peer, [head, *frames])
        return wire.Reply(peer.receive(20))

    def id(self):
        return next(self.ids)

    def expect_reply(self, peer, error, head, *frames):
        reply = self.call(peer, head, *frames)
        expect(reply.error == error, f"{reply.error} ({reply.text}) instead of {error}")
        return reply

    def expect_ping(self, peer):
        """Alive, and in step: nothing else is answered before."""
        request_id = (1 << 40) + self.id()
        reply = self.call(peer, wire.ping(request_id))
        expect(reply.id == request_id and not reply.code, f"instead of a pong: {reply}")

    def topic(self, name, partitions=1):
        with self.peer() as peer:
            reply = self.call(peer, wire.create_topic(self.id(), name, partitions))
            expect(reply.error in ("ok", "topic_exists"), f"create {name}: {reply}")
        return name


def greeted(stream):
    """Reads the broker's greeting, as far as it comes at once."""
    stream.settimeout(1.0)
    with contextlib.suppress(OSError):
        stream.recv(64)


def samples(scene):
    where = (4, 1_700_000_000)
    return [wire.fetch(scene.id(), "orders", wait_ms=0), wire.list_offsets(scene.id(), "orders", 0, where), wire.ping(scene.id()),
            wire.create_topic(scene.id(), "orders", 1, ["segment_bytes=1 MiB"]), wire.produce(scene.id(), "orders")]


def drain_until(peer, request_id, limit=200_000):
    """Drops replies until that of `request_id` comes."""
    for _ in range(limit):
        if wire.Reply(peer.receive(30)).id == request_id:
            return
    raise Fault("the answer to a ping never came")


@row("PR-01", "malformed FlatBuffers: every cut, changed bytes, random bytes")
def malformed(scene):
    heads = []
    for sample in samples(scene):
        heads += [sample[:size] for size in range(0, len(sample), 1 if scene.scale >= 1 else 5)]
        for at in range(0, len(sample), 1 if scene.scale >= 1 else 5):
            changed = bytearray(sample)
            changed[at] ^= 1 << scene.random.randrange(8)
            heads.append(bytes(changed))
    heads += [scene.random.randbytes(scene.random.randrange(200)) for _ in range(scene.many(1_000))]
    with scene.peer() as peer:
        for head in heads:
            scene.send(peer, [head] if scene.random.random() < 0.8 else [head, b"batch"])
        last = (1 << 41) + scene.id()
        scene.send(peer, [wire.ping(last)])
        drain_until(peer, last)


@row("PR-02", "verifier bombs: thousands of references to one string or table")
def bombs(scene):
    def many_references(count):
        fields = [("string", b"bomb"), ("u32", 1), ("bomb", (count, b"x" * 100))]
        return wire.request(scene.id(), "CreateTopic", fields)

    with scene.peer() as peer:
        for _ in range(scene.many(50)):
            head = many_references(16_000)
            expect(len(head) <= 65_536, "the bomb fits")
            scene.expect_reply(peer, "bad_request", head)
        # Above the limit of a head nothing can be matched to an id: dropped.
        scene.send(peer, [many_references(20_000)])
        scene.expect_ping(peer)


@row("PR-03", "a request inside a request")
def nested(scene):
    with scene.peer() as peer:
        inner = wire.ping(7)
        for _ in range(scene.many(100)):
            inner = wire.request(scene.id(), "Metadata", [("string", inner[-20_000:])])
            scene.expect_reply(peer, "unknown_topic", inner)


@row("PR-04", "unknown members and enumerators, absent and default fields")
def unknown_members(scene):
    with scene.peer() as peer:
        for kind in (0, 14, 99, 255):
            scene.expect_reply(peer, "unsupported", wire.request(scene.id(), kind))
        for ack in (3, 77, 255):
            scene.expect_reply(peer, "bad_request", wire.produce(scene.id(), "orders", ack=ack), wire.batch([b"x"]))
        for kind in (5, 200):
            scene.expect_reply(peer, "bad_request", wire.list_offsets(scene.id(), "orders", 0, (kind, 0)))
        for kind in ("Produce", "Fetch", "Subscribe", "ListOffsets", "CreateTopic", "DescribeTopic", "DeleteTopic", "TrimTopic",
                     "Metadata"):
            frames = [wire.batch([b"x"])] if kind == "Produce" else []
            scene.expect_reply(peer, "bad_request", wire.request(scene.id(), kind), *frames)
        scene.expect_reply(peer, "bad_request", wire.root(b"MRRQ", [("u16", 1), ("u64", scene.id()), ("u8", 13), None]))
        scene.expect_ping(peer)


@row("PR-05", "frames at every address of the receive buffer")
def odd_addresses(scene):
    topic = scene.topic("odd")
    with scene.peer() as peer:
        data, wanted = b"", []
        for i in range(scene.many(400)):
            # Junk of every length in front moves the next frames through all alignments.
            data += zmtp.message([bytes(i % 23)])
            request_id = scene.id()
            wanted.append(request_id)
            data += zmtp.message([wire.produce(request_id, topic), wire.batch([b"y" * (i % 50)])])
            scene.counts.messages += 2
        peer.send_bytes(data)
        for request_id in wanted:
            reply = wire.Reply(peer.receive(20))
            expect(reply.id == request_id and not reply.code, f"produce at an odd address: {reply}")


@row("PR-06", "frames that announce up to 2^63-1 bytes")
def huge_frames(scene):
    for size in (1 << 63, (1 << 63) - 1, 1 << 40, (64 << 20) + (64 << 10) + 1):
        for endpoint in (scene.broker.listen, scene.broker.live):
            kind = "DEALER" if endpoint == scene.broker.listen else "SUB"
            with scene.peer(kind, endpoint=endpoint) as peer:
                with contextlib.suppress(zmtp.Closed):
                    peer.send_bytes(bytes([zmtp.LONG]) + struct.pack(">Q", size) + bytes(10_000))
                    scene.counts.messages += 1
                expect(peer.wait_closed(10), f"a frame of {size} bytes is refused")


# libzmq keeps the parts of an unfinished message until its connection ends, and the allocator may keep them a while longer.
@row("PR-07", "messages that never end", memory_mib=256)
def never_ending(scene):
    for part, count in ((1_000, 40_000), (1, 40_000), (1 << 20, 32)):
        with scene.peer() as peer:
            piece = zmtp.frame(bytes(part), zmtp.MORE)
            pieces = piece * max(1, 65_536 // len(piece))
            for _ in range(max(1, scene.many(count) * len(piece) // len(pieces))):
                peer.send_bytes(pieces)
            scene.counts.messages += 1
            with scene.peer() as other:
                scene.expect_ping(other)


@row("PR-08", "wrong numbers of frames, empty frames")
def wrong_counts(scene):
    batch = wire.batch([b"x"])
    with scene.peer() as peer:
        for _ in range(scene.many(20)):
            for frames in ([b""], [b"", b""], [b"", wire.ping(1)], [b""] * 1_000):
                scene.send(peer, frames)
            for frames in ([wire.ping(scene.id())] * 2, [wire.ping(scene.id()), b""], [wire.ping(scene.id())] + [b""] * 999,
                           [wire.produce(scene.id(), "orders")], [wire.produce(scene.id(), "orders"), batch, batch],
                           [wire.produce(scene.id(), "orders"), b"", batch], [wire.produce(scene.id(), "orders"), batch, b""]):
                scene.expect_reply(peer, "bad_request", *frames)
            scene.expect_reply(peer, "bad_batch", wire.produce(scene.id(), "orders"), b"")
            scene.expect_ping(peer)


@row("PR-09", "newer versions, unknown kinds, reserved bits")
def newer(scene):
    with scene.peer() as peer:
        for version in (0, 2, 3, 0xFFFF):
            reply = scene.expect_reply(peer, "unsupported", wire.request(scene.id(), "Ping", version=version))
            expect("speaks 1 to 1" in reply.text, f"what is supported is named: {reply.text}")
        scene.expect_reply(peer, "bad_request", wire.ping((1 << 64) - 1))
        topic = scene.topic("newer")
        for lie in ({"flags": 1}, {"flags": 0x8000}, {"codec": 3}, {"version": 2}):
            scene.expect_reply(peer, "unsupported", wire.produce(scene.id(), topic), wire.batch([b"x"], **lie))
        scene.expect_ping(peer)
    for flags in (0x08, 0x10, 0x80, 0xF8):
        with scene.peer() as peer:
            with contextlib.suppress(zmtp.Closed):
                peer.send_bytes(zmtp.frame(wire.ping(scene.id()), flags))
            # Reserved bits of a frame: dropped or read past, never both.
            peer.wait_closed(0.1)


@row("PR-10", "sequences: again, changed, with gaps, from old epochs, by many sessions")
def sequences(scene):
    topic = scene.topic("sequences")
    with scene.peer() as peer:

        def send(error, payload, producer, sequence, epoch=0):
            data = wire.batch([payload], producer_id=producer, sequence=sequence, epoch=epoch)
            return scene.expect_reply(peer, error, wire.produce(scene.id(), topic), data)

        for _ in range(scene.many(20)):
            producer = scene.random.getrandbits(64) | 1
            send("unknown_producer", b"a", producer, 5)
            first = send("ok", b"a", producer, 0).number(0)
            again = send("ok", b"a", producer, 0)
            expect(again.number(0) == first and again.body.scalar(4, "u8") == 1, "a retry gets the first offset")
            send("sequence_conflict", b"b", producer, 0)
            send("out_of_order", b"c", producer, 9)
            for sequence in range(1, 40):
                send("ok", b"%d" % sequence, producer, sequence)
            send("sequence_expired", b"1", producer, 1)
            send("ok", b"new epoch", producer, 0, epoch=1)
            send("fenced", b"39", producer, 40, epoch=0)
        for _ in range(scene.many(600)):
            send("ok", b"one of many", scene.random.getrandbits(64) | 1, 0)
        scene.expect_ping(peer)


@row("PR-13", "batches whose header or columns lie")
def lying_batches(scene):
    topic = scene.topic("lies")
    body = wire.body_of([b"one", b"two"])
    good = wire.batch([b"one", b"two"], body=body)
    with scene.peer() as peer:

        def refused(data, *errors):
            reply = scene.call(peer, wire.produce(scene.id(), topic), data)
            expect(reply.error in (errors or ("bad_batch",)), f"{reply} for {data[:96].hex()}")

        for lie in ({"event_count": 0}, {"event_count": 1}, {"event_count": 3}, {"event_count": 1 << 22}, {"event_count": 1 << 31},
                    {"body_bytes": 0}, {"body_bytes": len(body) - 1}, {"body_bytes": len(body) + 1}, {"body_bytes": 0xFFFFFFFF},
                    {"raw_bytes": 0}, {"raw_bytes": len(body) + 1}, {"raw_bytes": 0xFFFFFFFF}, {"base_offset": 5},
                    {"base_offset": 1 << 63}, {"segment_id": 1}, {"magic": 0}, {"body_crc": 1}, {"header_crc": 1},
                    {"codec": 1, "raw_bytes": 1 << 30}, {"codec": 2, "raw_bytes": len(body) * 1_025 + 1_024}):
            refused(wire.batch([b"one", b"two"], body=body, **lie))
        for size in range(0, len(good), 1 if scene.scale >= 1 else 7):
            refused(good[:size])
        refused(good + bytes(8))
        for _ in range(scene.many(500)):
            changed = bytearray(body)
            changed[scene.random.randrange(len(body))] ^= 1 << scene.random.randrange(8)
            reply = scene.call(peer, wire.produce(scene.id(), topic), wire.batch([b"one", b"two"], body=bytes(changed)))
            expect(reply.error in ("ok", "bad_batch"), str(reply))
        reply = scene.call(peer, wire.produce(scene.id(), topic), wire.batch([], body=bytes(2 << 20), event_count=1, header_crc=0))
        expect(reply.error in ("too_large", "bad_batch"), str(reply))
        scene.expect_ping(peer)


@row("PR-14", "clients that ask for everything and never read", memory_mib=320)
def deaf_readers(scene):
    topic = scene.topic("deaf")
    data = wire.batch([bytes(1_000_000)])
    with scene.peer() as peer:
        for _ in range(scene.many(40)):
            scene.expect_reply(peer, "ok", wire.produce(scene.id(), topic), data)
    deaf = []
    try:
        for i in range(scene.many(12)):
            peer = scene.peer()
            deaf.append(peer)
            peer.stream.setblocking(False)
            with contextlib.suppress(BlockingIOError, ConnectionError):
                peer.stream.send(zmtp.message([wire.subscribe(scene.id(), topic, 0, 0, credit=0xFFFFFFFF)]))
                for _ in range(64):
                    peer.stream.send(zmtp.message([wire.fetch(scene.id(), topic, 0, i, max_bytes=1 << 24)]))
                    scene.counts.messages += 1
        for _ in range(10):
            with scene.peer() as other:
                scene.expect_ping(other)
        resident = scene.broker.resident_mib()
        # Replies under way are bounded for each client: limits.client_bytes_max, 32 MiB.
        allowed = scene.broker.resident_before + (40 * len(deaf) + 200) * scene.memory_factor
        expect(resident < allowed, f"{resident} MiB resident with {len(deaf)} clients that do not read, above {allowed}")
    finally:
        for peer in deaf:
            peer.close()


@row("PR-14b", "peers that go on talking and never read: others are served meanwhile, and they are dropped")
def deaf_talkers(scene):
    flags = ["--set", "listen.stall_max=2 s", "--set", "limits.reply_bytes_max=8 MiB", "--set", "limits.client_bytes_max=4 MiB"]
    with scene.broker.another(flags, None) as broker:
        good = zmtp.Peer(broker.listen, timeout=20)
        expect(not scene.call(good, wire.create_topic(scene.id(), "orders")).code, "a topic")
        data = wire.batch([bytes(900_000)])
        for _ in range(12):
            scene.expect_reply(good, "ok", wire.produce(scene.id(), "orders"), data)
        deaf = []
        try:
            for _ in range(8):
                peer = zmtp.Peer(broker.listen)
                deaf.append(peer)
                for i in range(30):
                    scene.send(peer, [wire.fetch(scene.id(), "orders", 0, i % 12, max_bytes=1 << 24)])
            for _ in range(5):
                scene.expect_reply(good, "ok", wire.fetch(scene.id(), "orders", 0, 11, max_bytes=1 << 24))
            # They send heartbeats, and take nothing: the connection ends all the same.
            deadline = time.monotonic() + 60
            while deaf and time.monotonic() < deadline:
                time.sleep(0.2)
                for peer in list(deaf):
                    try:
                        peer.stream.sendall(zmtp.frame(b"\x04PING\x00\x0a", zmtp.COMMAND))
                    except OSError:
                        peer.close()
                        deaf.remove(peer)
            expect(not deaf, f"{len(deaf)} peers that read nothing for a minute are still connected")
            scene.expect_ping(good)
        finally:
            for peer in deaf:
                peer.close()
            good.close()


@row("PR-15", "subscribers of the live feed that do not read", memory_mib=320)
def slow_subscribers(scene):
    topic = scene.topic("slow")
    data = wire.batch([bytes(200_000)])
    slow = [scene.peer("SUB", endpoint=scene.broker.live) for _ in range(scene.many(10))]
    try:
        for peer in slow:
            peer.send([b"\x01"])
        with scene.peer() as peer:
            for _ in range(scene.many(200)):
                scene.expect_reply(peer, "ok", wire.produce(scene.id(), topic), data)
        with scene.peer("SUB", endpoint=scene.broker.live) as quick:
            quick.send([b"\x01" + topic.encode() + b"/0/"])
            with scene.peer() as peer:
                deadline = time.monotonic() + 20
                while time.monotonic() < deadline:
                    scene.expect_reply(peer, "ok", wire.produce(scene.id(), topic), wire.batch([b"seen"]))
                    if select.select([quick], [], [], 0.05)[0]:
                        break
            frames = quick.receive(20)
            expect(frames[0] == topic.encode() + b"/0/", "others are served")
    finally:
        for peer in slow:
            peer.close()


@row("PR-16", "connection floods and handshakes that drag on")
def floods(scene):
    for _ in range(scene.many(500)):
        with scene.raw():
            pass
    for _ in range(scene.many(200)):
        with scene.peer() as peer:
            if scene.random.random() < 0.5:
                scene.send(peer, [wire.ping(scene.id())])
    slow = []
    try:
        for i in range(scene.many(300)):
            scene.counts.connections += 1
            stream = zmtp.connect(scene.broker.listen if i % 3 else scene.broker.live)
            stream.setblocking(False)
            slow.append(stream)
        # One byte now and then does not keep a handshake open.
        script = zmtp.greeting()
        closed, sent, deadline = set(), 0, time.monotonic() + 25
        while len(closed) < len(slow) and time.monotonic() < deadline:
            for stream in slow:
                if stream in closed:
                    continue
                try:
                    if sent < 11 and stream.fileno() % 2:
                        stream.send(script[sent:sent + 1])
                    if not stream.recv(4096):
                        closed.add(stream)
                except BlockingIOError:
                    pass
                except ConnectionError:
                    closed.add(stream)
            sent += 1
            time.sleep(0.25)
            if sent % 4 == 0:
                with scene.peer() as other:
                    scene.expect_ping(other)
        expect(len(closed) == len(slow), f"{len(slow) - len(closed)} of {len(slow)} slow handshakes are still open after 25 s")
    finally:
        for stream in slow:
            stream.close()


@row("PR-17", "all clients come back at once")
def reconnect_storm(scene):
    streams = []
    try:
        for _ in range(scene.many(400)):
            scene.counts.connections += 1
            stream = zmtp.connect(scene.broker.listen, 20)
            stream.sendall(zmtp.greeting() + zmtp.ready({"Socket-Type": b"DEALER"}))
            stream.settimeout(20)
            streams.append(stream)

        def wait_for(stream, word):
            data = b""
            while word not in data:
                more = stream.recv(65_536)
                expect(more, "a client of the storm was dropped")
                data += more

        # libzmq 4.3.4 drops who sends his first message in one piece with the handshake.
        ready = []
        for stream in streams:
            try:
                wait_for(stream, b"Identity")
                ready.append(stream)
            except (Fault, OSError):
                # A handshake that took too long, on a busy machine: a client comes again.
                with scene.peer() as peer:
                    scene.expect_ping(peer)
        for stream in ready:
            stream.sendall(zmtp.message([wire.ping(1)]))
            scene.counts.messages += 1
        for stream in ready:
            wait_for(stream, b"MRRP")
    finally:
        for stream in streams:
            stream.close()


@row("PR-18", "routing ids of the client's choice: equal, empty, long, reserved")
def routing_ids(scene):
    for identity in (b"", b"x", bytes(5), b"\0" + os.urandom(4), b"y" * 255, b"\xff" * 255):
        with scene.peer(identity=identity) as first:
            scene.expect_ping(first)
            with scene.peer(identity=identity) as second:
                # Its equal is there already: it may be ignored, but gets nobody else's answers and harms nobody.
                scene.send(second, [wire.ping(4_242)])
                for _ in range(5):
                    scene.expect_ping(first)
                with contextlib.suppress(zmtp.Silent, zmtp.Closed):
                    reply = wire.Reply(second.receive(0.3))
                    expect(reply.id == 4_242, f"somebody else's answer: {reply}")
    with contextlib.suppress(zmtp.Closed, zmtp.Silent), scene.stranger(identity=b"z" * 256, timeout=3) as peer:
        scene.send(peer, [wire.ping(1)])
        peer.wait_closed(0.2)


@row("PR-20", "subscription floods: thousands of long topics", memory_mib=160)
def subscription_floods(scene):
    for _ in range(2):
        with scene.peer("SUB", endpoint=scene.broker.live) as peer:
            for _ in range(scene.many(5_000)):
                scene.send(peer, [b"\x01" + scene.random.randbytes(100).hex().encode()])
            with contextlib.suppress(zmtp.Closed):
                peer.send([b"\x01" + bytes(100_000)])
            peer.wait_closed(0.5)


@row("PR-21", "messages sent up into the live feed")
def feed_upwards(scene):
    for kind in ("SUB", "XSUB"):
        with scene.peer(kind, endpoint=scene.broker.live) as peer, contextlib.suppress(zmtp.Closed):
            for i in range(scene.many(20_000)):
                scene.send(peer, [b"\x07hello"] if i % 2 else [b"orders/0/", bytes(32), bytes(300)])
            peer.wait_closed(0.2)


@row("PR-22", "names of topics that are none")
def topic_names(scene):
    names = [b"", b".", b"..", b"/", b"a/b", b"../../etc", b"a\0b", b"a\nb", b"%2e%2e", "ordеrs".encode(), b"\xff\xfe", b"x" * 201,
             b"x" * 60_000, b".hidden", b"a b", b"a\tb", b"*", b"con:", b"\\\\host"]
    with scene.peer() as peer:
        for _ in range(scene.many(10)):
            for name in names:
                reply = scene.expect_reply(peer, "bad_topic_name", wire.create_topic(scene.id(), name))
                expect("\n" not in reply.text and len(reply.text) < 1_000, "an error is one line")
                for head in (wire.fetch(scene.id(), name), wire.request(scene.id(), "DeleteTopic", [("string", name)])):
                    scene.expect_reply(peer, "unknown_topic", head)
        scene.topic("case")
        scene.topic("CASE")
        scene.expect_ping(peer)


@row("PR-23", "numbers at their ends")
def extremes(scene):
    topic = scene.topic("extremes")
    top = (1 << 64) - 1
    with scene.peer() as peer:
        for offset in (top, 1 << 63, 1 << 62):
            scene.expect_reply(peer, "bad_request", wire.fetch(scene.id(), topic, 0, offset))
            scene.expect_reply(peer, "bad_request", wire.subscribe(scene.id(), topic, 0, offset))
        for partition in (1, 0x7FFFFFFF, 0xFFFFFFFF):
            scene.expect_reply(peer, "unknown_partition", wire.fetch(scene.id(), topic, partition))
        scene.expect_reply(peer, "offset_out_of_range", wire.fetch(scene.id(), topic, 0, (1 << 62) - 1))
        for most in (0, 1, 0x80000000, 0xFFFFFFFF):
            scene.expect_reply(peer, "ok", wire.fetch(scene.id(), topic, 0, 0, min_bytes=0, max_bytes=most, wait_ms=0))
        scene.expect_reply(peer, "ok", wire.fetch(scene.id(), topic, 0, 0, min_bytes=0xFFFFFFFF, max_bytes=0, wait_ms=1))
        for where in ((2, -1), (2, 1 << 62), (3, -1), (3, (1 << 63) - 1), (2, -(1 << 63))):
            scene.expect_reply(peer, "bad_request", wire.list_offsets(scene.id(), topic, 0, where))
            scene.expect_reply(peer, "bad_request", wire.trim(scene.id(), topic, 0, where))
        for where in ((4, -(1 << 63)), (4, (1 << 63) - 1), (3, (1 << 62) - 1), (0, -5), (1, 1 << 62)):
            scene.expect_reply(peer, "ok", wire.list_offsets(scene.id(), topic, 0, where))
        for partitions in (0, 4_097, 0xFFFFFFFF):
            reply = scene.call(peer, wire.create_topic(scene.id(), f"p{partitions}", partitions))
            expect(reply.code, f"a topic of {partitions} partitions was made")
        for setting in (b"segment_bytes=99999999999999999999", b"retention_age=-1 s", b"=", b"x", b"live=maybe", b"segment_bytes=0"):
            reply = scene.call(peer, wire.request(scene.id(), "CreateTopic", [("string", b"s"), ("u32", 1), ("strings", [setting])]))
            expect(reply.error == "bad_setting", f"{setting}: {reply}")
        subscription = scene.id()
        scene.expect_reply(peer, "ok", wire.subscribe(scene.id(), topic, 0, 0, subscription, 0xFFFFFFFF))
        for _ in range(5):
            scene.send(peer, [wire.credit(scene.id(), subscription, 0xFFFFFFFF)])
        scene.expect_ping(peer)


@row("PR-24", "ids in use, unknown ids, requests after the end")
def ids(scene):
    topic = scene.topic("ids")
    with scene.peer() as peer:
        waiting = scene.id()
        scene.send(peer, [wire.fetch(waiting, topic, 0, 0, min_bytes=1 << 20, wait_ms=600)])
        reply = scene.expect_reply(peer, "bad_state", wire.fetch(waiting, topic, 0, 0, min_bytes=1 << 20, wait_ms=600))
        expect(reply.id == waiting, "the second is refused")
        expect(not wire.Reply(peer.receive(20)).code, "the first is answered")
        for unknown in (0, 99, (1 << 64) - 1):
            scene.expect_reply(peer, "bad_state", wire.credit(scene.id(), unknown, 1))
            scene.expect_reply(peer, "bad_state", wire.unsubscribe(scene.id(), unknown))
        scene.expect_reply(peer, "ok", wire.subscribe(scene.id(), topic, 0, 0, 5))
        scene.expect_reply(peer, "bad_state", wire.subscribe(scene.id(), topic, 0, 0, 5))
        scene.expect_reply(peer, "ok", wire.unsubscribe(scene.id(), 5))
        scene.expect_reply(peer, "bad_state", wire.credit(scene.id(), 5, 1))
        refused = 0
        for number in range(scene.many(1_000)):
            reply = scene.call(peer, wire.subscribe(scene.id(), topic, 0, 0, 100 + number, 0))
            refused += reply.code != 0
        waits = []
        for _ in range(scene.many(1_000)):
            waits.append(scene.id())
            scene.send(peer, [wire.fetch(waits[-1], topic, 0, 0, min_bytes=1 << 20, wait_ms=300)])
        answered = set()
        while len(answered) < len(waits):
            answered.add(wire.Reply(peer.receive(30)).id)
        expect(answered == set(waits), "every fetch is answered")


GREETINGS = (
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /metrics HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(508), b"hello?\r\nquit\r\n", bytes(100_000), b"\xff" * 100_000,
    b"\x01\x00", b"\x01\x00\x05\x00hello", b"\xff" * 10, zmtp.SIGNATURE + b"\x01\x05\x00\x00", zmtp.SIGNATURE + b"\x00",
    zmtp.SIGNATURE + b"\x02\x05\x00\x00", zmtp.greeting(version=(99, 0)), zmtp.greeting(b"PLAIN"), zmtp.greeting(b"CURVE"),
    zmtp.greeting(b"GSSAPI"), zmtp.greeting(b""), zmtp.greeting(b"\xff" * 20), zmtp.greeting(as_server=1),
    zmtp.greeting() + zmtp.frame(b"\x05READY", zmtp.COMMAND), zmtp.greeting() + zmtp.frame(b"\x05HELLO", zmtp.COMMAND),
    zmtp.greeting() + zmtp.frame(b"\x05READY\xffx", zmtp.COMMAND), zmtp.greeting() + zmtp.frame(b"\xff", zmtp.COMMAND),
    zmtp.greeting() + zmtp.frame(b"", zmtp.COMMAND), zmtp.greeting() + zmtp.frame(b"\x05ERROR\x05hello", zmtp.COMMAND),
    zmtp.greeting() + zmtp.frame(b"\x05READY\x0bSocket-Type\xff\xff\xff\xffDEALER", zmtp.COMMAND),
    zmtp.greeting() + zmtp.ready({"Socket-Type": b"DEALER"}) + zmtp.frame(b"\x09SUBSCRIBE" + bytes(50), zmtp.COMMAND),
    zmtp.greeting() + zmtp.ready({"Socket-Type": b"DEALER"}) + zmtp.frame(b"\x04PING\xff\xff" + bytes(60_000), zmtp.COMMAND),
    zmtp.greeting() + zmtp.ready({"Socket-Type": b"DEALER"}) + zmtp.frame(b"\x04PING", zmtp.COMMAND),
    zmtp.greeting() + zmtp.ready({"Socket-Type": b"DEALER"}) + zmtp.frame(b"\x04PONG" + bytes(300), zmtp.COMMAND),
    zmtp.greeting() + zmtp.ready({"Socket-Type": b"DEALER", **{f"X-{i}": bytes(200) for i in range(200)}}),
)


@row("PR-25", "HTTP, TLS, telnet, ZMTP 1 and 2, wrong mechanisms and broken commands, on each port")
def strangers(scene):
    for _ in range(scene.many(3)):
        for endpoint in (scene.broker.listen, scene.broker.live, scene.broker.http):
            for data in GREETINGS:
                with scene.raw(endpoint) as stream, contextlib.suppress(OSError):
                    stream.sendall(data)
                    scene.counts.messages += 1
                    stream.settimeout(0.005)
                    stream.recv(4096)
            for _ in range(scene.many(20)):
                with scene.raw(endpoint) as stream, contextlib.suppress(OSError):
                    stream.sendall(zmtp.greeting()[:scene.random.randrange(64)] + scene.random.randbytes(100))


KINDS = ("PAIR", "PUB", "SUB", "REQ", "REP", "DEALER", "ROUTER", "PULL", "PUSH", "XPUB", "XSUB", "STREAM", "SERVER", "CLIENT",
         "RADIO", "DISH", "GATHER", "SCATTER", "PEER", "CHANNEL", "", "dealer", "DEALER\0", "X" * 255)
WELCOME = {"listen": {"DEALER", "REQ", "ROUTER"}, "live": {"SUB", "XSUB"}}


@row("PR-26", "sockets of every type on each port")
def socket_types(scene):
    for port, endpoint in (("listen", scene.broker.listen), ("live", scene.broker.live)):
        for kind in KINDS:
            try:
                make = scene.peer if kind in WELCOME[port] else scene.stranger
                with make(kind, endpoint=endpoint, timeout=10) as peer:
                    with contextlib.suppress(zmtp.Closed):
                        for frames in ([b""], [b"", wire.ping(1)], [wire.ping(2)], [b"\x01"], [b"\x01x", b"y"]):
                            scene.send(peer, frames)
                    expect(kind in WELCOME[port] or peer.wait_closed(10), f"{kind} stays on {port}")
            except zmtp.Closed:
                expect(kind not in WELCOME[port], f"{kind} is refused on {port}")


# -- PR-19 has a broker of its own, whose limit of descriptors is low from the start.

DESCRIPTORS = 64


@row("PR-19", "more connections than descriptors")
def descriptors(scene):
    with scene.broker.another(["--set", "topic.segment_bytes=64 KiB", "--set", "topic.preallocate_bytes_min=64 KiB",
                               "--set", "topic.preallocate_bytes_max=64 KiB", "--set", "topic.batch_bytes_max=32 KiB"],
                              lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))) as broker:
        good = zmtp.patient_peer(broker.listen)
        reply = scene.call(good, wire.create_topic(scene.id(), "orders"))
        expect(not reply.code, str(reply))
        idle = []
        try:
            for i in range(150):
                scene.counts.connections += 1
                with contextlib.suppress(OSError):
                    stream = zmtp.connect(broker.listen if i % 2 else broker.live, 5)
                    idle.append(stream)
                    # The handshake is whole, so that nobody drops it for that.
                    stream.sendall(zmtp.greeting() + zmtp.ready({"Socket-Type": b"DEALER" if i % 2 else b"SUB"}))
            # Storage has its descriptors, or gets them back: segments are made all the while.
            data, deadline = wire.batch([bytes(30_000)]), time.monotonic() + 20
            for _ in range(12):
                while (reply := scene.call(good, wire.produce(scene.id(), "orders"), data)).code:
                    expect(reply.error == "overloaded" and time.monotonic() < deadline, f"no segment can be made: {reply}")
                    time.sleep(0.1)
            deadline = time.monotonic() + 20
            while (waiting := broker.connections_waiting()) != 0:
                expect(time.monotonic() < deadline, f"{waiting} connections wait for a descriptor, and libzmq tries for ever")
                time.sleep(0.1)
            expect(broker.descriptors() < DESCRIPTORS, "some descriptors are left")
            scene.expect_ping(good)
        finally:
            for stream in idle:
                stream.close()
        deadline = time.monotonic() + 20
        while True:
            try:
                with scene.stranger(endpoint=broker.listen, timeout=2) as peer:
                    scene.expect_ping(peer)
                    break
            except (OSError, zmtp.Closed, zmtp.Silent):
                expect(time.monotonic() < deadline, "no new client is served 20 s after the others went")
                time.sleep(0.1)
        scene.expect_ping(good)
        good.close()
