"""A small Millrace client in plain Python: python3-zmq, python3-flatbuffers and the standard library, nothing else.

It is written from docs/wire-protocol.md and docs/storage-format.md alone and shares no line with the C++ client, so it
shows that those pages are enough. It is a proof and an example, not a fast client.

    client = Client("tcp://127.0.0.1:7711")
    client.create_topic("orders", partitions=4)
    session = ProducerSession()
    client.produce("orders", 0, session.batch([Event(b"hello", key=b"k")]))
    for event in client.fetch("orders", 0, offset=0).events:
        print(event.offset, event.payload)
"""

import ctypes
import ctypes.util
import os
import struct
import time
from dataclasses import dataclass, field

import flatbuffers
import zmq
from flatbuffers import encode, number_types
from flatbuffers.table import Table

PROTOCOL_VERSION = 1
RESERVED_ID = (1 << 64) - 1  # replies that bear it answer nothing


# -- CRC32C ------------------------------------------------------------------------------------------------

def _crc_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_CRC = _crc_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    table = _CRC
    for byte in bytes(data):
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def partition_of(key, partitions):
    """Where every client puts an event with this key."""
    return crc32c(key) % partitions


# -- FlatBuffers by hand -----------------------------------------------------------------------------------
# A table is the list of its fields in the order of the schema: (name, type, default). The place in the list is the
# field's number; a union takes two numbers, its type and its value.

_SCALARS = {
    "u8": (number_types.Uint8Flags, "PrependUint8Slot"),
    "u16": (number_types.Uint16Flags, "PrependUint16Slot"),
    "u32": (number_types.Uint32Flags, "PrependUint32Slot"),
    "u64": (number_types.Uint64Flags, "PrependUint64Slot"),
    "i64": (number_types.Int64Flags, "PrependInt64Slot"),
    "bool": (number_types.BoolFlags, "PrependBoolSlot"),
}

ACK_NONE, ACK_RECEIVED, ACK_DURABLE = 0, 1, 2
WHERE_START, WHERE_END, WHERE_BEFORE_END, WHERE_OFFSET, WHERE_TIME = range(5)

_TOPIC = [("topic", "string", None), ("topic_id", "id", None)]
_PLACE = _TOPIC + [("partition", "u32", 0)]

TABLES = {
    # requests
    "Produce": _PLACE + [("ack", "u8", ACK_DURABLE)],
    "Fetch": _PLACE + [("offset", "u64", 0), ("min_bytes", "u32", 1), ("max_bytes", "u32", 16777216),
                       ("wait_ms", "u32", 500)],
    "Subscribe": [("subscription", "u64", 0)] + _PLACE + [("offset", "u64", 0), ("credit_bytes", "u32", 0)],
    "Credit": [("subscription", "u64", 0), ("credit_bytes", "u32", 0)],
    "Unsubscribe": [("subscription", "u64", 0)],
    "ListOffsets": _PLACE + [("where", "where", None)],
    "CreateTopic": [("topic", "string", None), ("partitions", "u32", 1), ("settings", "[string]", None)],
    "ListTopics": [],
    "DescribeTopic": [("topic", "string", None)],
    "DeleteTopic": _TOPIC,
    "TrimTopic": _PLACE + [("where", "where", None)],
    "Metadata": [("topic", "string", None)],
    "Ping": [],
    "Request": [("version", "u16", 0), ("id", "u64", 0), ("body", "union", "RequestBody")],
    # replies
    "Produced": [("base_offset", "u64", 0), ("end_offset", "u64", 0), ("append_time", "i64", 0),
                 ("ack", "u8", ACK_DURABLE), ("duplicate", "bool", False)],
    "Fetched": [("start_offset", "u64", 0), ("end_offset", "u64", 0), ("next_offset", "u64", 0)],
    "Subscribed": [("start_offset", "u64", 0), ("end_offset", "u64", 0)],
    "Pushed": [("subscription", "u64", 0), ("next_offset", "u64", 0), ("end_offset", "u64", 0), ("credit_left", "u32", 0)],
    "OffsetList": [("offset", "u64", 0), ("start_offset", "u64", 0), ("end_offset", "u64", 0)],
    "TopicList": [("names", "[string]", None), ("ids", "[id]", None), ("partitions", "[u32]", None),
                  ("bytes", "[u64]", None), ("events", "[u64]", None)],
    "TopicInfo": [("topic", "string", None), ("id", "id", None), ("partitions", "u32", 0), ("created", "i64", 0),
                  ("settings", "[string]", None), ("batch_bytes_max", "u32", 0), ("start_offsets", "[u64]", None),
                  ("end_offsets", "[u64]", None), ("bytes", "[u64]", None), ("segments", "[u32]", None),
                  ("states", "[string]", None), ("last_append_times", "[i64]", None), ("corrupt_events", "[u64]", None)],
    "Pong": [("broker_version", "string", None), ("cluster_id", "id", None), ("protocol_min", "u16", 0),
             ("protocol_max", "u16", 0), ("live", "string", None), ("uptime_ms", "u64", 0)],
    "Done": [],
    "Reply": [("id", "u64", 0), ("error", "u16", 0), ("error_text", "string", None), ("body", "union", "ReplyBody"),
              ("range_begin", "u64", 0), ("range_end", "u64", 0)],
    # stored
    "BatchBody": [("payloads", "[u8]", None), ("payload_ends", "[u32]", None), ("keys", "[u8]", None),
                  ("key_ends", "[u32]", None), ("headers", "[u8]", None), ("header_ends", "[u32]", None),
                  ("base_time", "i64", 0), ("time_deltas", "[i64]", None)],
    "TopicMeta": [("id", "id", None), ("name", "string", None), ("partitions", "u32", 0), ("created", "i64", 0),
                  ("generation", "u64", 0), ("settings", "[string]", None)],
}

