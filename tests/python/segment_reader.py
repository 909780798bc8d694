"""Reads a stopped broker's data directory in plain Python, by docs/storage-format.md alone. Writes nothing."""

import pathlib
import struct
from dataclasses import dataclass, field

import millrace_client as m

BLOCK = 4096
SEGMENT_HEADER = struct.Struct("<8sII16s16sQQqQQII")
INDEX_HEADER = struct.Struct("<8sIIQQQQqII")
INDEX_ENTRY = struct.Struct("<QQq")
CHECKPOINT_HEADER = struct.Struct("<8sIIIIQ16sIIQQQQQqII")
CHECKPOINT_SLOT = 512 * 1024
assert SEGMENT_HEADER.size == 96 and INDEX_HEADER.size == 64 and INDEX_ENTRY.size == 24 and CHECKPOINT_HEADER.size == 112


@dataclass
class SegmentHeader:
    partition: int
    cluster_id: bytes
    topic_id: bytes
    base_offset: int
    segment_id: int
    created: int
    previous_segment_id: int
    previous_base_offset: int
    previous_crc: int
    topic_name: str
    batch_bytes_max: int  # 0: not told


@dataclass
class Segment:
    header: SegmentHeader
    batches: list  # of (BatchHeader, events)
    end_offset: int
    end_position: int
    last_crc: int


@dataclass
class Checkpoint:
    generation: int
    topic_id: bytes
    partition: int
    clean: bool
    start_offset: int
    durable_end: int
    segment_base: int
    segment_id: int
    scan_position: int
    last_append_time: int
    last_crc: int
    producers: dict  # producer id -> (epoch, [(sequence, events, body checksum, base offset, append time)])


def parse_identity(block):
    """The cluster id of a data directory."""
    magic, version = struct.unpack_from("<8sI", block)
    if len(block) != BLOCK or magic != b"MIRVDIR1" or m.crc32c(block[:4092]) != struct.unpack_from("<I", block, 4092)[0]:
        raise m.Corrupt("not an identity")
    if version != 1:
        raise m.Corrupt("a data directory of another format version")
    return block[16:32]


def parse_segment_header(block):
    (magic, version, partition, cluster, topic, base, segment_id, created, previous_id, previous_base, previous_crc,
     name_bytes) = SEGMENT_HEADER.unpack_from(block)
    if magic != b"MIRVSEG1" or version != 1 or m.crc32c(block[:4092]) != struct.unpack_from("<I", block, 4092)[0]:
        raise m.Corrupt("not a segment header")
    name = block[96:96 + name_bytes].decode()
    batch_bytes_max, = struct.unpack_from("<I", block, 296)
    if any(block[96 + name_bytes:296]) or any(block[300:4092]):
        raise m.Corrupt("reserved bytes of a segment header are not zero")
    return SegmentHeader(partition, cluster, topic, base, segment_id, created, previous_id, previous_base, previous_crc, name,
                         batch_bytes_max)


def read_segment(data):
    """Every batch of a segment that was closed cleanly, from its first to its last."""
    header = parse_segment_header(data[:BLOCK])
    at, offset, crc = BLOCK, header.base_offset, header.previous_crc
    batches, end_position = [], BLOCK
    while at + 96 <= len(data):
        if not any(data[at:at + 8]):  # padding up to the next block, or the end
            block = (at + BLOCK) // BLOCK * BLOCK
            if any(data[at:block]):
                raise m.Corrupt(f"position {at}: padding is not zero")
            at = block
            if not any(data[at:at + 8]):
                break
            continue
        try:
            batch, events, size = m.parse_batch(data[at:])
        except m.Corrupt:
            break  # a recycled file keeps its old bytes behind the end
        if batch.segment_id != header.segment_id:
            break
        if (batch.position, batch.base_offset, batch.previous_crc) != (at, offset, crc):
            raise m.Corrupt(f"position {at}: the batch does not continue the segment")
        if header.batch_bytes_max and size > header.batch_bytes_max:
            raise m.Corrupt(f"position {at}: a batch of {size} bytes, longer than the segment says")
        if batch.durable_position > at or batch.durable_position % BLOCK:
            raise m.Corrupt(f"position {at}: an impossible durable position")
        batches.append((batch, events))
        offset, crc = batch.end_offset, batch.header_crc
        at += (size + 7) // 8 * 8
        end_position = at
    return Segment(header, batches, offset, end_position, crc)


def parse_index(data):
    magic, version, count, segment_id, base, end, end_position, last_time, last_crc, crc = INDEX_HEADER.unpack_from(data)
    size = 64 + 24 * count
    if magic != b"MIRVIDX1" or version != 1 or m.crc32c(data[:60] + data[64:size]) != crc:
        raise m.Corrupt("not an index")
    entries = [INDEX_ENTRY.unpack_from(data, 64 + 24 * i) for i in range(count)]
    return {"segment_id": segment_id, "base_offset": base, "end_offset": end, "end_position": end_position,
            "last_append_time": last_time, "last_crc": last_crc, "entries": entries}


