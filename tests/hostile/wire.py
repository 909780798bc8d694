"""Requests, replies and batches of docs/wire-protocol.md as bytes, standard library only.

Requests are written field by field, so that a test can leave out, double or falsify any of them."""

import struct

KINDS = ("Produce", "Fetch", "Subscribe", "Credit", "Unsubscribe", "ListOffsets", "CreateTopic", "ListTopics",
         "DescribeTopic", "DeleteTopic", "TrimTopic", "Metadata", "Ping")
SCALARS = {"u8": "<B", "u16": "<H", "u32": "<I", "u64": "<Q", "i64": "<q"}
ERRORS = {0: "ok", 1: "bad_request", 2: "unsupported", 3: "too_large", 4: "bad_batch", 5: "bad_state", 7: "overloaded",
          20: "unknown_topic", 21: "unknown_partition", 22: "topic_exists", 23: "bad_topic_name", 24: "bad_setting",
          25: "offset_out_of_range", 40: "out_of_order", 41: "sequence_conflict", 42: "fenced", 43: "unknown_producer",
          44: "sequence_expired"}


# -- CRC32C

def _table():
    out = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        out.append(byte)
    return out


_CRC = _table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CRC[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


# -- FlatBuffers, written front to back

def _pad(out, alignment, behind=0):
    while (len(out) + behind) % alignment:
        out.append(0)


def _put_value(out, kind, value):
    """Writes what a field points to; answers its place."""
    if kind == "table":
        return _put_table(out, value)
    if kind == "string":
        _pad(out, 4)
        at = len(out)
        out += struct.pack("<I", len(value)) + value + b"\0"
        return at
    if kind == "bytes8":
        _pad(out, 8, 4)
        at = len(out)
        out += struct.pack("<I", len(value)) + value
        return at
    if kind == "u32s":
        _pad(out, 4)
        at = len(out)
        out += struct.pack(f"<I{len(value)}I", len(value), *value)
        return at
    if kind == "strings":
        _pad(out, 4)
        at = len(out)
        out += struct.pack("<I", len(value)) + bytes(4 * len(value))
        for i, text in enumerate(value):
            slot = at + 4 + 4 * i
            struct.pack_into("<I", out, slot, _put_value(out, "string", text) - slot)
        return at
    if kind == "bomb":  # (count, text): so many references to one text
        count, text = value
        _pad(out, 4)
        at = len(out)
        out += struct.pack("<I", count) + bytes(4 * count)
        place = _put_value(out, "string", text)
        for slot in range(at + 4, at + 4 + 4 * count, 4):
            struct.pack_into("<I", out, slot, place - slot)
        return at
    raise ValueError(kind)


def _put_table(out, fields):
    """`fields`: one (kind, value) per field number, or None for one that is left out."""
    inline = {"id": (16, 8), "where": (16, 8), "raw": (4, 4)}
    places, size = [0] * len(fields), 4
    for number, field in enumerate(fields):
        if field is None:
            continue
        kind = field[0]
        width, alignment = inline.get(kind) or ((struct.calcsize(SCALARS[kind]),) * 2 if kind in SCALARS else (4, 4))
        size += -size % alignment
        places[number] = size
        size += width
    _pad(out, 2)
    vtable = len(out)
    out += struct.pack(f"<HH{len(places)}H", 4 + 2 * len(places), size, *places)
    _pad(out, 8)
    table = len(out)
    out += struct.pack("<i", table - vtable) + bytes(size - 4)
    for place, field in zip(places, fields):
        if field is None:
            continue
        kind, value = field
        at = table + place
        if kind in SCALARS:
            struct.pack_into(SCALARS[kind], out, at, value)
        elif kind == "id":
            out[at:at + 16] = value
        elif kind == "where":
            struct.pack_into("<B7xq", out, at, *value)
        elif kind == "raw":
            out[at:at + 4] = value
        else:
            struct.pack_into("<I", out, at, _put_value(out, kind, value) - at)
    return table


def root(identifier, fields):
    out = bytearray(4) + bytearray(identifier)
    struct.pack_into("<I", out, 0, _put_table(out, fields))
    return bytes(out)


# -- requests

def request(request_id, kind, fields=(), version=1):
    """`kind`: a name of KINDS, or a number that is none."""
    number = KINDS.index(kind) + 1 if isinstance(kind, str) else kind
    return root(b"MRRQ", [("u16", version), ("u64", request_id), ("u8", number), ("table", list(fields))])


def _topic(topic):
    return [("string", topic if isinstance(topic, bytes) else topic.encode()), None]


def ping(request_id):
    return request(request_id, "Ping")


def create_topic(request_id, topic, partitions=1, settings=()):
    return request(request_id, "CreateTopic", [_topic(topic)[0], ("u32", partitions),
                                               ("strings", [s.encode() for s in settings])])


def produce(request_id, topic, partition=0, ack=2):
    return request(request_id, "Produce", _topic(topic) + [("u32", partition), ("u8", ack)])


def fetch(request_id, topic, partition=0, offset=0, min_bytes=1, max_bytes=1 << 24, wait_ms=0):
    return request(request_id, "Fetch", _topic(topic) + [("u32", partition), ("u64", offset), ("u32", min_bytes),
                                                         ("u32", max_bytes), ("u32", wait_ms)])


def subscribe(request_id, topic, partition=0, offset=0, subscription=1, credit=1 << 20):
    return request(request_id, "Subscribe", [("u64", subscription)] + _topic(topic) + [("u32", partition), ("u64", offset),
                                                                                       ("u32", credit)])


def credit(request_id, subscription, count):
    return request(request_id, "Credit", [("u64", subscription), ("u32", count)])


def unsubscribe(request_id, subscription):
    return request(request_id, "Unsubscribe", [("u64", subscription)])


def list_offsets(request_id, topic, partition=0, where=(1, 0)):
    return request(request_id, "ListOffsets", _topic(topic) + [("u32", partition), ("where", where)])


def trim(request_id, topic, partition, where):
    return request(request_id, "TrimTopic", _topic(topic) + [("u32", partition), ("where", where)])


# -- batches

HEADER = "<IBBHIIIIQqqQQIIQIIII"
HEADER_FIELDS = ("magic", "version", "codec", "flags", "body_bytes", "raw_bytes", "event_count", "leader_epoch", "base_offset",
                 "append_time", "max_event_time", "producer_id", "sequence", "producer_epoch", "position", "segment_id",
                 "previous_crc", "durable_position", "body_crc", "header_crc")
HEADER_BYTES = struct.calcsize(HEADER)


def body_of(payloads, time_ns=1_700_000_000_000_000_000):
    column, ends = b"", []
    for payload in payloads:
        column += bytes(-len(column) % 8) + payload
        ends.append(len(column))
    return root(b"MRBB", [("bytes8", column), ("u32s", ends), None, None, None, None, ("i64", time_ns)])


def batch(payloads, producer_id=0, sequence=0, epoch=0, body=None, **lies):
    """A batch as a producer sends it; `lies` replace fields of the header before it is sealed."""
    body = body_of(payloads) if body is None else body
    fields = dict.fromkeys(HEADER_FIELDS, 0)
    fields.update(magic=0x3142524D, version=1, body_bytes=len(body), raw_bytes=len(body), event_count=len(payloads),
                  max_event_time=1_700_000_000_000_000_000, producer_id=producer_id, sequence=sequence, producer_epoch=epoch)
    fields.update(lies)
    seed = crc32c(struct.pack("<QQ", fields["segment_id"], fields["base_offset"]))
    if "body_crc" not in lies:
        fields["body_crc"] = crc32c(body) ^ seed
    head = struct.pack(HEADER, *(fields[name] for name in HEADER_FIELDS))
    if "header_crc" not in lies:
        head = head[:-4] + struct.pack("<I", crc32c(head[:-4]) ^ seed)
    return head + body


# -- replies

class Table:
    def __init__(self, data, at):
        self.data, self.at = data, at
        self.vtable = at - struct.unpack_from("<i", data, at)[0]

    def place(self, number):
        if 4 + 2 * number >= struct.unpack_from("<H", self.data, self.vtable)[0]:
            return None
        place = struct.unpack_from("<H", self.data, self.vtable + 4 + 2 * number)[0]
        return self.at + place if place else None

    def scalar(self, number, kind):
        at = self.place(number)
        return 0 if at is None else struct.unpack_from(SCALARS[kind], self.data, at)[0]

    def target(self, number):
        at = self.place(number)
        return None if at is None else at + struct.unpack_from("<I", self.data, at)[0]

    def table(self, number):
        at = self.target(number)
        return None if at is None else Table(self.data, at)

    def string(self, number):
        at = self.target(number)
        return "" if at is None else self.data[at + 4:at + 4 + struct.unpack_from("<I", self.data, at)[0]].decode()


class Reply:
    def __init__(self, frames):
        head = frames[0]
        if head[4:8] != b"MRRP":
            raise ValueError(f"no reply: {head[:40]!r}")
        table = Table(head, struct.unpack_from("<I", head, 0)[0])
        self.id = table.scalar(0, "u64")
        self.code = table.scalar(1, "u16")
        self.error = ERRORS.get(self.code, str(self.code))
        self.text = table.string(2)
        self.kind = table.scalar(3, "u8")
        self.body = table.table(4)
        self.data = frames[1:]

    def __repr__(self):
        return f"reply {self.id}: {self.error} {self.text}"

    def number(self, field):
        return self.body.scalar(field, "u64")


def events(frames):
    """(offset, payload) of all events of data frames; what does not verify raises."""
    for data in frames:
        at = 0
        while at + HEADER_BYTES <= len(data):
            if data[at:at + 8] == bytes(8):
                at += 8
                continue
            fields = dict(zip(HEADER_FIELDS, struct.unpack_from(HEADER, data, at)))
            seed = crc32c(struct.pack("<QQ", fields["segment_id"], fields["base_offset"]))
            body = data[at + HEADER_BYTES:at + HEADER_BYTES + fields["body_bytes"]]
            if crc32c(data[at:at + 92]) ^ seed != fields["header_crc"] or crc32c(body) ^ seed != fields["body_crc"]:
                raise ValueError("a batch does not verify")
            table = Table(body, struct.unpack_from("<I", body, 0)[0])
            column, ends = table.target(0) + 4, table.target(1) + 4
            begin = 0
            for i in range(fields["event_count"]):
                end = struct.unpack_from("<I", body, ends + 4 * i)[0]
                yield fields["base_offset"] + i, body[column + begin:column + end]
                begin = end + (-end % 8)
            at += HEADER_BYTES + fields["body_bytes"]
            at += -at % 8