UNIONS = {
    "RequestBody": ["Produce", "Fetch", "Subscribe", "Credit", "Unsubscribe", "ListOffsets", "CreateTopic", "ListTopics",
                    "DescribeTopic", "DeleteTopic", "TrimTopic", "Metadata", "Ping"],
    "ReplyBody": ["Produced", "Fetched", "Subscribed", "Pushed", "OffsetList", "TopicList", "TopicInfo", "Pong", "Done"],
}

IDENTIFIERS = {"Request": b"MRRQ", "Reply": b"MRRP", "BatchBody": b"MRBB", "TopicMeta": b"MRTM"}


def _vector(builder, kind, values):
    if kind == "u8":
        # Payloads must begin on an 8-byte boundary of the body; the other byte columns do not mind.
        builder.StartVector(1, len(values), 8)
        builder.head -= len(values)
        builder.Bytes[builder.Head():builder.Head() + len(values)] = bytes(values)
        return builder.EndVector()
    if kind == "string":
        values = [builder.CreateString(value.encode()) for value in values]
        builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            builder.PrependUOffsetTRelative(value)
        return builder.EndVector()
    width = {"u32": 4, "u64": 8, "i64": 8}[kind]
    prepend = {"u32": builder.PrependUint32, "u64": builder.PrependUint64, "i64": builder.PrependInt64}[kind]
    builder.StartVector(width, len(values), width)
    for value in reversed(values):
        prepend(value)
    return builder.EndVector()


def _write_table(builder, table, values):
    parts = {}
    unknown = set(values) - {name for name, _, _ in TABLES[table]}
    if unknown:
        raise ValueError(f"{table} has no field {sorted(unknown)}")
    for name, kind, default in TABLES[table]:
        value = values.get(name)
        if value is None:
            continue
        if kind == "string":
            parts[name] = builder.CreateString(value.encode() if isinstance(value, str) else value)
        elif kind.startswith("["):
            parts[name] = _vector(builder, kind[1:-1], value)
        elif kind == "union":
            member, fields = value
            parts[name] = (UNIONS[default].index(member) + 1, _write_table(builder, member, fields))
    slots = sum(2 if kind == "union" else 1 for _, kind, _ in TABLES[table])
    builder.StartObject(slots)
    slot = 0
    for name, kind, default in TABLES[table]:
        value = values.get(name)
        if kind == "union":
            if value is not None:
                builder.PrependUint8Slot(slot, parts[name][0], 0)
                builder.PrependUOffsetTRelativeSlot(slot + 1, parts[name][1], 0)
            slot += 2
            continue
        if value is not None and kind in _SCALARS:
            getattr(builder, _SCALARS[kind][1])(slot, value, default)
        elif value is not None and kind == "id":
            builder.Prep(8, 16)
            builder.PrependUint64(int.from_bytes(value[8:], "little"))
            builder.PrependUint64(int.from_bytes(value[:8], "little"))
            builder.PrependStructSlot(slot, builder.Offset(), 0)
        elif value is not None and kind == "where":
            builder.Prep(8, 16)
            builder.PrependInt64(value[1])
            builder.Pad(7)
            builder.PrependUint8(value[0])
            builder.PrependStructSlot(slot, builder.Offset(), 0)
        elif value is not None:
            builder.PrependUOffsetTRelativeSlot(slot, parts[name], 0)
        slot += 1
    return builder.EndObject()


