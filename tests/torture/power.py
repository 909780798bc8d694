"""scripts/torture power: the power is cut below a real ext4, under load, again and again.

The disk has a write cache (tests/torture/write_cache.h): at a cut a random part of what was not flushed is left, torn and in any
order. Then the broker is killed, the image mounted again, which replays ext4's journal, and a broker started on what is there. The
loads run on through all of it and retry; their journals lie on the real disk.
"""
import time

import disks
from campaign import CYCLED, KEPT, Load, log_uniform

KEEPS = ["sectors"] * 4 + ["writes"] * 2 + ["torn"] * 2 + ["prefix", "nothing", "everything"]
WAYS = ["moment"] + ["after writes"] * 3 + ["before flushes"] * 3 + ["after flushes"]


class Power:
    def __init__(self, campaign, cuts):
        self.campaign, self.cuts, self.random = campaign, cuts, campaign.random
        self.image = campaign.folder / "image"
        self.disk = self.mount = None
        self.kept = self.pending = self.fsck_complaints = 0

    def play(self):
        campaign = self.campaign
        disks.require(campaign, "e2fsck")
        disks.make_image(self.image, 256 + 2 * self.cuts)
        self.disk = disks.CutDisk(campaign, self.image, campaign.folder / "device")
        campaign.children.run([*disks.MKFS, self.disk.file])
        self.mount = disks.Mount(campaign, self.disk.file, campaign.folder / "mount")
        campaign.use_broker(campaign.folder / "mount" / "data", {"disk.refuse_percent": 100})
        campaign.broker.start()
        for topic in (KEPT, CYCLED):
            campaign.create_topic(*topic)
        steady = Load(campaign, "steady", "--senders", 2, "--readers", "--rate", 1500, "--outstanding", 512, *campaign.topic_flags())
        hasty = Load(campaign, "hasty", "--timeout-ms", 300, "--rate", 500, *campaign.topic_flags())
        for number in range(self.cuts):
            self.live_and_cut(first=number == 0)
            self.power_on()
            for load in (steady, hasty):
                load.check()
            campaign.broker.start()
        for load in (steady, hasty):
            load.ask_to_stop()
        for load in (steady, hasty):
            load.wait_stopped()
        campaign.read_final()
        campaign.broker.stop()
        verdict = campaign.judge(index_may_be_lost=True)
        self.mount.unmount()
        self.disk.close()
        campaign.finish(verdict, cuts=self.cuts, sectors_pending=self.pending, sectors_kept=self.kept,
                        fsck_complaints=self.fsck_complaints)

    def live_and_cut(self, first):
        keep, seed = self.random.choice(KEEPS), self.random.randrange(1 << 32)
        # At a moment, or right behind a certain write or flush, before the kernel hears that it went well.
        way = self.random.choice(WAYS)
        self.disk.command("delay", self.random.choice([0, 0, 500, 4000]))
        if first:
            time.sleep(0.5)  # for something to lose
        if way == "moment":
            time.sleep(log_uniform(self.random, 0.002, 1.5))
        else:
            self.disk.command("cut", keep, seed, *way.split(), int(log_uniform(self.random, 1, 400)))
            deadline = time.monotonic() + 2
            while not self.disk.status()["cut"] and time.monotonic() < deadline:
                time.sleep(0.005)
        if not self.disk.status()["cut"]:
            self.disk.command("cut", keep, seed)
        status = self.disk.status()
        self.pending += status["cut_pending"]
        self.kept += status["cut_kept"]
        # A machine without power runs no further; but what it would answer now must not be wrong either.
        time.sleep(log_uniform(self.random, 0.0001, 0.05))
        self.campaign.broker.kill()

    def power_on(self):
        campaign = self.campaign
        self.mount.unmount()
        self.disk.close()
        self.disk = disks.CutDisk(campaign, self.image, campaign.folder / "device")
        code, _, _ = campaign.children.run(["e2fsck", "-n", self.disk.file], check=False)
        self.fsck_complaints += code not in (0, 1)
        self.mount = disks.Mount(campaign, self.disk.file, campaign.folder / "mount")


def play(campaign):
    Power(campaign, campaign.options.cuts).play()
