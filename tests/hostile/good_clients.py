"""Nine clients that behave, in a process of their own, so that nothing the abuser does in his slows them.

  good_clients.py LISTEN TOPIC CLIENTS

Each produces to a partition of its own in one session, reads what it was acknowledged, and every third one also follows a
subscription. Commands come on standard input, one line each, and are answered by one line of JSON:

  check   stop for a moment, wait for every answer, read everything new, compare: {"ok", "text", "events", "slowest_ms"}
  end     the last check, and the end
"""

import json
import os
import select
import sys
import time

import wire
import zmtp

PATIENCE = 60.0
# An acknowledgement that takes longer is sent again, as the page says.
RETRY_AFTER = 10.0
PAUSE = 0.05


class Client:
    def __init__(self, endpoint, topic, partition):
        self.endpoint, self.topic, self.partition = endpoint, topic, partition
        self.producer_id = int.from_bytes(os.urandom(8), "little") | 1
        self.peer = zmtp.patient_peer(endpoint, timeout=PATIENCE)
        self.next_id = 1
        self.sequence = 0
        self.waiting = {}  # request id -> (sequence, when)
        self.acked = {}  # sequence -> offset
        self.read_end = 0
        self.pushed_end = 0
        self.last_sent = 0.0
        self.slowest = 0.0
        self.faults = []
        self.fetch_id, self.fetched = 0, None
        self.follows = partition % 3 == 0
        if self.follows:
            self.subscribe()

    def fileno(self):
        return self.peer.fileno()

    def fresh_id(self):
        self.next_id += 1
        return self.next_id

    def subscribe(self):
        self.subscription_id = self.fresh_id()
        self.peer.send([wire.subscribe(self.subscription_id, self.topic, self.partition, self.pushed_end,
                                       subscription=self.subscription_id, credit=1 << 20)])

    def payload(self, sequence):
        return b"partition %d event %d " % (self.partition, sequence) + b"x" * (sequence * 7 % 60)

    def send(self, sequence):
        request_id = self.fresh_id()
        self.waiting[request_id] = (sequence, time.monotonic())
        data = wire.batch([self.payload(sequence)], producer_id=self.producer_id, sequence=sequence)
        self.peer.send([wire.produce(request_id, self.topic, self.partition), data])

    def work(self):
        now = time.monotonic()
        if now - self.last_sent >= PAUSE and len(self.waiting) < 8:
            self.last_sent = now
            self.send(self.sequence)
            self.sequence += 1
        self.retry(now)

    def retry(self, now):
        late = sorted(sequence for sequence, when in self.waiting.values() if now - when > RETRY_AFTER)
        if not late:
            return
        again = sorted({sequence for sequence, _ in self.waiting.values()})
        self.waiting.clear()
        for sequence in again:
            self.send(sequence)

    def take_ready(self):
        for frames in self.peer.receive_ready():
            self.take(wire.Reply(frames))

    def wait_and_take(self):
        if select.select([self.peer], [], [], 0.2)[0]:
            self.take_ready()

    def take(self, reply):
        if reply.id in self.waiting:
            sequence, when = self.waiting.pop(reply.id)
            self.slowest = max(self.slowest, time.monotonic() - when)
            if reply.code:
                self.faults.append(f"sequence {sequence}: {reply.error} {reply.text}")
            else:
                self.acked[sequence] = reply.number(0)
        elif self.follows and reply.id == self.subscription_id:
            self.take_push(reply)
        elif reply.id == self.fetch_id:
            self.fetched = reply

    def take_push(self, reply):
        if reply.code:
            self.faults.append(f"subscription: {reply.error} {reply.text}")
        count = sum(len(data) for data in reply.data)
        for offset, payload in wire.events(reply.data):
            if offset != self.pushed_end or payload != self.payload(offset):
                self.faults.append(f"pushed {offset} {payload[:40]!r} instead of {self.pushed_end}")
            self.pushed_end = offset + 1
        if count:
            self.peer.send([wire.credit(self.fresh_id(), self.subscription_id, count)])

    def settle(self, deadline):
        while self.waiting and time.monotonic() < deadline:
            self.wait_and_take()
            self.retry(time.monotonic())
        if self.waiting:
            self.faults.append(f"{len(self.waiting)} requests were never answered")

    def check(self):
        """Everything acknowledged is there, once and in order."""
        deadline = time.monotonic() + PATIENCE
        self.settle(deadline)
        for sequence, offset in self.acked.items():
            if sequence != offset:  # alone on its partition, so both count the same
                self.faults.append(f"sequence {sequence} was acknowledged at offset {offset}")
        self.acked.clear()
        while self.read_end < self.sequence and not self.faults:
            self.fetch_id, self.fetched = self.fresh_id(), None
            self.peer.send([wire.fetch(self.fetch_id, self.topic, self.partition, self.read_end)])
            while self.fetched is None and time.monotonic() < deadline:
                self.wait_and_take()
            reply = self.fetched
            if reply is None:
                self.faults.append("a fetch was never answered")
                break
            if reply.code:
                self.faults.append(f"fetch: {reply.error} {reply.text}")
                break
            before = self.read_end
            for offset, payload in wire.events(reply.data):
                if offset != self.read_end or payload != self.payload(offset):
                    self.faults.append(f"read {offset} {payload[:40]!r} instead of {self.read_end}")
                self.read_end = offset + 1
            if self.read_end == before:
                self.faults.append(f"{self.sequence - before} events are missing from {before} on")
        while self.follows and self.pushed_end < self.sequence and not self.faults:
            if time.monotonic() > deadline:
                self.faults.append(f"only {self.pushed_end} of {self.sequence} events were pushed")
            else:
                self.wait_and_take()


def check_all(clients):
    faults = []
    for client in clients:
        try:
            client.check()
        except (zmtp.Closed, zmtp.Silent, ValueError) as error:
            client.faults.append(repr(error))
        faults += [f"client {client.partition}: {fault}" for fault in client.faults[:3]]
    print(json.dumps({"ok": not faults, "text": "; ".join(faults[:5]), "events": sum(client.sequence for client in clients),
                      "slowest_ms": round(1000 * max(client.slowest for client in clients))}), flush=True)
    for client in clients:
        client.slowest = 0.0


def main():
    endpoint, topic, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    clients = [Client(endpoint, topic, i) for i in range(count)]
    print(json.dumps({"ready": True}), flush=True)
    while True:
        readable = select.select([sys.stdin, *clients], [], [], 0.02)[0]
        if sys.stdin in readable:
            command = sys.stdin.readline().strip()
            check_all(clients)
            if command != "check":
                return
        for client in clients:
            try:
                client.work()
                if client in readable:
                    client.take_ready()
            except (zmtp.Closed, zmtp.Silent, ValueError) as error:
                if not client.faults:
                    client.faults.append(repr(error))


if __name__ == "__main__":
    main()
