"""Every golden data directory is checked offline, opened by the broker of today, read to the last byte, written to, and read
again (PS-12).

  golden_dir_test.py MILLRACE MILLRACED"""

import gzip
import json
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import unittest

from golden import HERE, Broker, events_of

MILLRACE, MILLRACED = sys.argv[1], sys.argv[2]


class GoldenDirectoryTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="millrace-golden-")
        self.addCleanup(self.folder.cleanup)

    def unpack(self, version):
        data_dir = pathlib.Path(self.folder.name) / version
        with tarfile.open(HERE / f"{version}.tar.gz") as tar:
            tar.extractall(data_dir)
        return data_dir, json.loads(gzip.decompress((HERE / f"{version}.json.gz").read_bytes()))

    def verify(self, data_dir):
        done = subprocess.run([MILLRACE, "-o", "json", "log", "verify", str(data_dir)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual(report["faults"], [])
        return report

    def test_every_version_is_clean_and_reads_as_it_was_written(self):
        versions = sorted(path.name.removesuffix(".tar.gz") for path in HERE.glob("*.tar.gz"))
        self.assertIn("v1", versions)
        for version in versions:
            with self.subTest(version):
                data_dir, expected = self.unpack(version)
                self.check_files(data_dir)
                self.verify(data_dir)
                with Broker(MILLRACED, data_dir) as broker:
                    for topic, events in expected["events"].items():
                        self.assertEqual(events_of(MILLRACE, broker, topic), events)
                self.assertNotIn("rebuilt", broker.words)
                self.verify(data_dir)

    def test_every_version_can_be_gone_on_with(self):
        for path in HERE.glob("*.tar.gz"):
            version = path.name.removesuffix(".tar.gz")
            with self.subTest(version):
                data_dir, expected = self.unpack(version)
                with Broker(MILLRACED, data_dir) as broker:
                    subprocess.run([MILLRACE, "--broker", broker.endpoint, "-q", "produce", "orders", "--partition", "0"], check=True,
                                   input=b"appended by a later version\n", stdout=subprocess.DEVNULL)
                with Broker(MILLRACED, data_dir) as broker:
                    now = events_of(MILLRACE, broker, "orders")
                before = expected["events"]["orders"]
                added = [event for event in now if event not in before]
                self.assertEqual([event["value"] for event in added], ["appended by a later version"])
                self.assertEqual(len(now), len(before) + 1)
                self.verify(data_dir)

    def check_files(self, data_dir):
        """The directory has what it is kept for."""
        names = [str(path.relative_to(data_dir)) for path in data_dir.rglob("*") if path.is_file()]
        for ending, least in ((".segment", 6), (".index", 3), ("/checkpoint", 3), ("topic.meta.0", 2), ("topic.meta.1", 2)):
            self.assertGreaterEqual(sum(name.endswith(ending) for name in names), least, ending)
        self.assertIn("identity", names)
        codecs = set()
        for path in data_dir.rglob("*.segment"):
            data = path.read_bytes()
            codecs.update(data[at + 5] for at in range(4096, len(data) - 96, 8) if data[at:at + 4] == b"MRB1")
        self.assertEqual(codecs, {0, 1, 2})


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
