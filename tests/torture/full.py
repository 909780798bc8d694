"""scripts/torture full: a small ext4 is filled and freed in cycles under load, and produce resumes without a restart.

Each cycle: a topic of ballast is produced until the disk is full and produce is refused; reads and requests must go on being
answered; then space is made by deleting a topic, by trimming one, or by both, and events must be taken again by the same broker.
"""
import json
import time

import disks
from campaign import CYCLED, Failed, Load

TRIMMED = ("trimmed", 2, "removable", {"segment_bytes": "1 MiB", "tail_cache_bytes": "256 KiB", "retention_age": "none"})
BALLAST = {"segment_bytes": "1 MiB", "tail_cache_bytes": "256 KiB", "retention_age": "none"}
FILL_SECONDS = 120
RESUME_SECONDS = 60


class Full:
    def __init__(self, campaign, cycles):
        self.campaign, self.cycles, self.random = campaign, cycles, campaign.random
        self.ways = {}

    def play(self):
        campaign = self.campaign
        disks.require(campaign, cut_disk=False)
        image = campaign.folder / "image"
        disks.make_image(image, 64)
        campaign.children.run([*disks.MKFS, image])
        mount = disks.Mount(campaign, image, campaign.folder / "mount")
        # Up to the watermark, or into the wall.
        percent = 100 if campaign.options.seed % 2 else 95
        campaign.use_broker(campaign.folder / "mount" / "data",
                            {"disk.refuse_percent": percent, "disk.warn_percent": min(percent, 85), "data.recycle_bytes": "2 MiB"})
        campaign.broker.start()
        for topic in (TRIMMED, CYCLED):
            campaign.create_topic(*topic)
        steady = Load(campaign, "steady", "--readers", "--rate", 3000, *campaign.topic_flags())
        hasty = Load(campaign, "hasty", "--timeout-ms", 300, "--rate", 500, *campaign.topic_flags())
        for number in range(self.cycles):
            self.cycle(f"ballast-{number}")
            for load in (steady, hasty):
                load.check()
        for load in (steady, hasty):
            load.ask_to_stop()
        for load in (steady, hasty):
            load.wait_stopped()
        campaign.read_final()
        campaign.broker.stop()
        verdict = campaign.judge()
        mount.unmount()
        campaign.finish(verdict, cycles=self.cycles, refuse_percent=percent, ways=self.ways)

    def cycle(self, ballast):
        campaign = self.campaign
        campaign.create_topic(ballast, 2, "removable", BALLAST)
        load = Load(campaign, ballast, "--timeout-ms", 2000, "--senders", 2, "--outstanding", 20000, "--topic", ballast)
        refused = self.refused()
        self.wait(lambda: self.refused() > refused, FILL_SECONDS, "the disk did not get full")
        self.check_reads()
        way = self.random.choice(["delete", "delete under load", "trim", "trim and delete"])
        self.ways[way] = self.ways.get(way, 0) + 1
        if way == "delete under load":
            campaign.delete_topic(ballast)
        load.kill()
        taken = self.taken()
        if "trim" in way:
            self.trim(TRIMMED[0])
            self.trim(ballast)
        if way in ("delete", "trim and delete"):
            campaign.delete_topic(ballast)
        self.wait(lambda: self.taken() > taken, RESUME_SECONDS, f"no event was taken after space was made by {way}")
        if way == "trim":
            campaign.delete_topic(ballast)  # its active segments stay, and would pile up

    def check_reads(self):
        campaign = self.campaign
        campaign.command("ping")
        _, output, _ = campaign.command("consume", f"{TRIMMED[0]}/0", "--offset", "-10", "-e", "-o", "json")
        if output.count("\n") != 10:
            raise Failed(f"a full disk gave {output.count(chr(10))} of the last 10 events of a partition")

    def trim(self, topic):
        """Leaves the newest hundred events of each partition."""
        campaign = self.campaign
        _, output, _ = campaign.command("-o", "json", "topic", "describe", topic)
        for described in json.loads(output)["partition_list"]:
            partition = described["partition"]
            before = max(described["start_offset"], described["end_offset"] - 100)
            campaign.journal.note("trim", f"{topic}/{partition}", before)
            campaign.command("topic", "trim", topic, "--partition", partition, "--before", before)

    def metric(self, name):
        return sum(value for key, value in self.campaign.broker.metrics().items() if key.startswith(name))

    def refused(self):
        return self.metric('millrace_append_rejected_total{reason="storage_full"}')

    def taken(self):
        return self.metric('millrace_events_appended_total{topic="trimmed"')

    @staticmethod
    def wait(condition, seconds, complaint):
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise Failed(f"{complaint} within {seconds} s")
            time.sleep(0.05)


def play(campaign):
    Full(campaign, campaign.options.cycles).play()