def encode_root(table, values):
    room = 1024 + sum(len(v) for v in values.values() if isinstance(v, (bytes, bytearray)))
    builder = flatbuffers.Builder(room)
    builder.Finish(_write_table(builder, table, values), IDENTIFIERS[table])
    return bytes(builder.Output())


def _read_vector(view, at, kind):
    start, count = view.Vector(at), view.VectorLen(at)
    if kind == "u8":
        return bytes(view.Bytes[start:start + count])
    if kind == "id":
        return [bytes(view.Bytes[start + 16 * i:start + 16 * i + 16]) for i in range(count)]
    if kind == "string":
        return [view.String(start + 4 * i).decode() for i in range(count)]
    letter = {"u32": "I", "u64": "Q", "i64": "q"}[kind]
    return list(struct.unpack_from(f"<{count}{letter}", view.Bytes, start))


def _read_table(view, table):
    out = {}
    slot = 0
    for name, kind, default in TABLES[table]:
        at = view.Offset(4 + 2 * slot)
        slot += 1
        if kind == "union":
            value_at = view.Offset(4 + 2 * slot)
            slot += 1
            member = view.Get(number_types.Uint8Flags, at + view.Pos) if at else 0
            if member == 0:
                out[name] = None
            elif member > len(UNIONS[default]):
                raise ValueError(f"{table}.{name}: unknown member {member}")
            else:
                inner = Table(view.Bytes, 0)
                view.Union(inner, value_at)
                out[name] = (UNIONS[default][member - 1], _read_table(inner, UNIONS[default][member - 1]))
        elif kind in _SCALARS:
            out[name] = view.Get(_SCALARS[kind][0], at + view.Pos) if at else default
        elif kind == "id":
            out[name] = bytes(view.Bytes[at + view.Pos:at + view.Pos + 16]) if at else None
        elif kind == "where":
            out[name] = struct.unpack_from("<B7xq", view.Bytes, at + view.Pos) if at else None
        elif kind == "string":
            out[name] = view.String(at + view.Pos).decode() if at else None
        else:
            out[name] = _read_vector(view, at, kind[1:-1]) if at else None
    return out


def decode_root(table, data):
    if len(data) < 16 or data[4:8] != IDENTIFIERS[table]:
        raise ValueError(f"not a {table}: identifier {bytes(data[4:8])!r}")
    root = encode.Get(number_types.UOffsetTFlags.packer_type, data, 0)
    return _read_table(Table(bytearray(data), root), table)


# -- batches -----------------------------------------------------------------------------------------------

BATCH_MAGIC = 0x3142524D  # "MRB1"
BATCH_HEADER = struct.Struct("<IBBHIIIIQqqQQIIQIIII")
assert BATCH_HEADER.size == 96
CODEC_NONE, CODEC_ZSTD, CODEC_LZ4 = 0, 1, 2
BODY_BYTES_LIMIT = 64 << 20


class Corrupt(Exception):
    """Bytes that do not verify."""


@dataclass
class Event:
    payload: bytes
    key: bytes = b""
    headers: list = field(default_factory=list)  # of (name, value), both bytes
    time_ns: int = 0
    offset: int = None  # set on read
    append_time_ns: int = None


@dataclass
class BatchHeader:
    magic: int
    version: int
    codec: int
    flags: int
    body_bytes: int
    raw_bytes: int
    event_count: int
    leader_epoch: int
    base_offset: int
    append_time: int
    max_event_time: int
    producer_id: int
    sequence: int
    producer_epoch: int
    position: int
    segment_id: int
    previous_crc: int
    durable_position: int
    body_crc: int
    header_crc: int

    @property
    def end_offset(self):
        return self.base_offset + self.event_count


def batch_seed(segment_id, base_offset):
    return crc32c(struct.pack("<QQ", segment_id, base_offset))


def _pack_columns(values):
    data, ends = b"".join(values), []
    end = 0
    for value in values:
        end += len(value)
        ends.append(end)
    return data, ends


def encode_headers(headers):
    return b"".join(struct.pack("<II", len(name), len(value)) + name + value for name, value in headers)


