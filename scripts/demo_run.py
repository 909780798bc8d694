#!/usr/bin/env python3
"""The demonstration behind scripts/demo.

  1  a broker on an empty directory; two topics; two subscribers of each, one by push, one by the live feed
  2  the GitHub webhooks, keyed by their field `key`; the access log, keyed by its first field
  3  a longer publish of the access log, cut by kill -9 of the broker; the producer says what was acked
  4  a new broker on the same directory
  5  a longer publish of the webhooks; the broker is killed and started again under the producer, which retries
  6  everything replayed from the start; a clean stop; the files verified without a broker
  7  scripts/demo_check.py compares all of it with the original files
"""
import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINE = r"%p\t%o\t%k\t%v\n"
PATIENCE = 120  # seconds after which a step that should take one or two has failed
TOPICS = {
    "webhooks": {"partitions": 4, "file": ROOT / "tests/data/github-webhooks.jsonl", "key": "field:key",
                 "arguments": ["--key-field", "key"]},
    "access": {"partitions": 8, "file": ROOT / "tests/data/apache-access.log", "key": "first",
               "arguments": ["--key-separator", " "]},
}


class Failed(Exception):
    pass


def say(text):
    print(text, flush=True)


class Children:
    """Everything that was started, so that everything is stopped, however this ends."""

    def __init__(self):
        self.all = []

    def start(self, arguments, **options):
        # In a group of its own: Ctrl-C is for this script, which then stops them in order.
        child = subprocess.Popen([str(a) for a in arguments], start_new_session=True, **options)
        self.all.append(child)
        return child

    def stop(self):
        for child in self.all:
            if child.poll() is None:
                child.kill()
            child.wait()


