"""Hostile peers against a live broker with nine good clients beside them.

  hostile.py MILLRACED [--rows PR-01,PR-16] [--rounds N] [--scale F] [--seed S] [--ledger FILE]

After each row: a new client gets a pong, the nine lost nothing, and the broker's memory and descriptors are where they were.
The table says so row by row; the exit code is 1 when one of them failed. Loopback only, standard library only."""

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

import wire
import zmtp
from rows import ROWS, Fault, Scene, expect

HERE = pathlib.Path(__file__).resolve().parent
GOOD_CLIENTS = 9
# How long closed connections may take to give their descriptors back: an unfinished handshake 3 s, a silent peer 15 s.
DESCRIPTOR_PATIENCE = 30.0


class Broker:
    def __init__(self, program, flags=(), prepare=None):
        self.program = program
        self.directory = tempfile.mkdtemp(prefix="millrace-hostile-")
        self.diagnostics = open(os.path.join(self.directory, "stderr"), "wb")
        self.process = subprocess.Popen(
            [program, "--data-dir", self.directory + "/data", "--listen", "tcp://127.0.0.1:0", "--live", "tcp://127.0.0.1:0",
             "--http", "127.0.0.1:0", *flags],
            stdout=subprocess.PIPE, stderr=self.diagnostics, preexec_fn=prepare, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the broker does not start: " + self.last_words())
        ready = json.loads(line)
        self.listen, self.live, self.http = ready["listen"], ready["live"], ready["http"]
        self.resident_before = self.resident_mib()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def another(self, flags, prepare):
        return Broker(self.program, flags, prepare)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.diagnostics.close()
        shutil.rmtree(self.directory, ignore_errors=True)
        return self.process.returncode

    def last_words(self):
        with open(os.path.join(self.directory, "stderr"), "rb") as file:
            return file.read()[-2_000:].decode(errors="replace")

    def is_alive(self):
        return self.process.poll() is None

    def proc(self, name):
        return pathlib.Path(f"/proc/{self.process.pid}/{name}")

    def resident_mib(self):
        for line in self.proc("status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) // 1024
        return 0

    def descriptors(self):
        return len(os.listdir(self.proc("fd")))

    def sockets(self):
        count = 0
        for entry in os.scandir(self.proc("fd")):
            with contextlib.suppress(OSError):
                count += os.readlink(entry.path).startswith("socket:")
        return count

    def connections_waiting(self):
        """How many connections to its ports the system has and the broker has not accepted: at its limit of
        descriptors libzmq would try to accept them again and again."""
        ports = {int(endpoint.rsplit(":", 1)[1]) for endpoint in (self.listen, self.live)}
        waiting = 0
        for line in self.proc("net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            local, state, queues = fields[1], fields[3], fields[4]
            if state == "0A" and int(local.rsplit(":", 1)[1], 16) in ports:  # TCP_LISTEN: its receive queue is the backlog
                waiting += int(queues.split(":")[1], 16)
        return waiting


class GoodClients:
    def __init__(self, broker):
        with zmtp.patient_peer(broker.listen) as peer:
            peer.send([wire.create_topic(1, "good", GOOD_CLIENTS)])
            expect(not wire.Reply(peer.receive(20)).code, "a topic for the good clients")
        self.process = subprocess.Popen([sys.executable, str(HERE / "good_clients.py"), broker.listen, "good", str(GOOD_CLIENTS)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        expect(line, "the good clients ended")
        return json.loads(line)

    def command(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return self.answer()

    def stop(self):
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def wait_for_sockets(broker, most):
    deadline = time.monotonic() + DESCRIPTOR_PATIENCE
    while (count := broker.sockets()) > most and time.monotonic() < deadline:
        time.sleep(0.05)
    return count


def run_row(name, broker, good, options, round_number):
    what, memory_mib, function = ROWS[name]
    seed = options.seed + round_number
    scene = Scene(broker, options, f"{name}-{seed}")
    broker.resident_before = broker.resident_mib()
    sockets_before = broker.sockets()
    result = {"row": name, "what": what, "seed": seed, "round": round_number, "ok": False, "text": ""}
    begin = time.monotonic()
    try:
        function(scene)
        expect(broker.is_alive(), f"the broker ended: {broker.process.poll()} {broker.last_words() if not broker.is_alive() else ''}")
        with zmtp.patient_peer(broker.listen) as peer:
            scene.expect_ping(peer)
        told = good.command("check")
        result["good_events"], result["good_slowest_ms"] = told["events"], told["slowest_ms"]
        expect(told["ok"], f"the good clients: {told['text']}")
        sockets = wait_for_sockets(broker, sockets_before)
        expect(sockets <= sockets_before, f"{sockets} sockets are open, {sockets_before} were before")
        grown = broker.resident_mib() - broker.resident_before
        allowed = memory_mib * options.memory_factor
        expect(grown <= allowed, f"{grown} MiB more are resident, {allowed:.0f} are allowed")
        result["ok"] = True
    except Fault as fault:
        result["text"] = str(fault)
    except Exception:  # a row that breaks is a row that failed, and the others still count
        result["text"] = traceback.format_exc(limit=-4)
    if not broker.is_alive():
        result["text"] += f"\nthe broker ended with {broker.process.poll()}: {broker.last_words()}"
    else:
        result["resident_mib"] = broker.resident_mib()
        result["resident_grown_mib"] = broker.resident_mib() - broker.resident_before
        result["sockets"] = broker.sockets()
    result.update(connections=scene.counts.connections, messages=scene.counts.messages, seconds=round(time.monotonic() - begin, 1))
    return result


def note(options, result):
    if options.ledger:
        line = {"test": "hostile", "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
                "commit": options.commit, **result}
        with open(options.ledger, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def show(result):
    print(f"{result['row']:6} {'ok' if result['ok'] else 'FAILED':6} {result['connections']:6} {result['messages']:8} "
          f"{result['seconds']:6.1f} {result.get('resident_grown_mib', 0):+5} {result.get('sockets', 0):5} "
          f"{result.get('good_events', 0):7} {result.get('good_slowest_ms', 0):6}  {result['what']}", flush=True)
    if not result["ok"]:
        print("       " + result["text"].strip().replace("\n", "\n       "), flush=True)


def run(options):
    failed = 0
    names = options.rows.split(",") if options.rows else sorted(set(ROWS) - set(options.without.split(",")))
    if unknown := set(names) - set(ROWS):
        sys.exit(f"hostile: unknown rows {', '.join(sorted(unknown))}; known are {', '.join(sorted(ROWS))}")
    print(f"seed {options.seed}\n{'row':6} {'':6} {'conns':>6} {'messages':>8} {'sec':>6} {'MiB':>5} {'socks':>5} {'events':>7} "
          f"{'ms':>6}  what", flush=True)
    with Broker(options.millraced) as broker:
        good = GoodClients(broker)
        try:
            for round_number in range(options.rounds):
                for name in names:
                    result = run_row(name, broker, good, options, round_number)
                    show(result)
                    note(options, result)
                    failed += not result["ok"]
                    if not broker.is_alive():
                        return failed
            if not (last := good.command("end"))["ok"]:
                print(f"at the end: {last['text']}")
                failed += 1
        finally:
            good.stop()
        if code := broker.stop():
            print(f"the broker ended with {code}")
            failed += 1
    print(f"hostile: {options.rounds * len(names)} rows, {failed} failed")
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("millraced")
    parser.add_argument("--rows", default="", help="some of them, with commas between")
    parser.add_argument("--without", default="", help="all but these")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1.0, help="how much of everything")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--memory-factor", type=float, default=1.0, help="a sanitizer keeps what was freed for a while")
    parser.add_argument("--ledger")
    parser.add_argument("--commit", default="")
    sys.exit(1 if run(parser.parse_args()) else 0)


if __name__ == "__main__":
    main()
