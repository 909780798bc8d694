"""What all torture campaigns are made of: processes that end with this one, a broker, loads, the judge, the ledger."""
import ctypes
import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60  # seconds after which a step that takes one or two has failed
# Small everything, so that rolls, seals, retention, recycling, checkpoints and reads from disk happen all the time.
BROKER_SETTINGS = {
    "disk.retention_interval": "1 s", "disk.checkpoint_idle": "50 ms", "disk.checkpoint_interval_bytes": "256 KiB",
    "data.recycle_bytes": "4 MiB", "memory.cache_bytes": "4 MiB", "memory.cache_bytes_per_log": "512 KiB",
    "limits.staged_bytes_per_log_max": "4 MiB", "topic.preallocate_bytes_min": "64 KiB",
    "topic.preallocate_bytes_max": "1 MiB"}
# Name, partitions, what the judge may expect, settings.
KEPT = ("kept", 4, "kept", {"segment_bytes": "2 MiB", "tail_cache_bytes": "512 KiB", "retention_age": "none"})
CYCLED = ("cycled", 2, "removable", {"segment_bytes": "256 KiB", "batch_bytes_max": "128 KiB", "tail_cache_bytes": "64 KiB",
                                     "retention_bytes": "1 MiB"})


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def say(text):
    print(text, flush=True)


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Children:
    """Everything that was started. It ends when this process ends, even by SIGKILL."""

    def __init__(self):
        self.all = []

    def start(self, arguments, **options):
        child = subprocess.Popen([str(a) for a in arguments], start_new_session=True, preexec_fn=die_with_parent,
                                 stdin=subprocess.DEVNULL, **options)
        self.all.append(child)
        return child

    def run(self, arguments, timeout=PATIENCE, check=True, **options):
        child = self.start(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        try:
            output, errors = child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise Failed(f"{' '.join(map(str, arguments))}: not done after {timeout} s") from None
        if check and child.returncode != 0:
            words = (errors + output).decode(errors="replace").strip()
            raise Failed(f"{' '.join(map(str, arguments))}: exit code {child.returncode}: {words}")
        return child.returncode, output.decode(errors="replace"), errors.decode(errors="replace")

    def stop(self):
        for child in self.all:
            if child.poll() is None:
                child.kill()
        for child in self.all:
            try:
                child.wait(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                say(f"process {child.pid} does not end")


class Journal:
    """What this program did, in the format of tests/history/README.md."""

    def __init__(self, path):
        self.path = path
        self.file = open(path, "x", buffering=1)
        self.file.write("millrace-journal 1\n")

    def note(self, kind, *fields):
        self.file.write(" ".join([kind, str(time.monotonic_ns()), *map(str, fields)]) + "\n")


class Broker:
    """One broker after the other on one directory, on the same two Unix sockets."""

    def __init__(self, campaign, data, settings):
        self.campaign, self.data, self.settings = campaign, data, settings
        # Not TCP: a connection to a port where nobody listens may, by chance, connect to itself and keep it.
        self.listen, self.live = (f"ipc://{campaign.folder}/{name}" for name in ("requests", "live"))
        self.diagnostics = campaign.folder / "millraced.txt"
        self.child, self.ready = None, None

    def spawn(self):
        arguments = [self.campaign.millraced, "--data-dir", self.data, "--listen", self.listen, "--live", self.live,
                     "--http", "127.0.0.1:0"]
        for key, value in self.settings.items():
            arguments += ["--set", f"{key}={value}"]
        self.ready = None
        with open(self.diagnostics, "ab") as errors:
            self.child = self.campaign.children.start(arguments, stdout=subprocess.PIPE, stderr=errors)

    def wait_ready(self, seconds):
        """True: it is ready. False: not within this time. Fails if it ended by itself."""
        end = time.monotonic() + seconds
        while self.ready is None:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.child.stdout], [], [], left)[0]:
                return False
            line = self.child.stdout.readline()
            if not line:
                raise Failed(f"millraced did not start: exit code {self.child.wait()}; see {self.diagnostics}")
            self.ready = json.loads(line)
            self.campaign.journal.note("broker", "up")
        return True

    def start(self, patience=PATIENCE):
        self.spawn()
        if not self.wait_ready(patience):
            raise Failed(f"millraced was not ready after {patience} s; see {self.diagnostics}")

    def wait_end(self, timeout=PATIENCE):
        try:
            code = self.child.wait(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise Failed(f"millraced did not end within {timeout} s; see {self.diagnostics}") from None
        self.child.stdout.close()
        self.campaign.journal.note("broker", "down")
        return code

    def kill(self):
        if self.child.poll() not in (None, -signal.SIGKILL):
            raise Failed(f"millraced ended by itself with {self.child.returncode}; see {self.diagnostics}")
        self.child.kill()
        self.wait_end()

    def stop(self):
        self.child.terminate()
        code = self.wait_end()
        if code != 0:
            raise Failed(f"millraced stopped with exit code {code}; see {self.diagnostics}")

    def metrics(self):
        import http.client
        host, port = self.ready["http"].rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
                for line in text.splitlines() if line and not line.startswith("#")}


