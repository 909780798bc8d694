#!/usr/bin/python3
"""Reads every golden sample with the plain Python reader and compares every field with what docs/wire-protocol.md says."""

import pathlib
import unittest

import millrace_client as m
import segment_reader
from make_golden import FOLDER, TIME, from_text, samples

ROOT = pathlib.Path(__file__).resolve().parents[2]


def sample(name):
    return from_text((FOLDER / f"{name}.hex").read_text())


def block(name, front):
    """A block of 4,096 bytes whose sample leaves out the zeros between its front and its checksum."""
    data = sample(name)
    return data[:front] + bytes(4092 - front) + data[front:]


class GoldenTest(unittest.TestCase):
    def test_the_checksum_is_that_of_rfc_3720(self):
        self.assertEqual(m.crc32c(b"123456789"), 0xE3069283)
        self.assertEqual(m.crc32c(b""), 0)

    def test_a_ping_request_is_read_field_by_field(self):
        self.assertEqual(m.decode_root("Request", sample("ping_request")), {"version": 1, "id": 7, "body": ("Ping", {})})

    def test_a_ping_reply_is_read_field_by_field(self):
        reply = m.decode_root("Reply", sample("ping_reply"))
        self.assertEqual(reply, {
            "id": 7, "error": 0, "error_text": None, "range_begin": 0, "range_end": 0, "body": ("Pong", {
                "broker_version": "0.1.0", "cluster_id": bytes.fromhex("00112233445566778899aabbccddeeff"),
                "protocol_min": 1, "protocol_max": 1, "live": "tcp://127.0.0.1:7712", "uptime_ms": 1500})})

    def test_a_produce_request_leaves_out_its_defaults(self):
        self.assertEqual(m.decode_root("Request", sample("produce_request")), {"version": 1, "id": 8, "body": ("Produce", {
            "topic": "orders", "topic_id": None, "partition": 3, "ack": m.ACK_DURABLE})})

    def test_a_produced_reply_is_read_field_by_field(self):
        reply = m.decode_root("Reply", sample("produced_reply"))
        self.assertEqual((reply["id"], reply["error"]), (8, 0))
        self.assertEqual(reply["body"], ("Produced", {"base_offset": 40, "end_offset": 42, "append_time": TIME + 2_000_000,
                                                      "ack": m.ACK_DURABLE, "duplicate": False}))

    def test_an_error_reply_has_no_body_and_names_its_range(self):
        reply = m.decode_root("Reply", sample("error_reply"))
        self.assertEqual(reply, {"id": 9, "error": 25, "error_text": "offset 99 is outside [10, 42]", "body": None,
                                 "range_begin": 10, "range_end": 42})

    def test_a_batch_is_read_byte_by_byte(self):
        header, events, size = m.parse_batch(sample("batch"))
        self.assertEqual(size, 288)
        self.assertEqual((header.version, header.codec, header.flags), (1, 0, 0))
        self.assertEqual((header.body_bytes, header.raw_bytes, header.event_count), (192, 192, 2))
        self.assertEqual((header.leader_epoch, header.base_offset, header.append_time), (0, 0, 0))
        self.assertEqual(header.max_event_time, TIME + 1_000_000)
        self.assertEqual((header.producer_id, header.producer_epoch, header.sequence), (0x1122334455667788, 0, 0))
        self.assertEqual((header.position, header.segment_id, header.previous_crc, header.durable_position), (0, 0, 0, 0))
        self.assertEqual([event.payload for event in events], [b'{"n":1}', b"hello, millrace"])
        self.assertEqual([event.key for event in events], [b"repo-1", b""])
        self.assertEqual([event.headers for event in events], [[(b"type", b"push")], []])
        self.assertEqual([event.time_ns for event in events], [TIME, TIME + 1_000_000])

    def test_every_payload_begins_on_an_8_byte_boundary(self):
        batch = sample("batch")
        self.assertEqual(batch.index(b'{"n":1}') % 8, 0)
        self.assertEqual(batch.index(b"hello, millrace") % 8, 0)

    def test_a_flip_of_any_byte_of_a_batch_is_noticed(self):
        batch = sample("batch")
        for at in range(len(batch)):
            broken = bytearray(batch)
            broken[at] ^= 0x10
            with self.assertRaises(m.Corrupt, msg=f"byte {at}"):
                m.parse_batch(bytes(broken))

    def test_a_live_head_is_read_field_by_field(self):
        self.assertEqual(m.LIVE_HEAD.unpack(sample("live_head")), (40, 2, 0, TIME + 2_000_000, 42))

    def test_the_encoder_still_writes_what_was_released(self):
        for name, _, data in samples():
            self.assertEqual(data.hex(), sample(name).hex(), name)

    def test_every_codec_gives_back_what_it_was_given(self):
        raw = m.encode_body([m.Event(b"the same words, " * 50) for _ in range(20)])
        for codec in (m.CODEC_NONE, m.CODEC_ZSTD, m.CODEC_LZ4):
            body = m.compress(codec, raw)
            self.assertEqual(m.decompress(codec, body, len(raw)), raw)

    def test_a_stored_batch_keeps_the_sum_of_its_producer(self):
        sent, stored = sample("batch"), sample("stored_batch_header")
        header, events, _ = m.parse_batch(stored + sent[96:])
        self.assertEqual((header.base_offset, header.position, header.durable_position, header.previous_crc), (0, 4096, 4096, 0))
        self.assertEqual([event.payload for event in events], [b'{"n":1}', b"hello, millrace"])
        sum_as_sent = m.parse_header(sent).body_crc ^ m.batch_seed(0, 0)
        self.assertEqual(header.body_crc ^ m.batch_seed(header.segment_id, 0), sum_as_sent)

    def test_the_files_of_a_data_directory_fit_together(self):
        cluster = segment_reader.parse_identity(block("identity", 40))
        header = segment_reader.parse_segment_header(block("segment_header", 102))
        state = segment_reader.parse_checkpoint_slot(sample("checkpoint"))
        stored = m.parse_header(sample("stored_batch_header"))
        self.assertEqual((header.cluster_id, header.topic_name, header.partition, header.base_offset), (cluster, "orders", 0, 0))
        self.assertEqual((header.previous_segment_id, header.previous_crc), (0, 0))
        self.assertEqual((state.topic_id, state.segment_id, state.clean), (header.topic_id, header.segment_id, True))
        self.assertEqual((state.start_offset, state.durable_end, state.scan_position), (0, 2, 8192))
        self.assertEqual((stored.segment_id, state.last_crc), (header.segment_id, stored.header_crc))
        body_sum = stored.body_crc ^ m.batch_seed(stored.segment_id, 0)
        self.assertEqual(state.producers, {0x1122334455667788: (0, [(0, 2, body_sum, 0, stored.append_time)])})

    def test_a_topic_meta_says_what_the_topic_is(self):
        meta = segment_reader.parse_topic_meta(sample("topic_meta"))
        header = segment_reader.parse_segment_header(block("segment_header", 102))
        self.assertEqual((meta["id"], meta["name"], meta["partitions"]), (header.topic_id, "orders", 1))

    def test_the_worked_examples_in_the_pages_are_these_bytes(self):
        shown = {"wire-protocol.md": ("ping_request", "ping_reply", "batch", "live_head"),
                 "storage-format.md": ("identity", "topic_meta", "segment_header", "stored_batch_header", "checkpoint")}
        for page, names in shown.items():
            text = (ROOT / "docs" / page).read_text()
            for name in names:
                listing = text.split(f"<!-- golden {name} -->")[1].split("<!-- end -->")[0]
                lines = [line for line in listing.splitlines() if line[:4].isdigit()]
                shown_bytes = bytes.fromhex("".join(line.split("  ")[1] for line in lines))
                self.assertEqual(shown_bytes.hex(" "), sample(name).hex(" "), f"{page}: {name}")


if __name__ == "__main__":
    unittest.main()
