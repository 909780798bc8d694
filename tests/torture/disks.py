"""Disks that campaigns can pull the plug of: a FUSE file below a loop device below ext4 (tests/torture/cut_disk.cc).

Everything is mounted in a mount namespace of this process alone (scripts/torture makes it), and every loop device is one that
clears itself: so nothing is left of them when this process has ended, however it did.
"""
import json
import os
import shutil
import time

from campaign import Failed, Skipped

MKFS = ["mkfs.ext4", "-q", "-F", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"]


def make_image(path, mib):
    with open(path, "xb") as file:
        file.truncate(mib << 20)


def require(campaign, *programs, cut_disk=True):
    """Skips the campaign where this machine has no such disks."""
    if os.geteuid() != 0:
        raise Skipped("mounting needs root")
    if os.environ.get("MILLRACE_TORTURE_NAMESPACE") != "1":
        raise Skipped("this machine allows no mount namespace of our own (unshare --mount)")
    for program in ("mkfs.ext4", "mount", "umount", *programs):
        if shutil.which(program) is None:
            raise Skipped(f"no {program} here: scripts/install_deps --disks")
    for device in ("/dev/loop-control", *(["/dev/fuse"] if cut_disk else [])):
        if not os.path.exists(device):
            raise Skipped(f"no {device} here")
    if cut_disk and not campaign.cut_disk.exists():
        raise Skipped("built without libfuse3-dev: scripts/install_deps --disks, then configure again")
    # The devices may be there and yet be refused, as in a container.
    image, mountpoint = campaign.folder / "probe.image", campaign.folder / "probe"
    make_image(image, 8)
    mountpoint.mkdir()
    try:
        disk = CutDisk(campaign, image, campaign.folder / "probe-disk") if cut_disk else None
        file = disk.file if disk else image
        campaign.children.run([*MKFS, file])
        Mount(campaign, file, mountpoint).unmount()
        if disk:
            disk.close()
    except Failed as error:
        raise Skipped(f"FUSE or loop mounts are refused: {str(error).splitlines()[0]}") from None
    image.unlink()


class CutDisk:
    """One life of the disk: from power on to power off."""

    def __init__(self, campaign, image, folder):
        self.campaign, self.folder = campaign, folder
        folder.mkdir(exist_ok=True)
        self.file = folder / "disk"
        with open(campaign.folder / "cut_disk.txt", "ab") as errors:
            self.child = campaign.children.start([campaign.cut_disk, image, folder], stderr=errors)
        deadline = time.monotonic() + 20
        while not self.file.exists():
            if self.child.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"millrace-cut-disk shows no disk; see {campaign.folder}/cut_disk.txt")
            time.sleep(0.005)

    def command(self, *words):
        with open(self.folder / "control", "wb", buffering=0) as control:
            control.write(" ".join(map(str, words)).encode())

    def status(self):
        with open(self.folder / "control", "rb", buffering=0) as control:
            return json.loads(control.read(4096))

    def close(self):
        unmount(self.campaign, self.folder)
        self.child.wait(timeout=20)


class Mount:
    """ext4 on a file, by a loop device that clears itself when it is unmounted."""

    def __init__(self, campaign, file, folder, options="noatime"):
        self.campaign, self.folder = campaign, folder
        folder.mkdir(exist_ok=True)
        campaign.children.run(["mount", "-t", "ext4", "-o", f"loop,{options}", file, folder])

    def unmount(self):
        unmount(self.campaign, self.folder)


def unmount(campaign, folder):
    """Waits for who still holds it: I/O of a process that was just killed, a loop device that is being cleared."""
    deadline = time.monotonic() + 30
    while True:
        code, _, errors = campaign.children.run(["umount", folder], check=False)
        if code == 0:
            return
        if time.monotonic() > deadline:
            raise Failed(f"umount {folder}: {errors.strip()}")
        time.sleep(0.02)