class Load:
    def __init__(self, campaign, name, *flags):
        self.campaign, self.name = campaign, name
        base = campaign.next_base()
        self.errors = campaign.folder / "load.txt"
        with open(self.errors, "ab") as errors:
            self.child = campaign.children.start(
                [campaign.load, "run", "--broker", campaign.broker.listen, "--live", campaign.broker.live,
                 "--journal", campaign.journals / f"{base}-{name}.journal", "--base", base,
                 "--seed", campaign.random.randrange(1 << 32), *flags], stderr=errors)

    def check(self):
        if self.child.poll() is not None:
            raise Failed(f"the load {self.name} ended by itself with {self.child.returncode}; see {self.errors}")

    def kill(self):
        self.check()
        self.child.kill()
        self.child.wait()

    def ask_to_stop(self):
        self.check()
        self.child.terminate()

    def wait_stopped(self, timeout=PATIENCE):
        try:
            code = self.child.wait(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise Failed(f"the load {self.name} did not stop within {timeout} s") from None
        if code != 0:
            raise Failed(f"the load {self.name} stopped with exit code {code}; see {self.errors}")


class Campaign:
    """A folder, its broker, its loads, and at the end the verdict."""

    def __init__(self, options, name):
        self.options, self.name = options, name
        self.random = random.Random(options.seed)
        self.folder = Path(tempfile.mkdtemp(prefix=f"millrace-{name}-", dir=options.dir))
        self.journals = self.folder / "journals"
        self.journals.mkdir()
        programs = Path(options.programs).resolve()
        self.millraced = programs / "broker/daemon/millraced"
        self.millrace = programs / "client/cli/millrace"
        self.load = programs / "tests/torture/millrace-torture-load"
        self.history = programs / "tests/history/millrace-history"
        self.cut_disk = programs / "tests/torture/millrace-cut-disk"
        self.children = Children()
        self.journal = Journal(self.journals / "campaign.journal")
        self.broker = None
        self.topics = []
        self.bases = 0
        self.begin = time.monotonic()

    def next_base(self):
        self.bases += 1
        return self.bases * 1_000_000

    def use_broker(self, data, settings=None):
        self.broker = Broker(self, data, {**BROKER_SETTINGS, "data.io": self.options.io, **(settings or {})})

    def command(self, *arguments, **options):
        return self.children.run([self.millrace, "--broker", self.broker.listen, *arguments], **options)

    def create_topic(self, name, partitions, policy, settings):
        flags = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
        self.journal.note("topic", name, policy)
        self.command("topic", "create", name, "--partitions", partitions, *flags)
        self.topics.append(name)

    def delete_topic(self, name):
        self.journal.note("delete", name)
        self.command("topic", "delete", name)
        self.topics.remove(name)

    def topic_flags(self):
        return [word for name in self.topics for word in ("--topic", name)]

    def read_final(self):
        """The final reading, by a broker that is up."""
        base = self.next_base()
        self.children.run([self.load, "final", "--broker", self.broker.listen, "--live", self.broker.live, "--base", base,
                           "--journal", self.journals / f"{base}-final.journal", *self.topic_flags()], timeout=300)

    def verify_files(self, index_may_be_lost):
        """What `millrace log verify` finds in the directory of a broker that is down. Index files are not synced: a loss of power
        may take their content, and the first lookup brings it back."""
        code, output, errors = self.children.run([self.millrace, "log", "verify", self.broker.data], timeout=300, check=False)
        faults = [line for line in output.splitlines() if line.startswith("fault")]
        if index_may_be_lost and code == 1:
            faults = [line for line in faults if ".index " not in line or "a broker rebuilds it" not in line]
            code = 1 if faults else 0
        return f"millrace log verify: exit code {code}\n{output}{errors}" if code != 0 or faults else ""

    def judge(self, index_may_be_lost=False):
        """The verdict on the journals and on the files, if both are good."""
        complaint = self.verify_files(index_may_be_lost)
        flags = ["--jepsen", self.options.jepsen] if self.options.jepsen else []
        code, output, errors = self.children.run([self.history, "--json", *flags, *sorted(self.journals.glob("*.journal"))],
                                                 timeout=900, check=False)
        if code not in (0, 1):
            raise Failed(f"millrace-history: {errors.strip()}")
        verdict = json.loads(output)
        if not verdict["valid"]:
            raise Failed("a promise was broken: " + json.dumps(verdict["anomalies"]) + "\n  "
                         + "\n  ".join([*verdict["told"], complaint]).rstrip())
        if complaint:
            raise Failed(complaint)
        if verdict["acked_found"] == 0:
            raise Failed("nothing was acked, so nothing was checked")
        return verdict

    def finish(self, verdict, **figures):
        """The line of figures, on standard output and in the ledger."""
        kernel = os.uname().release
        line = {"campaign": self.name, **figures, "acked": verdict["acked"], "acked_found": verdict["acked_found"],
                "acked_removed": verdict["acked_removed"], "unknown": verdict["unknown"],
                "unknown_found": verdict["unknown_found"], "read": verdict["read"], "failures": 0,
                "seconds": round(time.monotonic() - self.begin, 1), "io": self.options.io, "seed": self.options.seed,
                "commit": commit(), "kernel": kernel}
        say(json.dumps(line))
        append_ledger(self.options, line)

    def close(self, failed):
        self.children.stop()
        if failed or self.options.keep:
            say(f"left behind: {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


def append_ledger(options, line):
    if options.ledger:
        with open(options.ledger, "a") as ledger:
            ledger.write(json.dumps(line) + "\n")


def commit():
    def git(*arguments):
        return subprocess.run(["git", "-C", str(ROOT), *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              check=False).stdout.decode().strip()
    name = git("rev-parse", "--short=12", "HEAD") or "unknown"
    return name + ("-changed" if git("status", "--porcelain", "--untracked-files=no") else "")


def log_uniform(chance, low, high):
    """As many short times as long ones, by order of magnitude."""
    return low * (high / low) ** chance.random()


def conduct(name, options, play):
    """Runs a campaign and answers the exit code. Whatever happens, nothing that it started is left running."""
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 32)
    say(f"torture {name}: seed {options.seed}")
    campaign = Campaign(options, name)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    failed = True
    try:
        play(campaign)
        failed = False
        say(f"torture {name}: PASS in {time.monotonic() - campaign.begin:.1f} s")
        return 0
    except Skipped as reason:
        failed = False
        say(f"torture {name}: SKIPPED: {reason}")
        return 77
    except Failed as error:
        say(f"torture {name}: FAIL at commit {commit()}: {error}")
        say(f"torture {name}: again: scripts/torture {' '.join(sys.argv[1:])}"
            + ("" if "--seed" in sys.argv else f" --seed {options.seed}"))
        return 1
    finally:
        campaign.close(failed)
