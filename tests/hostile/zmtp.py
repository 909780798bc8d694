"""ZMTP 3 over a plain socket, standard library only: enough to be a good client, and to be a bad one."""

import select
import socket
import struct
import time

SIGNATURE = b"\xff" + bytes(7) + b"\x01\x7f"
GREETING_BYTES = 64
MORE, LONG, COMMAND = 1, 2, 4


class Closed(Exception):
    """The other side closed the connection."""


class Silent(Exception):
    """Nothing came in time."""


def address(endpoint):
    host, port = endpoint.removeprefix("tcp://").rsplit(":", 1)
    return host, int(port)


def connect(endpoint, timeout=10.0):
    stream = socket.create_connection(address(endpoint), timeout)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return stream


def greeting(mechanism=b"NULL", version=(3, 0), as_server=0):
    return SIGNATURE + bytes(version) + mechanism.ljust(20, b"\0") + bytes([as_server]) + bytes(31)


def frame(body, flags=0):
    if len(body) > 255:
        return bytes([flags | LONG]) + struct.pack(">Q", len(body)) + body
    return bytes([flags, len(body)]) + body


def message(frames):
    return b"".join(frame(body, MORE if i + 1 < len(frames) else 0) for i, body in enumerate(frames))


def ready(properties):
    body = b"\x05READY"
    for name, value in properties.items():
        body += bytes([len(name)]) + name.encode() + struct.pack(">I", len(value)) + value
    return frame(body, COMMAND)


def patient_peer(*words, patience=30.0, **more):
    """A Peer that the broker welcomes. It drops a handshake that takes longer than 3 s, as it may on a machine that is busy with
    other things: then again."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return Peer(*words, **more)
        except (Closed, Silent, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


class Peer:
    """One connection. Answers heartbeats while it waits for messages."""

    def __init__(self, endpoint, kind="DEALER", identity=None, timeout=10.0):
        self.stream = connect(endpoint, timeout)
        self.buffer, self.parts, self.messages = bytearray(), [], []
        properties = {"Socket-Type": kind.encode()}
        if identity is not None:
            properties["Identity"] = identity
        self.send_bytes(greeting() + ready(properties))
        deadline = time.monotonic() + timeout
        while len(self.buffer) < GREETING_BYTES:
            self._fill(deadline)
        del self.buffer[:GREETING_BYTES]
        while (whole := self._next_frame()) is None:
            self._fill(deadline)
        if not whole[0] & COMMAND or not whole[1].startswith(b"\x05READY"):
            raise Closed(f"no READY but {whole[1][:40]!r}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.stream.close()

    def fileno(self):
        return self.stream.fileno()

    def send_bytes(self, data):
        try:
            self.stream.sendall(data)
        except (ConnectionError, TimeoutError, socket.timeout) as error:
            raise Closed(str(error)) from error

    def send(self, frames):
        self.send_bytes(message(frames))

    def receive(self, timeout=10.0):
        """The frames of the next message."""
        deadline = time.monotonic() + timeout
        while not self.messages:
            self._fill(deadline)
            self._parse()
        return self.messages.pop(0)

    def receive_ready(self):
        """All messages that are there, without waiting. Call it when the socket is readable, or heartbeats go unanswered."""
        while select.select([self.stream], [], [], 0)[0]:
            self._fill(time.monotonic() + 1)
        self._parse()
        out, self.messages = self.messages, []
        return out

    def wait_closed(self, timeout):
        """Whether the other side closes within `timeout`; what it says meanwhile is dropped."""
        deadline = time.monotonic() + timeout
        try:
            while True:
                self._fill(deadline)
                self.buffer.clear()
        except Closed:
            return True
        except Silent:
            return False

    def _parse(self):
        while (whole := self._next_frame()) is not None:
            flags, body = whole
            if flags & COMMAND:
                if body.startswith(b"\x04PING"):
                    self.send_bytes(frame(b"\x04PONG" + body[7:], COMMAND))
                continue
            self.parts.append(body)
            if not flags & MORE:
                self.messages.append(self.parts)
                self.parts = []

    def _next_frame(self):
        """The frame at the front of the buffer, if it is whole."""
        if len(self.buffer) < 2:
            return None
        flags, begin, size = self.buffer[0], 2, self.buffer[1]
        if flags & LONG:
            if len(self.buffer) < 9:
                return None
            begin, size = 9, struct.unpack_from(">Q", self.buffer, 1)[0]
        if len(self.buffer) < begin + size:
            return None
        body = bytes(self.buffer[begin:begin + size])
        del self.buffer[:begin + size]
        return flags, body

    def _fill(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([self.stream], [], [], left)[0]:
            raise Silent("nothing came in time")
        try:
            data = self.stream.recv(1 << 20)
        except ConnectionError as error:
            raise Closed(str(error)) from error
        if not data:
            raise Closed("closed")
        self.buffer += data
