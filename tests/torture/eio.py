"""scripts/torture eio: I/O errors below a real ext4, under load, in episodes.

The disk of tests/torture/cut_disk.cc answers EIO or ENOSPC to writes, flushes or reads: once, now and then, or always, of the whole
disk, of ext4's journal, or of all but its journal. The broker may refuse, it may not forget, lie or fall over: it stays up and answers.
After a failed write a partition acks nothing until the broker was restarted (the judge checks it). When the errors are
over, the file system is mounted anew, as it may have turned read-only, and a broker started on it.
"""
import re
import signal
import time

import disks
from campaign import CYCLED, KEPT, Failed, Load, log_uniform

EVERYWHERE = (0, 2**64 - 1)


class Eio:
    def __init__(self, campaign, episodes):
        self.campaign, self.episodes, self.random = campaign, episodes, campaign.random
        self.image = campaign.folder / "image"
        self.disk = self.mount = None
        self.faults = self.fsck_repairs = 0
        self.kinds = {}

    def play(self):
        campaign = self.campaign
        disks.require(campaign, "e2fsck", "debugfs")
        disks.make_image(self.image, 256 + 2 * self.episodes)
        self.disk = disks.CutDisk(campaign, self.image, campaign.folder / "device")
        campaign.children.run([*disks.MKFS, self.disk.file])
        self.journal_range = self.find_journal()
        self.mount = disks.Mount(campaign, self.disk.file, campaign.folder / "mount")
        campaign.use_broker(campaign.folder / "mount" / "data", {"disk.refuse_percent": 100})
        campaign.broker.start()
        for topic in (KEPT, CYCLED):
            campaign.create_topic(*topic)
        steady = Load(campaign, "steady", "--senders", 2, "--readers", "--rate", 1500, "--outstanding", 512, *campaign.topic_flags())
        hasty = Load(campaign, "hasty", "--timeout-ms", 300, "--rate", 500, *campaign.topic_flags())
        for _ in range(self.episodes):
            self.episode()
            for load in (steady, hasty):
                load.check()
            self.mount_anew()
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
        campaign.finish(verdict, episodes=self.episodes, faults=self.faults, kinds=self.kinds, fsck_repairs=self.fsck_repairs)

    def find_journal(self):
        """The bytes of ext4's journal: one run of blocks on a fresh file system."""
        _, output, _ = self.campaign.children.run(["debugfs", "-R", "stat <8>", self.disk.file])
        runs = [(int(first), int(last)) for first, last in re.findall(r"\(\d+(?:-\d+)?\):(\d+)-(\d+)", output)]
        if not runs:
            raise Failed(f"debugfs names no blocks of the journal: {output}")
        return min(first for first, _ in runs) * 4096, (max(last for _, last in runs) + 1) * 4096

    def choose_faults(self):
        call = self.random.choice(["write", "write", "flush", "flush", "read"])
        error = "EIO" if call == "read" else self.random.choice(["EIO", "EIO", "ENOSPC"])
        chance, count = self.random.choice([(1000, 1), (1000, 3), (50, 0), (300, 0), (1000, 0)])
        where, ranges = "everywhere", [EVERYWHERE]
        if call == "write":
            begin, end = self.journal_range
            where, ranges = self.random.choice([("everywhere", [EVERYWHERE]), ("journal", [(begin, end)]),
                                                ("outside the journal", [(0, begin), (end, EVERYWHERE[1])])])
        name = f"{call} {error} {where}"
        self.kinds[name] = self.kinds.get(name, 0) + 1
        return [("fault", call, error, chance, begin, end, count) for begin, end in ranges]

    def episode(self):
        broker = self.campaign.broker
        time.sleep(log_uniform(self.random, 0.05, 0.4))
        before = self.disk.status()["faults"]
        for fault in self.choose_faults():
            self.disk.command(*fault)
        end = time.monotonic() + log_uniform(self.random, 0.1, 1)
        while time.monotonic() < end:
            self.check_up()
            time.sleep(0.05)
        self.disk.command("lift")
        self.check_up()
        self.faults += self.disk.status()["faults"] - before
        time.sleep(log_uniform(self.random, 0.01, 0.2))
        if self.random.random() < 0.5:
            broker.kill()
            return
        # It cannot write everything it would; but it ends, in bounded time, and by itself.
        broker.child.send_signal(signal.SIGTERM)
        if broker.wait_end(timeout=30) not in (0, 1):
            raise Failed(f"millraced ended with {broker.child.returncode}; see {broker.diagnostics}")

    def check_up(self):
        if self.campaign.broker.child.poll() is not None:
            raise Failed(f"millraced ended by itself with {self.campaign.broker.child.returncode} under I/O errors; "
                         f"see {self.campaign.broker.diagnostics}")
        self.campaign.command("ping", timeout=20)

    def mount_anew(self):
        self.mount.unmount()
        code, output, _ = self.campaign.children.run(["e2fsck", "-f", "-y", self.disk.file], check=False, timeout=120)
        if code >= 4:
            raise Failed(f"e2fsck cannot mend the file system: {output}")
        self.fsck_repairs += code != 0
        self.mount = disks.Mount(self.campaign, self.disk.file, self.campaign.folder / "mount")


def play(campaign):
    Eio(campaign, campaign.options.episodes).play()