def decode_headers(raw):
    out, at = [], 0
    while at < len(raw):
        name, value = struct.unpack_from("<II", raw, at)
        at += 8
        if name == 0 or at + name + value > len(raw):
            raise Corrupt("header entries are not whole")
        out.append((raw[at:at + name], raw[at + name:at + name + value]))
        at += name + value
    return out


def encode_body(events):
    payloads, payload_ends = bytearray(), []
    for event in events:
        payloads += bytes(-len(payloads) % 8)
        payloads += event.payload
        payload_ends.append(len(payloads))
    values = {"payloads": bytes(payloads), "payload_ends": payload_ends, "base_time": events[0].time_ns}
    if any(event.key for event in events):
        values["keys"], values["key_ends"] = _pack_columns([event.key for event in events])
    if any(event.headers for event in events):
        values["headers"], values["header_ends"] = _pack_columns([encode_headers(event.headers) for event in events])
    if any(event.time_ns != events[0].time_ns for event in events):
        values["time_deltas"] = [event.time_ns - events[0].time_ns for event in events]
    return encode_root("BatchBody", values)


def encode_batch(events, producer_id=0, producer_epoch=0, sequence=0, codec=CODEC_NONE):
    """A batch as a producer sends it: not yet placed, so everything that the broker stamps is 0."""
    raw = encode_body(events)
    body = compress(codec, raw)
    seed = batch_seed(0, 0)
    fields = [BATCH_MAGIC, 1, codec, 0, len(body), len(raw), len(events), 0, 0, 0, max(e.time_ns for e in events),
              producer_id, sequence, producer_epoch, 0, 0, 0, 0, crc32c(body) ^ seed, 0]
    fields[-1] = crc32c(BATCH_HEADER.pack(*fields)[:92]) ^ seed
    return BATCH_HEADER.pack(*fields) + body


def parse_header(data):
    if len(data) < BATCH_HEADER.size:
        raise Corrupt("batch header cut short")
    header = BatchHeader(*BATCH_HEADER.unpack_from(data))
    if header.magic != BATCH_MAGIC:
        raise Corrupt("no batch begins here")
    if crc32c(data[:92]) ^ batch_seed(header.segment_id, header.base_offset) != header.header_crc:
        raise Corrupt("batch header checksum is wrong")
    if header.version != 1 or header.flags != 0 or header.codec > CODEC_LZ4:
        raise Corrupt("batch of another version, flags or codec")
    if not 0 < header.body_bytes <= BODY_BYTES_LIMIT or not 0 < header.raw_bytes <= BODY_BYTES_LIMIT:
        raise Corrupt("body length outside its limit")
    return header


def parse_batch(data):
    """(header, events, bytes of this batch) of the batch that begins at data[0]."""
    header = parse_header(data)
    body = bytes(data[96:96 + header.body_bytes])
    if len(body) != header.body_bytes:
        raise Corrupt("batch body cut short")
    if crc32c(body) ^ batch_seed(header.segment_id, header.base_offset) != header.body_crc:
        raise Corrupt("batch body checksum is wrong")
    return header, decode_body(decompress(header.codec, body, header.raw_bytes), header), 96 + header.body_bytes


def decode_body(raw, header):
    columns = decode_root("BatchBody", raw)
    count = header.event_count
    if len(columns["payload_ends"]) != count:
        raise Corrupt("payload_ends does not have one element per event")
    events, start = [], 0
    key_start = headers_start = 0
    for i in range(count):
        start = (start + 7) // 8 * 8
        end = columns["payload_ends"][i]
        event = Event(columns["payloads"][start:end], offset=header.base_offset + i, append_time_ns=header.append_time)
        start = end
        if columns["key_ends"]:
            event.key = columns["keys"][key_start:columns["key_ends"][i]]
            key_start = columns["key_ends"][i]
        if columns["header_ends"]:
            event.headers = decode_headers(columns["headers"][headers_start:columns["header_ends"][i]])
            headers_start = columns["header_ends"][i]
        event.time_ns = columns["base_time"] + (columns["time_deltas"][i] if columns["time_deltas"] else 0)
        events.append(event)
    return events


def walk_batches(data):
    """(header, events, bytes) of the batches in a data frame: each begins on a multiple of 8, zero words lie between."""
    at = 0
    while at + 8 <= len(data):
        if data[at:at + 8] == bytes(8):
            at += 8
            continue
        header, events, size = parse_batch(data[at:])
        yield header, events, bytes(data[at:at + size])
        at += (size + 7) // 8 * 8


# -- codecs, from the C libraries that every Debian has -----------------------------------------------------