class Broker:
    def __init__(self, children, program, directory, diagnostics):
        self.children, self.program, self.directory = children, program, directory
        self.diagnostics = diagnostics
        self.listen = self.live = "tcp://127.0.0.1:0"
        self.child = None

    def start(self):
        """Answers the seconds until it accepted requests. A restart takes the same ports."""
        begin = time.monotonic()
        with open(self.diagnostics, "ab") as errors:
            self.child = self.children.start(
                [self.program, "--data-dir", self.directory, "--listen", self.listen, "--live", self.live,
                 "--http", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=errors)
        line = self.child.stdout.readline()
        seconds = time.monotonic() - begin
        if not line:
            raise Failed(f"millraced did not start: exit code {self.child.wait()}")
        ready = json.loads(line)
        self.listen, self.live = ready["listen"], ready["live"]
        return seconds

    def kill(self):
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()

    def stop(self):
        self.child.terminate()
        code = self.child.wait(timeout=PATIENCE)
        if code != 0:
            raise Failed(f"millraced stopped with exit code {code}")


class Follower:
    """A subscriber whose output goes to a file and is counted as it comes."""

    def __init__(self, children, name, arguments, path):
        self.name, self.path, self.count = name, path, 0
        self.changed = threading.Condition()
        self.following = threading.Event()
        self.notes = []
        self.child = children.start(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.threads = [threading.Thread(target=target, daemon=True) for target in (self.copy, self.listen)]
        for thread in self.threads:
            thread.start()

    def copy(self):
        with open(self.path, "wb") as file:
            while data := self.child.stdout.read1(1 << 20):
                file.write(data)
                with self.changed:
                    self.count += data.count(b"\n")
                    self.changed.notify_all()
        with self.changed:
            self.changed.notify_all()

    def listen(self):
        for line in self.child.stderr:
            self.notes.append(line.decode(errors="replace").rstrip())
            self.following.set()
        self.following.set()

    def wait_following(self):
        if not self.following.wait(PATIENCE) or self.child.poll() is not None:
            raise Failed(f"{self.name} does not follow: {self.notes}")

    def wait_count(self, count):
        with self.changed:
            enough = self.changed.wait_for(
                lambda: self.count >= count or self.child.poll() is not None, PATIENCE)
        if not enough or self.count < count:
            raise Failed(f"{self.name}: {self.count} events of {count} came; {self.notes[-3:]}")

    def stop(self):
        self.child.send_signal(signal.SIGINT)
        code = self.child.wait(timeout=PATIENCE)
        for thread in self.threads:
            thread.join(PATIENCE)
        if code != 0:
            raise Failed(f"{self.name} ended with exit code {code}: {self.notes[-3:]}")


class Feed:
    """Writes a file to a producer again and again, without a pause, and a few times more once told to end."""

    TURNS_AFTER = 3

    def __init__(self, child, path):
        self.child = child
        self.data = path.read_bytes()
        self.turns = 0
        self.end = threading.Event()
        self.thread = threading.Thread(target=self.write, daemon=True)
        self.thread.start()

    def write(self):
        left = self.TURNS_AFTER
        try:
            while left > 0:
                self.turns += 1
                if self.end.is_set():
                    left -= 1
                self.child.stdin.write(self.data)
            self.child.stdin.close()
        except BrokenPipeError:
            pass  # the producer gave up, as it should when its broker is gone


class Demo:
    def __init__(self, programs, folder):
        self.folder = folder
        self.children = Children()
        self.millrace = programs / "client/cli/millrace"
        self.broker = Broker(self.children, programs / "broker/daemon/millraced", folder / "data",
                             folder / "millraced.txt")
        self.push, self.live, self.facts = {}, {}, {}
        self.lines = {name: topic["file"].read_bytes().count(b"\n") for name, topic in TOPICS.items()}
        self.publishes = {name: [] for name in TOPICS}

    def command(self, *arguments):
        return [self.millrace, "--broker", self.broker.listen, *arguments]

    def run(self, *arguments):
        child = self.children.start(self.command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        output, errors = child.communicate(timeout=PATIENCE)
        if child.returncode != 0:
            raise Failed(f"millrace {' '.join(map(str, arguments))}: exit code {child.returncode}: "
                         f"{errors.decode(errors='replace').strip()}")
        return output

    def note_publish(self, name, repeat, acked):
        topic = TOPICS[name]
        self.publishes[name].append({"file": str(topic["file"]), "key": topic["key"], "repeat": repeat,
                                     "acked": acked})

    def subscribe(self):
        for name, topic in TOPICS.items():
            self.run("topic", "create", name, "--partitions", str(topic["partitions"]))
            self.push[name] = Follower(self.children, f"push subscriber of {name}",
                                       self.command("consume", name, "--offset", "start", "-f", LINE),
                                       self.folder / f"{name}.push")
            self.live[name] = Follower(self.children, f"live subscriber of {name}",
                                       self.command("tail", name, "-f", LINE), self.folder / f"{name}.live")
        for follower in self.live.values():
            follower.wait_following()

    def publish_all(self):
        for name, topic in TOPICS.items():
            summary = json.loads(self.run("-o", "json", "produce", name, *topic["arguments"], topic["file"]))
            if summary["events"] != self.lines[name]:
                raise Failed(f"{name}: {summary['events']} events acked of {self.lines[name]}")
            self.note_publish(name, 1, None)
        for name in TOPICS:
            self.push[name].wait_count(self.lines[name])
            self.live[name].wait_count(self.lines[name])

    def start_long_publish(self, name, timeout):
        topic = TOPICS[name]
        child = self.children.start(
            self.command("-o", "json", "--timeout", timeout, "produce", name, *topic["arguments"]),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        feed = Feed(child, topic["file"])
        # The file once and a half has been acked and has come out again, and more is on its way: the middle.
        self.push[name].wait_count(self.push[name].count + self.lines[name] * 3 // 2)
        return child, feed

    def finish_publish(self, child, feed):
        feed.end.set()
        # The feed closes the producer's input when it is through, so communicate() must not touch it.
        output = child.stdout.read()
        errors = child.stderr.read().decode(errors="replace").strip()
        feed.thread.join(PATIENCE)
        return child.wait(timeout=PATIENCE), output, errors

    def cut_publish(self, name):
        child, feed = self.start_long_publish(name, "4s")
        self.broker.kill()
        code, output, errors = self.finish_publish(child, feed)
        if code != 1:
            raise Failed(f"the producer whose broker was killed ended with exit code {code}: {errors}")
        acked = {str(p["partition"]): p["events"] for p in json.loads(output)["partitions"]}
        self.note_publish(name, feed.turns, acked)

    def ride_through(self, name):
        child, feed = self.start_long_publish(name, "30s")
        self.broker.kill()
        self.facts["restart_under_load"] = self.broker.start()
        code, output, errors = self.finish_publish(child, feed)
        sent = self.lines[name] * feed.turns
        if code != 0 or json.loads(output)["events"] != sent:
            raise Failed(f"the producer that should have retried ended with exit code {code}: {errors}")
        self.note_publish(name, feed.turns, None)

    def replay(self):
        begin = time.monotonic()
        for name in TOPICS:
            self.run("replay", name, "--offset", ":", "--to-file", self.folder / f"{name}.replay", "-f", LINE)
        self.facts["replay"] = time.monotonic() - begin
        for name in TOPICS:
            self.push[name].wait_count((self.folder / f"{name}.replay").read_bytes().count(b"\n"))
        for follower in (*self.push.values(), *self.live.values()):
            follower.stop()

    def stop_and_verify(self):
        self.broker.stop()
        self.run("log", "verify", self.folder / "data")

    def check(self):
        manifest = {"topics": {}, "views": []}
        for name, topic in TOPICS.items():
            manifest["topics"][name] = {"partitions": topic["partitions"], "publishes": self.publishes[name],
                                        "replay": str(self.folder / f"{name}.replay")}
            # The live feed promises what comes while it is followed; a restart may fall between two events of it.
            for way, least in (("push", None), ("live", self.lines[name])):
                manifest["views"].append({"name": f"{name} {way}", "topic": name, "least": least,
                                          "file": str(self.folder / f"{name}.{way}")})
        path = self.folder / "manifest.json"
        path.write_text(json.dumps(manifest, indent=1))
        child = self.children.start([sys.executable, ROOT / "scripts/demo_check.py", path], stdout=subprocess.PIPE)
        output, _ = child.communicate(timeout=PATIENCE)
        if not output:
            raise Failed("the checker failed")
        answer = json.loads(output)
        if child.returncode != 0 or answer["differences"]:
            raise Failed("what came out differs from what went in:\n  " + "\n  ".join(answer["differences"]))
        return answer

    def table(self, answer):
        def row(title, cells):
            say(f"  {title:<44}" + "".join(f"{cell:>16}" for cell in cells))

        def counted(word, index=None):
            return [f"{sum(f[word] for f in (found if index is None else found[index:index + 1])):,}"
                    for found in answer["topics"].values()]

        cut = answer["topics"]["access"][1]
        ride = answer["topics"]["webhooks"][1]
        say("")
        row("", [f"{name} ({topic['partitions']})" for name, topic in TOPICS.items()])
        say("  " + "-" * 76)
        row("published and acked", counted("acked", 0))
        row("followed by push, same bytes", [f"{answer['views'][f'{n} push']:,}" for n in TOPICS])
        row("followed on the live feed, same bytes", [f"{answer['views'][f'{n} live']:,}" for n in TOPICS])
        row("publish cut by kill -9: offered", ["", f"{cut['sent']:,}"])
        row("  acked before it died", ["", f"{cut['acked']:,}"])
        row("  of these back after the restart, once", ["", f"{cut['acked']:,}"])
        row("  not acked, but on disk, once", ["", f"{cut['found'] - cut['acked']:,}"])
        row("publish through a kill -9: offered", [f"{ride['sent']:,}", ""])
        row("  acked after retries; back, once", [f"{ride['found']:,}", ""])
        row("replayed from the start, in order per key", counted("found"))
        row("differences", ["0", "0"])
        say("  " + "-" * 76)
        say(f"  restart after kill -9: {self.facts['restart'] * 1000:.0f} ms and "
            f"{self.facts['restart_under_load'] * 1000:.0f} ms;  replay of everything: {self.facts['replay']:.1f} s;"
            f"  files verified offline: clean")

    def play(self):
        begin = time.monotonic()
        self.broker.start()
        say(f"1  broker ready at {self.broker.listen}, data in {self.folder}")
        self.subscribe()
        self.publish_all()
        say("2  webhooks and access log published; every subscriber has them")
        self.cut_publish("access")
        say("3  broker killed with SIGKILL in the middle of a publish; the producer gave up and says what was acked")
        self.facts["restart"] = self.broker.start()
        say("4  broker restarted on the same directory")
        self.ride_through("webhooks")
        say("5  broker killed and restarted under a producer, which retried until all was acked")
        self.replay()
        self.stop_and_verify()
        say("6  everything replayed from the start; broker stopped; files verified")
        answer = self.check()
        say("7  compared with the original files, byte for byte")
        self.table(answer)
        say(f"\nPASS in {time.monotonic() - begin:.1f} s")

    def broker_words(self):
        path = self.folder / "millraced.txt"
        return path.read_text(errors="replace").splitlines()[-10:] if path.exists() else []


def stop_on_signal(number, _):
    raise KeyboardInterrupt(number)


def main():
    parser = argparse.ArgumentParser(description="see scripts/demo --help")
    parser.add_argument("--programs", type=Path, required=True, help="a build directory")
    parser.add_argument("--keep", action="store_true", help="leave the working directory behind")
    arguments = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, stop_on_signal)
    folder = Path(tempfile.mkdtemp(prefix="millrace-demo-"))
    demo = Demo((ROOT / arguments.programs).resolve(), folder)
    try:
        demo.play()
        return 0
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 130
    except (Failed, OSError, ValueError, KeyError, subprocess.TimeoutExpired) as error:
        print(f"\nFAIL: {error}", *demo.broker_words(), sep="\n  ", file=sys.stderr)
        return 1
    finally:
        demo.children.stop()
        if arguments.keep:
            say(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
