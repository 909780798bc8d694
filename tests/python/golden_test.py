#!/usr/bin/python3
"""Reads every golden sample with the plain Python reader and compares every field with what docs/wire-protocol.md says."""

import pathlib
import unittest

import millrace_client as m
from make_golden import FOLDER, TIME, from_text, samples

ROOT = pathlib.Path(__file__).resolve().parents[2]


def sample(name):
    return from_text((FOLDER / f"{name}.hex").read_text())


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

    def test_the_worked_examples_in_the_pages_are_these_bytes(self):
        page = (ROOT / "docs" / "wire-protocol.md").read_text()
        for name in ("ping_request", "ping_reply", "batch", "live_head"):
            shown = "".join(line for line in page.split(f"<!-- golden {name} -->")[1].split("<!-- end -->")[0].splitlines(True)
                            if line[:4].strip().isdigit() and "  " in line)
            bytes_shown = bytes.fromhex("".join(line.split("  ")[1] for line in shown.splitlines()))
            self.assertEqual(bytes_shown.hex(" "), sample(name).hex(" "), name)


if __name__ == "__main__":
    unittest.main()