def _library(name):
    return ctypes.CDLL(ctypes.util.find_library(name) or f"lib{name}.so.1")


def compress(codec, raw):
    if codec == CODEC_NONE:
        return raw
    if codec == CODEC_ZSTD:
        zstd = _library("zstd")
        zstd.ZSTD_compressBound.restype = zstd.ZSTD_compress.restype = ctypes.c_size_t
        out = ctypes.create_string_buffer(zstd.ZSTD_compressBound(ctypes.c_size_t(len(raw))))
        size = zstd.ZSTD_compress(out, ctypes.c_size_t(len(out)), raw, ctypes.c_size_t(len(raw)), 3)
        return out.raw[:size]
    lz4 = _library("lz4")
    out = ctypes.create_string_buffer(lz4.LZ4_compressBound(len(raw)))
    size = lz4.LZ4_compress_default(raw, out, len(raw), len(out))
    return out.raw[:size]


def decompress(codec, body, raw_bytes):
    if codec == CODEC_NONE:
        return body
    out = ctypes.create_string_buffer(raw_bytes)
    if codec == CODEC_ZSTD:
        zstd = _library("zstd")
        zstd.ZSTD_decompress.restype = ctypes.c_size_t
        size = zstd.ZSTD_decompress(out, ctypes.c_size_t(raw_bytes), body, ctypes.c_size_t(len(body)))
    else:
        size = _library("lz4").LZ4_decompress_safe(body, out, len(body), raw_bytes)
    if size != raw_bytes:
        raise Corrupt("the body does not decompress to the length its header says")
    return out.raw


# -- the client --------------------------------------------------------------------------------------------

ERRORS = {
    1: "bad_request", 2: "unsupported", 3: "too_large", 4: "bad_batch", 5: "bad_state", 6: "shutting_down", 7: "overloaded",
    8: "timed_out", 20: "unknown_topic", 21: "unknown_partition", 22: "topic_exists", 23: "bad_topic_name",
    24: "bad_setting", 25: "offset_out_of_range", 40: "out_of_order", 41: "sequence_conflict", 42: "fenced",
    43: "unknown_producer", 44: "sequence_expired", 60: "storage_full", 61: "storage_error", 62: "corrupt",
    63: "read_only", 64: "data_dir_in_use", 65: "data_dir_refused", 66: "not_found", 67: "already_exists", 70: "cancelled",
}


class MillraceError(Exception):
    def __init__(self, reply):
        self.code = reply["error"]
        self.name = ERRORS.get(self.code, f"error {self.code}")
        self.text = reply["error_text"] or ""
        self.range = (reply["range_begin"], reply["range_end"])
        super().__init__(f"{self.name}: {self.text}")


class ProducerSession:
    """Numbers the batches of one producer. The number of an event is its place among the events sent to its partition."""

    def __init__(self, producer_id=None, epoch=0):
        self.producer_id = producer_id or int.from_bytes(os.urandom(8), "little") | 1
        self.epoch = epoch
        self.next_sequence = {}

    def batch(self, events, partition=0, codec=CODEC_NONE):
        sequence = self.next_sequence.get(partition, 0)
        self.next_sequence[partition] = sequence + len(events)
        now = time.time_ns()
        for event in events:
            event.time_ns = event.time_ns or now
        return encode_batch(events, self.producer_id, self.epoch, sequence, codec)


@dataclass
class Fetched:
    start_offset: int
    end_offset: int
    next_offset: int
    batches: list  # of (header, events, bytes)

    @property
    def events(self):
        return [event for _, events, _ in self.batches for event in events]