def parse_checkpoint_slot(slot):
    (magic, version, crc, size, _, generation, topic, partition, flags, start, durable, segment_base, segment_id, scan,
     last_time, last_crc, producers) = CHECKPOINT_HEADER.unpack_from(slot)
    if magic != b"MIRVKCP1" or version != 1 or m.crc32c(slot[16:size]) != crc:
        raise m.Corrupt("not a checkpoint")
    at, sessions = 112, {}
    for _ in range(producers):
        producer, epoch, count = struct.unpack_from("<QII", slot, at)
        at += 16
        sessions[producer] = (epoch, [struct.unpack_from("<QIIQq", slot, at + 32 * i) for i in range(count)])
        at += 32 * count
    return Checkpoint(generation, topic, partition, bool(flags & 1), start, durable, segment_base, segment_id, scan, last_time,
                      last_crc, sessions)


def read_checkpoint(path):
    data, best = path.read_bytes(), None
    for at in (0, CHECKPOINT_SLOT):
        slot = data[at:at + CHECKPOINT_SLOT]
        if len(slot) < 112 or not any(slot[:112]):
            continue
        state = parse_checkpoint_slot(slot)
        if best is None or state.generation > best.generation:
            best = state
    return best


@dataclass
class DataDirectory:
    cluster_id: bytes
    topics: dict = field(default_factory=dict)       # name -> TopicMeta fields
    segments: dict = field(default_factory=dict)     # (topic, partition) -> [Segment], oldest first
    checkpoints: dict = field(default_factory=dict)  # (topic, partition) -> Checkpoint
    indexes: dict = field(default_factory=dict)      # (topic, partition) -> number of index files that agree

    def events(self, topic, partition):
        return [event for segment in self.segments[topic, partition] for _, events in segment.batches for event in events]


def read_data_directory(directory):
    root = pathlib.Path(directory)
    found = DataDirectory(parse_identity((root / "identity").read_bytes()))
    for folder in sorted((root / "topics").iterdir()):
        if "." in folder.name:
            continue  # being made or deleted
        meta = read_topic_meta(folder)
        if meta["id"].hex() != folder.name:
            raise m.Corrupt(f"{folder.name}: the directory of another topic")
        found.topics[meta["name"]] = meta
        for partition in range(meta["partitions"]):
            _read_partition(found, folder / str(partition), meta, partition)
    return found


def _read_partition(found, folder, meta, partition):
    segments, previous = [], None
    for path in sorted(folder.glob("*.segment")):
        segment = read_segment(path.read_bytes())
        header = segment.header
        mine = (found.cluster_id, meta["id"], partition, meta["name"], int(path.stem))
        if (header.cluster_id, header.topic_id, header.partition, header.topic_name, header.base_offset) != mine:
            raise m.Corrupt(f"{path}: the segment of another log")
        if previous and (previous.header.segment_id, previous.header.base_offset, previous.last_crc, previous.end_offset) != (
                header.previous_segment_id, header.previous_base_offset, header.previous_crc, header.base_offset):
            raise m.Corrupt(f"{path}: does not continue the segment before")
        index = path.with_suffix(".index")
        if index.exists() and _index_agrees(parse_index(index.read_bytes()), segment, path):
            found.indexes[meta["name"], partition] = found.indexes.get((meta["name"], partition), 0) + 1
        segments.append(segment)
        previous = segment
    found.segments[meta["name"], partition] = segments
    path = folder / "checkpoint"  # a log that never had anything to say has none
    checkpoint = read_checkpoint(path) if path.exists() else None
    if checkpoint:
        found.checkpoints[meta["name"], partition] = checkpoint


def _index_agrees(index, segment, path):
    if index["segment_id"] != segment.header.segment_id:
        return False  # the index of an earlier file of this name: a hint that does not count
    if index["end_offset"] == index["base_offset"]:
        return False  # a partial one, to be rebuilt when it is wanted
    end_position = (segment.end_position + BLOCK - 1) // BLOCK * BLOCK
    if (index["base_offset"], index["end_offset"], index["end_position"], index["last_crc"]) != (
            segment.header.base_offset, segment.end_offset, end_position, segment.last_crc):
        raise m.Corrupt(f"{path}: its index differs")
    if index["last_append_time"] < segment.batches[-1][0].append_time:
        raise m.Corrupt(f"{path}: its index is older than its last batch")
    starts = {(batch.base_offset, batch.position, batch.append_time) for batch, _ in segment.batches}
    if not set(index["entries"]) <= starts:
        raise m.Corrupt(f"{path}: an index entry names no batch")
    return True


def parse_topic_meta(data):
    magic, version, length, crc = struct.unpack_from("<8sIII", data)
    if magic != b"TMIRMET1" or version != 1 or m.crc32c(data[:16] + data[32:32 + length]) != crc:
        raise m.Corrupt("not a topic.meta")
    return m.decode_root("TopicMeta", data[32:32 + length])


def read_topic_meta(folder):
    """The newer valid one of two copies."""
    best = None
    for name in ("topic.meta.0", "topic.meta.1"):
        path = folder / name
        if path.exists():
            meta = parse_topic_meta(path.read_bytes())
            if best is None or meta["generation"] > best["generation"]:
                best = meta
    return best