class Client:
    def __init__(self, endpoint, context=None, timeout=60.0):
        self.context = context or zmq.Context.instance()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(endpoint)
        self.timeout = timeout
        self.next_id = 1
        self.waiting = {}  # id -> replies that came while somebody waited for another

    def close(self):
        self.socket.close()

    # One message out; the answer is taken by receive().
    def send(self, body, fields, batch=None):
        request_id = self.next_id
        self.next_id += 1
        frame = encode_root("Request", {"version": PROTOCOL_VERSION, "id": request_id, "body": (body, fields)})
        self.socket.send_multipart([frame] if batch is None else [frame, batch])
        return request_id

    # The next reply with this id: (reply, data frames). Raises TimeoutError; errors are left to the caller.
    def receive(self, request_id, timeout=None):
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            if self.waiting.get(request_id):
                return self.waiting[request_id].pop(0)
            left = deadline - time.monotonic()
            if left <= 0 or not self.socket.poll(int(left * 1000) + 1):
                raise TimeoutError(f"no reply to request {request_id}: its result is unknown")
            frames = self.socket.recv_multipart()
            reply = decode_root("Reply", frames[0])
            if reply["id"] == RESERVED_ID:
                continue
            self.waiting.setdefault(reply["id"], []).append((reply, frames[1:]))

    def call(self, body, fields, batch=None, timeout=None):
        reply, data = self.receive(self.send(body, fields, batch), timeout)
        if reply["error"]:
            raise MillraceError(reply)
        return reply["body"][1], data

    def ping(self):
        return self.call("Ping", {})[0]

    def create_topic(self, topic, partitions=1, settings=()):
        return self.call("CreateTopic", {"topic": topic, "partitions": partitions, "settings": list(settings) or None})[0]

    def produce(self, topic, partition, batch, ack=ACK_DURABLE):
        return self.call("Produce", {"topic": topic, "partition": partition, "ack": ack}, batch)[0]

    def fetch(self, topic, partition, offset, **limits):
        reply, data = self.call("Fetch", {"topic": topic, "partition": partition, "offset": offset, **limits})
        batches = [batch for frame in data for batch in walk_batches(frame)]
        return Fetched(reply["start_offset"], reply["end_offset"], reply["next_offset"], batches)

    def list_offsets(self, topic, partition, kind, value=0):
        return self.call("ListOffsets", {"topic": topic, "partition": partition, "where": (kind, value)})[0]


class Subscription:
    """A push of whole batches that runs from history into live. Grants as much credit as it has used up."""

    def __init__(self, client, number, topic, partition, offset, credit_bytes):
        self.client = client
        self.number = number
        self.request_id = client.send("Subscribe", {"subscription": number, "topic": topic, "partition": partition,
                                                    "offset": offset, "credit_bytes": credit_bytes})
        reply, _ = client.receive(self.request_id)
        if reply["error"]:
            raise MillraceError(reply)
        self.opened = reply["body"][1]

    # The next push: (Pushed fields, batches, bytes of data received). Credit is left to the caller.
    def receive(self, timeout=None):
        reply, data = self.client.receive(self.request_id, timeout)
        if reply["error"]:
            raise MillraceError(reply)
        batches = [batch for frame in data for batch in walk_batches(frame)]
        return reply["body"][1], batches, sum(len(frame) for frame in data)

    def grant(self, credit_bytes):
        return self.client.send("Credit", {"subscription": self.number, "credit_bytes": credit_bytes})

    def close(self):
        self.client.call("Unsubscribe", {"subscription": self.number})


LIVE_HEAD = struct.Struct("<QIIqQ")
assert LIVE_HEAD.size == 32


class LiveTail:
    """Follows one partition on the live feed; what the feed drops is a gap, and is fetched."""

    def __init__(self, client, live_endpoint, topic, partition):
        self.client, self.topic, self.partition = client, topic, partition
        self.socket = client.context.socket(zmq.SUB)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.SUBSCRIBE, f"{topic}/{partition}/".encode())
        self.socket.connect(live_endpoint)
        self.next_offset = None
        self.gaps = []

    def close(self):
        self.socket.close()

    # The next live message: (head, batch bytes), before any repair.
    def receive_raw(self, timeout):
        if not self.socket.poll(int(timeout * 1000)):
            raise TimeoutError("nothing on the live feed")
        name, head, batch = self.socket.recv_multipart()
        if name != f"{self.topic}/{self.partition}/".encode():
            raise Corrupt(f"a message of another partition: {name!r}")
        return LIVE_HEAD.unpack(head), batch

    # The next events in order, without a hole.
    def receive(self, timeout):
        while True:
            (base, count, reserved, append_time, _), batch = self.receive_raw(timeout)
            header, events, _ = parse_batch(batch)
            if (header.base_offset, header.event_count, header.append_time, reserved) != (base, count, append_time, 0):
                raise Corrupt("the head of a live message differs from its batch")
            if self.next_offset is not None and base + count <= self.next_offset:
                continue  # repaired already
            out = []
            if self.next_offset is not None and base > self.next_offset:
                self.gaps.append((self.next_offset, base))
                out = self._fetch(self.next_offset, base)
            self.next_offset = base + count
            return out + events

    def _fetch(self, begin, end):
        out = []
        while begin < end:
            got = self.client.fetch(self.topic, self.partition, begin)
            out += [event for event in got.events if begin <= event.offset < end]
            begin = got.next_offset
        return out
