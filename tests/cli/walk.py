#!/usr/bin/env python3
"""Walks over every command of `millrace` against a real broker: results, exit codes, error texts.

    walk.py MILLRACE MILLRACED

Needs nothing but the two programs and the standard library. Each situation is a function named test_*; one broker serves
all that do not need their own.
"""
import atexit
import json
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

MILLRACE, MILLRACED = sys.argv[1], sys.argv[2]
PATIENCE = 60  # seconds; only a failure waits to the end of it
ONE_LINE_ERROR = re.compile(r"^millrace: .+ \((client|broker)\): .+$")


# Those that a failed test left running are ended with the program.
BROKERS = []


@atexit.register
def end_brokers():
    for process in BROKERS:
        if process.poll() is None:
            process.kill()
            process.wait()


class Broker:
    def __init__(self, data_dir, *flags, stderr=subprocess.DEVNULL):
        self.data_dir = data_dir
        self.process = subprocess.Popen(
            [MILLRACED, "--data-dir", str(data_dir), "--listen", "tcp://127.0.0.1:0", "--live", "tcp://127.0.0.1:0",
             "--http", "127.0.0.1:0", *flags],
            stdout=subprocess.PIPE, stderr=stderr, text=True)
        BROKERS.append(self.process)
        ready = json.loads(self.process.stdout.readline())
        self.endpoint, self.live, self.http = ready["listen"], ready["live"], ready["http"]

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        return self.process.wait(timeout=PATIENCE)


class Run:
    def __init__(self, *words, stdin=b"", broker=None, env=None, patience=2 * PATIENCE):
        environment = dict(os.environ)
        environment.pop("MILLRACE_BROKER", None)
        environment.update(env or {})
        if broker:
            environment["MILLRACE_BROKER"] = broker.endpoint
        done = subprocess.run([MILLRACE, *map(str, words)], input=stdin, env=environment, capture_output=True, timeout=patience)
        self.words, self.code, self.out, self.err = words, done.returncode, done.stdout, done.stderr.decode()

    def ok(self):
        assert self.code == 0, f"{self.words}: exit {self.code}\n{self.err}"
        return self

    def text(self):
        return self.ok().out.decode()

    def json(self):
        return json.loads(self.text())

    def lines(self):
        return self.text().splitlines()

    def fails(self, code, *parts):
        assert self.code == code, f"{self.words}: exit {self.code}, not {code}\n{self.err}"
        first = self.err.splitlines()[0]
        assert ONE_LINE_ERROR.match(first), f"{self.words}: not an error line: {first}"
        for part in parts:
            assert part in self.err, f"{self.words}: no '{part}' in: {self.err}"
        return self


def mr(*words, stdin=b""):
    return Run(*words, stdin=stdin, broker=BROKER)


counter = 0


def new_topic(partitions=1, *flags):
    global counter
    counter += 1
    name = f"walk-{counter}"
    mr("topic", "create", name, "--partitions", partitions, *flags).ok()
    return name


def events_of(topic, *flags):
    return [json.loads(line) for line in mr("consume", topic, "-e", "-o", "json", *flags).lines()]


# -- usage


def test_help_and_version():
    for command in ([], ["topic"], ["topic", "create"], ["produce"], ["consume"], ["tail"], ["replay"], ["log", "verify"],
                    ["log", "dump"], ["bench", "produce"], ["bench", "latency"], ["doctor"], ["completion", "bash"], ["ping"]):
        text = Run(*command, "--help").text()
        assert "millrace" in text.rstrip().splitlines()[-1], f"{command}: no example at the end"
    assert re.match(r"millrace \d+\.\d+\.\d+\n$", Run("--version").text())
    text = " ".join(Run("produce", "--help").text().split())
    assert "bytes of the keys and payloads of all that were sent" in text
    assert "--key-field stops at the first line that is not JSON or lacks the field" in text


def test_bad_usage_is_exit_2_and_one_line():
    for words in ([], ["nonsense"], ["topic"], ["topic", "create"], ["consume"], ["consume", "a", "--group", "g"],
                  ["topic", "list", "--timeout", "soon"], ["topic", "list", "-o", "xml"], ["produce", "a", "--ack", "maybe"],
                  ["consume", "a", "--offset", "banana"], ["consume", "a", "-f", "%q"], ["consume", "a/x"],
                  ["consume", "a", "-c", "0"], ["consume", "a", "-o", "json", "-f", "%v"],
                  ["produce", "a", "--partitions", "3"], ["produce", "a", "--key", "k", "--key-field", "f"],
                  ["produce", "a", "--header", "novalue"], ["replay", "a", "--offset", ":", "--speed", "fast"],
                  ["replay", "a"], ["replay", "a", "--offset", ":", "--to", "a"], ["topic", "create", "a", "--set", "x"],
                  ["topic", "trim", "a", "--before", "later"],  ["consume", "a", "-c", "-1"], ["tail", "a", "-c", "x"],
                  ["produce", "a", "--partition", "x"], ["consume", "a", "-f", ""], ["replay", "a", "--offset", ":", "--to-file", ""],
                  ["produce", "a", "--key-field", ""], ["produce", "a", "--key-separator", ""],
                  ["produce", "a", "--batch-bytes", "1"], ["bench", "produce", "--events", "0"],
                  ["bench", "produce", "--seconds", "0"], ["bench", "consume", "--event-bytes", "x"],
                  ["produce", "a", "--key-separator", "::"], ["produce", "a", "--key-separator", "\\t:"],
                  ["produce", "a", "--key-separator", "éé"], ["bench", "produce", "--topic", ""]):
        run = Run(*words, "--broker", "tcp://127.0.0.1:1") if words else Run()
        run.fails(2)
        assert run.out == b"" and len(run.err.splitlines()) == 1, f"{words}: {run.err}"
        assert len(run.err) < 250, f"{words}: more than a line's worth: {run.err}"
        if len(words) > 1 and words[-2].startswith("--"):
            assert words[-2] in run.err, f"{words}: the flag is not named: {run.err}"


def test_a_command_that_is_left_out_is_asked_for_by_name():
    for words, said in (([], "'millrace' needs a command: topic, produce, consume, tail, replay, log, bench, ping, doctor, completion"),
                        (["topic"], "'millrace topic' needs a command: create, list, describe, delete, trim"),
                        (["completion"], "'millrace completion' needs a command: bash"),
                        (["completion", "zsh"], "there is no completion for the shell 'zsh', only for bash"),
                        (["topic", "frobnicate"], "there is no command 'frobnicate'; there are create, list, describe, delete, trim")):
        Run(*words).fails(2, said, "see --help")


def test_a_number_that_is_none_is_refused_with_its_bounds():
    for words, said in ((["topic", "create", "a", "--partitions", "abc"], "--partitions: 'abc' is not a whole number from 1 to 4096"),
                        (["topic", "create", "a", "--partitions", "0"], "--partitions: '0' is not a whole number from 1 to 4096"),
                        (["produce", "a", "--create", "--partitions", "1.5"], "--partitions: '1.5' is not a whole number from 1 to 4096"),
                        (["bench", "produce", "--producers", "many"], "--producers: 'many' is not a whole number from 1 to 64"),
                        (["bench", "produce", "--in-flight", "33"], "--in-flight: '33' is not a whole number from 1 to 32"),
                        (["log", "repair", "d", "a/0", "--cut-from", "x"], "--cut-from: 'x' is not a whole number from 0 on"),
                        (["replay", "a", "--offset", ":", "--speed", "fast"], "--speed: 'fast' is neither max nor a factor above 0, such as 1x or 10x")):
        Run(*words).fails(2, said)


def test_a_value_that_only_the_broker_can_judge_is_exit_1_as_the_help_says():
    assert "also a value that only the broker can judge" in " ".join(Run("--help").text().split())
    mr("topic", "create", "a", "--set", "segment_bytes=1").fails(1, "(broker)")
    mr("topic", "create", "a", "--partitions", "4097").fails(2)


def test_a_standard_error_that_takes_nothing_changes_no_exit_code():
    endpoint = ["--broker", "tcp://127.0.0.1:1", "--timeout", "1ms"]
    for words, code in ((["--nonsense"], 2), (["consume", "a", *endpoint], 1), (["log", "verify", "not-there"], 1)):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([MILLRACE, *words], stdout=subprocess.DEVNULL, stderr=full, timeout=PATIENCE)
        assert done.returncode == code, f"{words}: exit {done.returncode}"
    with open("/dev/full", "wb") as full:
        done = subprocess.run([MILLRACED, "--nonsense"], stdout=subprocess.DEVNULL, stderr=full, timeout=PATIENCE)
    assert done.returncode == 2, done.returncode


def test_no_broker_is_exit_1_within_the_timeout():
    Run("topic", "list", "--broker", "tcp://127.0.0.1:1", "--timeout", "300ms").fails(1, "(client)", "disconnected", "300 ms")


def test_a_broker_that_is_not_there_is_noted_while_it_is_waited_for():
    said = "millrace: no broker answers at tcp://127.0.0.1:1; waiting up to 2s for it (--timeout)"
    commands = (["topic", "list"], ["topic", "create", "a"], ["topic", "describe", "a"], ["topic", "delete", "a"],
                ["topic", "trim", "a", "--before", "1"], ["ping"], ["produce", "a"], ["consume", "a"], ["tail", "a"],
                ["replay", "a", "--offset", ":"], ["bench", "produce"], ["bench", "latency"], ["bench", "consume"])
    flags = ["--broker", "tcp://127.0.0.1:1", "--timeout", "2s"]
    environment = {k: v for k, v in os.environ.items() if k != "MILLRACE_BROKER"}
    waiting = [subprocess.Popen([MILLRACE, *words, *flags], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, env=environment) for words in commands]
    for words, process in zip(commands, waiting):
        out, err = process.communicate(timeout=PATIENCE)
        first, second = err.decode().splitlines()
        assert process.returncode == 1 and out == b"" and first == said and "disconnected" in second, f"{words}: {err}"
    assert len(Run("ping", "-q", *flags).err.splitlines()) == 1


def test_an_endpoint_that_is_none_is_bad_usage_wherever_it_comes_from():
    for endpoint in ("nonsense", "127.0.0.1:7711", "tcp://127.0.0.1", "tcp://127.0.0.1:0", "tcp://127.0.0.1:65536", "tcp://:1",
                     "inproc://here", "http://127.0.0.1:1"):
        for words in (["topic", "list"], ["topic", "create", "a"], ["topic", "describe", "a"], ["topic", "delete", "a"],
                      ["topic", "trim", "a", "--before", "1"], ["produce", "a"], ["consume", "a"], ["tail", "a"],
                      ["replay", "a", "--offset", ":"], ["bench", "produce"], ["bench", "consume"], ["ping"]):
            run = Run(*words, "--broker", endpoint).fails(2, "usage (client)", f"'{endpoint}'", "tcp://HOST:PORT")
            assert run.out == b"" and len(run.err.splitlines()) == 1, f"{words}: {run.err}"
    assert Run("ping", env={"MILLRACE_BROKER": "nonsense"}).fails(2, "'nonsense'", "tcp://HOST:PORT").out == b""
    Run("ping", "--timeout", "25h").fails(2, "24h")


def test_a_closed_standard_stream_is_not_taken_for_a_file():
    name = new_topic()
    environment = dict(os.environ, MILLRACE_BROKER=BROKER.endpoint)
    for words, redirection in ((f"produce {name}", "<&-"), (f"consume {name} -e", ">&-"), ("topic list", ">&-"),
                               (f"replay {name} --offset :", ">&-")):
        mr("produce", name, stdin=b"x\n").ok()
        done = subprocess.run(["sh", "-c", f"exec {MILLRACE} {words} {redirection}"], env=environment, capture_output=True, timeout=60)
        assert done.returncode == 1 and b"Bad file descriptor" in done.stderr, f"{words}: {done}"
    with tempfile.TemporaryDirectory() as place:
        broker = subprocess.Popen(["sh", "-c", f"exec {MILLRACED} --data-dir {place}/data --listen tcp://127.0.0.1:0 --live off "
                                   "--http off --log-level debug <&- 2>&-"], stdout=subprocess.PIPE)
        BROKERS.append(broker)
        assert json.loads(broker.stdout.readline())["ready"]
        for stream in (0, 2):
            assert os.readlink(f"/proc/{broker.pid}/fd/{stream}") == "/dev/null"
        broker.terminate()
        assert broker.wait(timeout=30) == 0


def test_global_flags_stand_before_or_after_the_command():
    before = Run("--broker", BROKER.endpoint, "-o", "json", "--timeout", "60s", "topic", "list").json()
    after = Run("topic", "list", "--broker", BROKER.endpoint, "-o", "json", "--timeout", "60s").json()
    assert before == after


# -- topics


def test_topics_are_created_listed_described_and_deleted():
    name = new_topic(3, "--set", "segment_bytes=1 MiB")
    mr("topic", "create", name).fails(1, "(broker)", "topic_exists")
    assert name in mr("topic", "list", "-q").lines()
    listed = [t for t in mr("topic", "list", "-o", "json").json() if t["topic"] == name]
    assert listed[0]["partitions"] == 3
    described = mr("topic", "describe", name, "-o", "json").json()
    assert described["settings"]["segment_bytes"] == "1 MiB"
    assert [p["state"] for p in described["partition_list"]] == ["ok"] * 3
    assert name in mr("topic", "describe", name).text()
    mr("topic", "delete", name).ok()
    mr("topic", "delete", name).fails(1, "(broker)", "unknown_topic", name)
    mr("topic", "describe", name).fails(1, "unknown_topic")
    mr("topic", "create", "bad name").fails(1, "bad_topic_name")
    mr("topic", "create", "x", "--set", "colour=red").fails(1, "bad_setting", "colour")
    mr("topic", "create", "x", "--partitions", "5000").fails(2, "4096")


def test_trim_moves_the_start_of_every_partition_or_of_one():
    name = new_topic(2)
    for partition in (0, 1):
        mr("produce", name, "--partition", partition, stdin=b"a\nb\nc\nd\n").ok()
    trimmed = mr("topic", "trim", name, "--before", "2", "-o", "json").json()
    assert [(p["start_offset"], p["end_offset"]) for p in trimmed["partitions"]] == [(2, 4), (2, 4)]
    mr("topic", "trim", name, "--before", "end", "--partition", "1").ok()
    mr("topic", "trim", f"{name}/0", "--before", "3").fails(2, f"{name} --partition 0")
    assert [e["value"] for e in events_of(name)] == ["c", "d"]


def test_ping():
    assert mr("ping", "-o", "json").json()["version"]


def test_another_port_of_the_broker_is_told_from_one_where_nobody_listens():
    for endpoint in (BROKER.live, f"tcp://{BROKER.http}"):
        Run("ping", "-q", "--broker", endpoint, "--timeout", "4s").fails(1, "disconnected", endpoint, "name its request endpoint", "the live feed's")


def test_every_refusal_says_what_to_do():
    name = new_topic(2)
    for words, advice in ((["topic", "create", name], "delete it first, or choose another name"),
                          (["topic", "create", ".x"], "write 1 to 200 of A-Z a-z 0-9 . _ -"),
                          (["topic", "create", "a b"], "write 1 to 200 of A-Z a-z 0-9 . _ -"),
                          (["topic", "create", "x" * 201], "has 201; write 1 to 200 of"),
                          (["topic", "create", ""], "write 1 to 200 of"),
                          (["topic", "create", "x", "--set", "segment_bytes=1"], "allowed is 64 KiB to"),
                          (["topic", "create", "x", "--set", "segment_byte=1"], "the nearest is 'segment_bytes'"),
                          (["topic", "create", "x", "--set", "colour=red"], "there are batch_bytes_max, "),
                          (["topic", "describe", "no-such"], "create it first (millrace topic create)"),
                          (["topic", "delete", "no-such"], "create it first (millrace topic create)"),
                          (["topic", "trim", "no-such", "--before", "1"], "create it first"),
                          (["topic", "trim", name, "--before", "0", "--partition", "2"], "partitions 0 to 1, not 2"),
                          (["produce", "no-such"], "create it first"), (["consume", "no-such"], "create it first"),
                          (["tail", "no-such"], "create it first"), (["replay", "no-such", "--offset", ":"], "create it first"),
                          (["replay", name, "--offset", ":", "--to", "no-such"], "create it first"),
                          (["bench", "produce", "--topic", "no-such"], "create it first"),
                          (["bench", "consume", "--topic", "no-such"], "create it first"),
                          (["consume", name + "/2"], "partitions 0 to 1, not 2"),
                          (["replay", name + "/2", "--offset", ":"], "partitions 0 to 1, not 2"),
                          (["produce", name, "--partition", "2"], "partitions 0 to 1, not 2")):
        run = mr(*words).fails(1, advice)
        assert len(run.err.splitlines()) == 1 and run.out == b"", f"{words}: {run.out} {run.err}"
    for words in (["topic", "list"], ["ping"], ["produce", "a"], ["consume", "a"], ["tail", "a"], ["bench", "produce"]):
        run = Run(*words, "--broker", "tcp://127.0.0.1:1", "--timeout", "100ms")
        run.fails(1, "(client)", "disconnected", "tcp://127.0.0.1:1", "100 ms", "check that a broker listens there")


def test_an_unknown_word_is_named_with_what_was_probably_meant():
    for words, said in ((["pruduce"], "there is no command 'pruduce', the nearest is produce"),
                        (["topic", "creat", "a"], "there is no command 'creat', the nearest is create"),
                        (["topic", "trim", "a", "--bfore", "3"], "there is no flag '--bfore', the nearest is --before"),
                        (["topic", "trim", "a", "3"], "'3' is one argument too many"),
                        (["topic", "list", "a"], "'a' is one argument too many"),
                        (["--brokr", "x", "topic", "list"], "there is no flag '--brokr', the nearest is --broker")):
        mr(*words).fails(2, said, "see --help")


# -- produce


def test_lines_become_events_with_empty_ones_and_a_last_one_without_newline():
    name = new_topic()
    summary = mr("produce", name, "-o", "json", stdin=b"one\n\nthree\r\nlast").json()
    assert summary["events"] == 4 and summary["unacked"] == 0 and summary["bytes"] == 13
    assert summary["partitions"] == [{"partition": 0, "events": 4, "first_offset": 0, "last_offset": 3}]
    assert [e["value"] for e in events_of(name)] == ["one", "", "three\r", "last"]
    assert "4 events" in mr("produce", name, stdin=b"a\nb\nc\nd\n").text()
    assert mr("produce", name, "-q", stdin=b"x\n").text() == ""


def test_files_are_read_in_order_and_a_missing_one_is_named():
    name = new_topic()
    with tempfile.TemporaryDirectory() as place:
        first, second = pathlib.Path(place, "1"), pathlib.Path(place, "2")
        first.write_bytes(b"a\nb")
        second.write_bytes(b"c\n")
        mr("produce", name, first, "-", second, stdin=b"stdin\n").ok()
        assert [e["value"] for e in events_of(name)] == ["a", "b", "stdin", "c"]
        for bad, why in ((place + "/none", "No such file"), (place, "Is a directory")):
            run = mr("produce", name, first, bad).fails(1, bad, why, "name files that may be read")
            assert run.out == b"" and len(run.err.splitlines()) == 1, f"{run.out} {run.err}"
        assert len(events_of(name)) == 4, "a file was sent though another one cannot be read"
        # A pipe is read once: looking at it must not end it for its writer.
        piped = subprocess.run(["bash", "-c", f"{MILLRACE} produce {name} <(echo piped)"], capture_output=True, timeout=PATIENCE,
                               env=dict(os.environ, MILLRACE_BROKER=BROKER.endpoint))
        assert piped.returncode == 0 and events_of(name)[-1]["value"] == "piped", piped
    mr("produce", "no-such-topic", stdin=b"x").fails(1, "unknown_topic", "no-such-topic")


def test_keys_come_from_a_separator_a_field_or_the_flag():
    name = new_topic()
    mr("produce", name, "--key-separator", ":", stdin=b"k1:v:1\nnokey\n").ok()
    mr("produce", name, "--key-separator", "\\t", stdin=b"k2\tv2\n").ok()
    mr("produce", name, "--key-field", "user.id", stdin=b'{"user":{"id":17}}\n{"user":{"id":"x"}}\n').ok()
    mr("produce", name, "--key", "fixed", stdin=b"v\n").ok()
    assert [e["key"] for e in events_of(name)] == ["k1", None, "k2", "17", "x", "fixed"]
    assert events_of(name)[0]["value"] == "v:1"
    mr("produce", name, "--key-separator", "→", stdin="k→v→w\n:empty\n".encode()).ok()
    mr("produce", name, "--key-separator", ":", stdin=b":empty\n").ok()
    assert [(e["key"], e["value"]) for e in events_of(name)[-3:]] == [("k", "v→w"), (None, ":empty"), (None, "empty")]


def test_a_line_without_its_key_field_stops_with_the_count_acked():
    name = new_topic()
    run = mr("produce", name, "--key-field", "id", "-o", "json", stdin=b'{"id":1}\n{"id":2}\n{"no":3}\n{"id":4}\n')
    run.fails(1, "line 3", "id")
    assert json.loads(run.out)["events"] == 2 and json.loads(run.out)["first_unacked"] == "standard input line 3"
    mr("produce", name, "--key-field", "id", stdin=b"not json\n").fails(1, "line 1", "not JSON")
    assert len(events_of(name)) == 2


def test_what_was_not_acked_is_told_by_file_and_line():
    name = new_topic()
    with tempfile.TemporaryDirectory() as place:
        first, second = pathlib.Path(place, "first"), pathlib.Path(place, "second")
        first.write_bytes(b"1\n2\n")
        os.mkfifo(second)
        producer = start("produce", name, str(first), str(second), "-o", "json")
        with open(second, "wb", buffering=0) as pipe:
            pipe.write(b"3\n")
            mr("consume", name, "-c", "3").ok()
            mr("topic", "delete", name).ok()
            pipe.write(b"4\n5\n")
        out, err = producer.communicate(timeout=PATIENCE)
        assert producer.returncode == 1, err
        assert f"2 of 5 events were not acked, 3 were; the first is {second} line 2, partition 0 (broker): unknown_topic" in err.decode(), err
        summary = json.loads(out)
        assert (summary["events"], summary["unacked"], summary["first_unacked"]) == (3, 2, f"{second} line 2"), summary


def test_partitions_that_the_topic_does_not_have_are_refused_before_anything_is_sent():
    name = new_topic()
    run = mr("produce", name, "--create", "--partitions", "8", stdin=b"x\n")
    run.fails(1, f"topic '{name}' is there with 1 partition, --partitions says 8; leave it out or choose another topic")
    assert run.out == b"" and len(run.err.splitlines()) == 1 and events_of(name) == []
    mr("produce", name, "--create", "--partitions", "1", stdin=b"x\n").ok()
    mr("produce", name, "--create", stdin=b"x\n").ok()
    mr("produce", name + "-new", "--create", "--partitions", "3", stdin=b"x\n").ok()
    assert mr("topic", "describe", name + "-new", "-o", "json").json()["partitions"] == 3


def test_one_event_is_one_event():
    name = new_topic()
    assert mr("produce", name, stdin=b"x\n").text().startswith("1 event acked")
    assert mr("replay", name, "--offset", ":", "--dry-run").text().startswith("would replay 1 event, ")


def test_an_event_as_large_as_the_limit_is_refused_in_the_words_of_who_sent_it():
    name = new_topic()
    run = mr("produce", name, "--raw", stdin=b"x" * 1048576)
    run.fails(1, "too_large", "an event of 1048576 B payload makes a batch of 1048", f"topic '{name}' allows 1048576 B (batch_bytes_max)")
    largest = int(re.search(r"a payload of up to (\d+) B fits", run.err).group(1))
    assert largest == 1048300, "the number that the pages and --help name"
    mr("produce", name, "--raw", stdin=b"x" * largest).ok()


def test_same_key_same_partition_and_partition_flag():
    name = new_topic(4)
    mr("produce", name, "--key-separator", ":", stdin=b"".join(b"k%d:%d\n" % (i % 10, i) for i in range(200))).ok()
    places = {}
    for event in events_of(name):
        places.setdefault(event["key"], set()).add(event["partition"])
    assert len(places) == 10 and all(len(p) == 1 for p in places.values())
    mr("produce", name, "--partition", "2", "--key", "anything", stdin=b"x\n").ok()
    assert events_of(name + "/2")[-1]["value"] == "x"
    mr("produce", name, "--partition", "9", stdin=b"x\n").fails(1, "unknown_partition")


def test_headers_raw_create_and_compression():
    mr("produce", "walk-made", "--create", "--partitions", "2", "--header", "a=1", "--header", "b=x=y",
       stdin=b"v\n").ok()
    assert mr("topic", "describe", "walk-made", "-o", "json").json()["partitions"] == 2
    assert events_of("walk-made")[0]["headers"] == {"a": "1", "b": "x=y"}
    name = new_topic()
    mr("produce", name, "--raw", stdin=b"two\nlines\n").ok()
    mr("produce", name, "--raw", stdin=b"").ok()
    assert [e["value"] for e in events_of(name)] == ["two\nlines\n", ""]
    text = b"".join(b"a line of text %d\n" % i for i in range(5000))
    for codec in ("zstd", "lz4"):
        packed = new_topic()
        mr("produce", packed, "--compression", codec, stdin=text).ok()
        assert mr("consume", packed, "-e").ok().out == text


def test_ack_levels_and_the_event_that_is_too_large():
    for level in ("durable", "received", "none"):
        name = new_topic()
        assert mr("produce", name, "--ack", level, "-o", "json", stdin=b"a\nb\n").json()["ack"] == level
    for level, words in (("durable", "2 events acked (durable), 2 B"), ("received", "2 events received (not yet durable), 2 B"),
                         ("none", "2 events sent (no ack asked for), 2 B")):
        text = mr("produce", name, "--ack", level, stdin=b"a\nb\n").text()
        assert text.startswith(words) and ("acked" in text) == (level == "durable"), text
    run = mr("produce", new_topic(), "--raw", stdin=b"x" * 3_000_000)
    run.fails(1, "too_large", "1048576")


def test_what_is_sent_without_an_ack_has_left_when_the_program_ends():
    with tempfile.TemporaryDirectory() as place:
        broker = Broker(place)
        Run("topic", "create", "t", broker=broker).ok()
        environment = dict(os.environ, MILLRACE_BROKER=broker.endpoint)
        producer = subprocess.Popen([MILLRACE, "produce", "t", "--ack", "none", "-o", "json"], stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
        line = b"x" * 99 + b"\n"
        producer.stdin.write(line)
        producer.stdin.flush()
        Run("consume", "t", "-c", "1", broker=broker).ok()
        # More than the kernel holds for a connection while nobody reads: the rest waits in the program.
        broker.process.send_signal(signal.SIGSTOP)
        threading.Timer(2, broker.process.send_signal, [signal.SIGCONT]).start()
        out, err = producer.communicate(line * 99_999, timeout=60)
        assert producer.returncode == 0 and json.loads(out)["events"] == 100_000, err
        # Readers see them when they are on disk.
        arrived = Run("consume", "t", "-c", "100000", "-f", "%o\n", "--timeout", "20s", broker=broker, patience=PATIENCE).lines()
        assert len(arrived) == 100_000, f"{len(arrived)} of 100,000 arrived"
        assert broker.stop() == 0


def test_a_failure_prints_no_table_when_nothing_was_produced():
    name = new_topic()
    run = mr("produce", name, "--key-field", "id", stdin=b"no json\n").fails(1, "line 1")
    assert run.out.decode().startswith("0 events acked (durable), 0 B") and b"PARTITION" not in run.out, run.out
    run = mr("produce", name, "--partition", "9", stdin=b"x\n").fails(1, "unknown_partition")
    assert b"PARTITION" not in run.out, run.out
    assert b"PARTITION" not in mr("produce", name, stdin=b"").ok().out
    assert b"PARTITION" in mr("produce", name, "--key-field", "id", stdin=b'{"id":1}\n{}\n').fails(1, "line 2", "id").out


# -- consume


def test_places_counts_and_formats():
    name = new_topic(2)
    for partition in (0, 1):
        mr("produce", name, "--partition", partition, "--header", "h=1", stdin=b"0\n1\n2\n3\n4\n").ok()
    assert len(mr("consume", name, "-e").lines()) == 10
    assert mr("consume", name + "/1", "-e", "--offset", "-2", "-f", "%t %p %o %s %v %h %%\\n").lines() == [
        f"{name} 1 3 1 3 h=1 %", f"{name} 1 4 1 4 h=1 %"]
    assert sorted(mr("consume", name, "-e", "--offset", "-1").lines()) == ["4", "4"]
    assert mr("consume", name + "/0", "--offset", "1:3", "-f", "%o,").text() == "1,2,"
    assert mr("consume", name + "/0", "--offset", ":2").lines() == ["0", "1"]
    assert mr("consume", name + "/0", "-c", "3").lines() == ["0", "1", "2"]
    assert mr("consume", name, "-e", "--offset", "end").lines() == []
    assert len(mr("consume", name, "-e", "--offset", "@-1h").lines()) == 10
    assert len(mr("consume", name, "-e", "--offset", "@2099-01-01T00:00:00Z").lines()) == 0
    mr("consume", name + "/7", "-e").fails(1, "unknown_partition")


def test_an_offset_that_is_not_there_is_refused_before_anything_is_read():
    name = new_topic(2)
    mr("produce", name, "--partition", 0, stdin=b"".join(b"%d\n" % i for i in range(10))).ok()
    mr("topic", "trim", name, "--partition", 0, "--before", 3).ok()
    one = name + "/0"
    for words, refused in ((["consume", one, "--offset", "50", "-e"], "offset 50 of"), (["consume", one, "--offset", "50"], "offset 50 of"),
                           (["consume", one, "--offset", "11"], "offset 11 of"), (["consume", one, "--offset", "2", "-e"], "offset 2 of"),
                           (["consume", one, "--offset", "0:5"], "offset 0 of"), (["consume", one, "--offset", "5:50"], "end 50 of"),
                           (["consume", one, "--offset", ":2"], "end 2 of"), (["replay", one, "--offset", "50:60"], "offset 50 of"),
                           (["replay", one, "--offset", "5:50"], "end 50 of"), (["replay", one, "--offset", "0:"], "offset 0 of"),
                           (["replay", one, "--offset", "0:5", "--dry-run"], "offset 0 of"),
                           (["replay", one, "--offset", "0:5", "--to", name + "-again", "--create"], "offset 0 of")):
        run = mr(*words).fails(1, "(client)", "offset_out_of_range", f"{refused} {one}", "allowed is 3 to 10", "--offset start")
        assert run.out == b"" and len(run.err.splitlines()) == 1, f"{words}: {run.out} {run.err}"
    assert name + "-again" not in mr("topic", "list", "-q").lines(), "refused, but the target was made"
    # Of several partitions the one without it is named.
    mr("consume", name, "--offset", "5", "-e").fails(1, f"offset 5 of {name}/1 is beyond its end; allowed is 0 to 0", f"{name}/N")
    mr("topic", "trim", name, "--before", "11").fails(1, f"offset 11 of {name}/0 is beyond its end")
    assert mr("consume", one, "-e", "--offset", "10").lines() == []
    assert mr("consume", one, "--offset", "3:10").lines() == [str(i) for i in range(3, 10)]
    assert mr("consume", name, "-e", "--offset", "-100").lines() == [str(i) for i in range(3, 10)]
    assert mr("replay", one, "--offset", "8:end").lines() == ["8", "9"]
    assert mr("replay", name, "--offset", "-100:").lines() == [str(i) for i in range(3, 10)]
    for words in (["consume", one], ["replay", one]):
        for reversed_range in ("7:5", "-1:-3", "@-1h:@-2h", "end:start"):
            mr(*words, "--offset", reversed_range).fails(2, reversed_range, "ends before it begins")


def test_json_lines_have_their_seven_members_and_base64_for_bytes():
    name = new_topic()
    mr("produce", name, "--raw", "--key", "k", stdin=b"\xff\x00").ok()
    mr("produce", name, stdin="é\n".encode()).ok()
    binary, text = events_of(name)
    assert binary["value_base64"] == "/wA=" and "value" not in binary
    assert list(text) == ["topic", "partition", "offset", "time", "key", "headers", "value"]
    assert text["value"] == "é" and text["key"] is None and text["headers"] == {}
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$", text["time"])


def start(*words):
    environment = dict(os.environ, MILLRACE_BROKER=BROKER.endpoint)
    return subprocess.Popen([MILLRACE, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


def read_line(stream, seconds=PATIENCE):
    assert select.select([stream], [], [], seconds)[0], "nothing was printed in time"
    return stream.readline()


def test_following_prints_at_once_and_an_interrupt_is_its_normal_end():
    name = new_topic()
    mr("produce", name, stdin=b"before\n").ok()
    follower = start("consume", name)
    assert read_line(follower.stdout) == b"before\n"
    mr("produce", name, stdin=b"after\n").ok()
    assert read_line(follower.stdout) == b"after\n"
    follower.send_signal(signal.SIGINT)
    assert follower.wait(timeout=PATIENCE) == 0
    assert follower.stderr.read() == b""


def test_an_interrupted_count_is_exit_130():
    follower = start("consume", new_topic(), "-c", "5")
    # Its own end cannot come; the topic is empty. The signal may come before or after it is connected.
    name = new_topic()
    mr("produce", name, stdin=b"x\n").ok()
    waiting = start("consume", name, "-c", "5")
    read_line(waiting.stdout)
    for process in (follower, waiting):
        process.send_signal(signal.SIGINT)
    assert waiting.wait(timeout=PATIENCE) == 130
    follower.wait(timeout=PATIENCE)


def test_an_interrupt_while_the_broker_does_not_answer_ends_at_once():
    for words in (["ping"], ["topic", "list"], ["consume", "a"], ["produce", "a"], ["tail", "a"], ["replay", "a", "--offset", ":"],
                  ["bench", "produce"], ["bench", "consume"]):
        for number in (signal.SIGINT, signal.SIGTERM):
            waiting = subprocess.Popen([MILLRACE, *words, "--broker", "tcp://127.0.0.1:1", "--timeout", "10m"],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            # The client's thread runs: the command is past its arguments and waits.
            deadline = time.monotonic() + 20
            while len(os.listdir(f"/proc/{waiting.pid}/task")) == 1:
                assert time.monotonic() < deadline, "it does not come to wait"
                time.sleep(0.01)
            waiting.send_signal(number)
            assert waiting.wait(timeout=20) == 130, words
            assert waiting.stdout.read() == b"", words


def test_a_reader_that_goes_away_is_a_quiet_end():
    name = new_topic()
    mr("produce", name, stdin=b"line\n" * 100_000).ok()
    consumer = start("consume", name)
    consumer.stdout.readline()
    consumer.stdout.close()
    assert consumer.wait(timeout=PATIENCE) == 0
    assert consumer.stderr.read() == b""


def test_produce_interrupted_while_it_waits_for_input_sends_what_it_has():
    name = new_topic()
    environment = dict(os.environ, MILLRACE_BROKER=BROKER.endpoint)
    producer = subprocess.Popen([MILLRACE, "produce", name, "-o", "json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                env=environment)
    producer.stdin.write(b"one\ntwo\n")
    producer.stdin.flush()
    watcher = start("consume", name, "-c", "2")
    read_line(watcher.stdout)
    producer.send_signal(signal.SIGINT)
    out = producer.stdout.read()
    assert producer.wait(timeout=PATIENCE) == 130
    assert json.loads(out)["events"] == 2
    watcher.wait(timeout=PATIENCE)
    producer.stdin.close()


def test_tail_sees_what_comes_after_it():
    name = new_topic()
    mr("produce", name, stdin=b"old\n").ok()
    tail = start("tail", name, "-c", "2", "-f", "%o %v\\n")
    assert b"following" in read_line(tail.stderr)
    mr("produce", name, stdin=b"new1\nnew2\n").ok()
    assert tail.communicate(timeout=PATIENCE)[0] == b"1 new1\n2 new2\n"
    assert tail.returncode == 0


def test_tail_of_a_topic_that_is_not_on_the_feed_says_so_once():
    name = new_topic(1, "--set", "live=false")
    tail = start("tail", name, "-c", "2", "-f", "%o %v\\n")
    said = read_line(tail.stderr)
    assert f"topic '{name}' is not on the live feed (live = false); its events are read from the log".encode() in said, said
    mr("produce", name, stdin=b"new1\nnew2\n").ok()
    out, err = tail.communicate(timeout=PATIENCE)
    assert out == b"0 new1\n1 new2\n" and err == b"" and tail.returncode == 0, err


# -- replay


def test_replay_into_a_topic_keeps_keys_headers_times_and_partitions():
    source = new_topic(3)
    mr("produce", source, "--key-separator", ":", "--header", "h=1",
       stdin=b"".join(b"k%d:%d\n" % (i, i) for i in range(100))).ok()
    summary = mr("replay", source, "--offset", ":", "--to", source + "-again", "--create", "-o", "json").json()
    assert summary["events"] == 100 and not summary["dry_run"]
    parts = [{k: e[k] for k in ("partition", "offset", "time", "key", "headers", "value")} for e in events_of(source)]
    again = [{k: e[k] for k in ("partition", "offset", "time", "key", "headers", "value")} for e in events_of(source + "-again")]
    order = lambda e: (e["partition"], e["offset"])
    assert sorted(parts, key=order) == sorted(again, key=order)
    mr("replay", source, "--offset", ":", "--to", "no-such-topic").fails(1, "unknown_topic")


def test_replay_follows_the_key_where_partitions_differ():
    source, target = new_topic(1), new_topic(4)
    mr("produce", source, "--key-separator", ":", stdin=b"".join(b"k%d:%d\n" % (i % 7, i) for i in range(70))).ok()
    mr("replay", source, "--offset", ":", "--to", target).ok()
    places = {}
    for event in events_of(target):
        places.setdefault(event["key"], set()).add(event["partition"])
    assert len(places) == 7 and all(len(p) == 1 for p in places.values())


def test_a_replay_whose_output_takes_nothing_does_not_claim_that_it_replayed():
    name = new_topic()
    mr("produce", name, stdin=b"a\nb\n").ok()
    with open("/dev/full", "wb") as full:
        done = subprocess.run([MILLRACE, "replay", name, "--offset", ":", "--broker", BROKER.endpoint], stdout=full,
                              stderr=subprocess.PIPE, timeout=PATIENCE, text=True)
    assert done.returncode == 1 and "cannot write events" in done.stderr, done
    assert "read 2 events" in done.stderr and "replayed" not in done.stderr, done.stderr


def test_replay_to_output_to_file_and_dry():
    name = new_topic()
    mr("produce", name, stdin=b"a\nb\nc\nd\n").ok()
    assert mr("replay", name, "--offset", "1:3").lines() == ["b", "c"]
    dry = mr("replay", name, "--offset", "1:", "--dry-run", "-o", "json").json()
    assert dry["events"] == 3 and dry["dry_run"] and dry["partitions"][0]["begin_offset"] == 1
    with tempfile.TemporaryDirectory() as place:
        target = pathlib.Path(place, "out.txt")
        mr("replay", name, "--offset", ":", "--to-file", target, "-f", "%o=%v\\n").ok()
        assert target.read_text() == "0=a\n1=b\n2=c\n3=d\n"
        mr("replay", name, "--offset", ":", "--to-file", target).fails(1, "--force")
        assert target.read_text() == "0=a\n1=b\n2=c\n3=d\n"
        mr("replay", name, "--offset", ":1", "--to-file", target, "--force").ok()
        assert target.read_text() == "a\n"
        assert os.listdir(place) == ["out.txt"]
        # What is no regular file would be replaced by one.
        os.mkfifo(place + "/pipe")
        for other in (place + "/pipe", place):
            mr("replay", name, "--offset", ":", "--to-file", other, "--force").fails(1, other, "redirect standard output")
        run = mr("replay", name, "--offset", ":", "--to-file", place + "/no/such/out")
        run.fails(1, f"cannot create {place}/no/such/out (client)", f"there is no directory {place}/no/such", "a directory that is there")
        assert ".part" not in run.err, run.err
        assert sorted(os.listdir(place)) == ["out.txt", "pipe"]


def test_a_dry_run_looks_at_its_target_and_leaves_it_alone():
    name = new_topic()
    mr("produce", name, stdin=b"a\nb\n").ok()
    dry = ["replay", name, "--offset", ":", "--dry-run"]
    with tempfile.TemporaryDirectory() as place:
        there = pathlib.Path(place, "there")
        there.write_text("as it was")
        for words, why in ((["--to", "nope"], "create it first"), (["--to-file", place + "/no/x"], "a directory that is there"),
                           (["--to-file", there], "--force replaces it"), (["--to-file", place, "--force"], "no regular file")):
            run = mr(*dry, *words).fails(1, str(words[1]), why)
            assert run.out == b"" and len(run.err.splitlines()) == 1, f"{words}: {run.out} {run.err}"
        for words in (["--to", "nope", "--create"], ["--to", new_topic()], ["--to-file", place + "/x"], ["--to-file", there, "--force"]):
            assert mr(*dry, *words, "-o", "json").json()["events"] == 2
        assert os.listdir(place) == ["there"] and there.read_text() == "as it was"
    assert "nope" not in mr("topic", "list", "-q").lines()


def test_replay_at_the_pace_of_the_event_times():
    name = new_topic()
    mr("produce", name, stdin=b"a\n").ok()
    mr("produce", name, stdin=b"b\n").ok()
    assert mr("replay", name, "--offset", ":", "--speed", "1x").lines() == ["a", "b"]


# -- offline


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 0x10]))


def make_directory(place, batches=40):
    """A data directory of one topic with several segments, closed cleanly."""
    broker = Broker(place)
    Run("topic", "create", "t", "--set", "batch_bytes_max=64 KiB", "--set", "segment_bytes=64 KiB", broker=broker).ok()
    for i in range(batches):
        Run("produce", "t", "--raw", stdin=b"%04d" % i * 1000, broker=broker).ok()
    assert broker.stop() == 0
    return sorted(pathlib.Path(place).glob("topics/*/0/*.segment"))


def test_verify_describe_and_dump_of_a_sound_directory():
    with tempfile.TemporaryDirectory() as place:
        segments = make_directory(place)
        assert len(segments) >= 2
        report = Run("log", "verify", place, "-o", "json").json()
        assert report["ok"] and report["events"] == 40 and report["faults"] == []
        described = Run("log", "describe", place, "-o", "json").json()
        partition = described["topics"][0]["partition_list"][0]
        assert (partition["start_offset"], partition["end_offset"], partition["closed_cleanly"]) == (0, 40, True)
        assert "no fault" in Run("log", "verify", place).text()
        assert "t " in Run("log", "describe", place).text()
        batches = Run("log", "dump", segments[0]).lines()
        assert sum(line.startswith("batch") for line in batches) >= 2
        dumped = []
        for segment in segments:
            dumped += Run("log", "dump", segment, "--events", "-f", "%o %s\\n").lines()
        assert dumped == [f"{i} 4000" for i in range(40)]
        Run("log", "verify", "/nonexistent").fails(1, "not_found", "name the data directory of a broker")
        Run("log", "verify", place + "/pool").fails(1, "data_dir_refused", "name that of a broker")
        for other in (place + "/identity", place + "/lock", place, place + "/none"):
            Run("log", "dump", other).fails(1, other, "name a .segment file")


def test_a_partition_that_never_had_an_event_gets_no_note():
    with tempfile.TemporaryDirectory() as place:
        broker = Broker(place)
        Run("topic", "create", "empty", "--partitions", "2", broker=broker).ok()
        Run("topic", "create", "t", broker=broker).ok()
        Run("produce", "t", stdin=b"x\n", broker=broker).ok()
        assert broker.stop() == 0
        report = Run("log", "verify", place, "-o", "json").json()
        assert report["ok"] and report["notes"] == [], report["notes"]
        checkpoint, = pathlib.Path(place).glob("topics/*/0/checkpoint")
        checkpoint.unlink()
        notes = Run("log", "verify", place, "-o", "json").json()["notes"]
        assert [n["file"] for n in notes] == [str(checkpoint.relative_to(place))] and "no checkpoint" in notes[0]["text"], notes


def test_a_directory_of_another_user_is_no_damage():
    if os.geteuid() != 0:
        return  # only root can become somebody else
    nobody = 65534
    with tempfile.TemporaryDirectory() as place, tempfile.TemporaryDirectory() as programs:
        os.chmod(place, 0o755)
        os.chmod(programs, 0o755)
        # Nobody may not come as far as the program: its clone may lie in root's home.
        program = shutil.copy(MILLRACE, programs)
        data = pathlib.Path(place, "data")
        make_directory(data, batches=1)
        # Its files and folders alone, the directory itself, and the one above it.
        for closed, mode in ((data, 0o755), (data, 0o700), (pathlib.Path(place), 0o700)):
            os.chmod(closed, mode)
            for words in (["verify", data], ["describe", data], ["repair", data], ["repair", data, "t/0", "--fence-missing"]):
                done = subprocess.run([program, "log", *words], capture_output=True, timeout=PATIENCE, user=nobody, group=nobody,
                                      extra_groups=[])
                err = done.stderr.decode()
                assert done.returncode == 1 and done.stdout == b"" and len(err.splitlines()) == 1, f"{words} {closed}: {done}"
                assert "Permission denied; run this as the user of the broker" in err, err
                assert "sudo -u root" in err or closed != data, err


def test_every_kind_of_damage_is_named_with_its_file():
    with tempfile.TemporaryDirectory() as place:
        segments = make_directory(place)
        topic = segments[0].parent.parent
        first = segments[0]
        indexes = sorted(first.parent.glob("*.index"))
        cases = [(first, 4096 + 50), (first, 4096 + 2000), (first, 100), (topic / "topic.meta.0", 40),
                 (pathlib.Path(place) / "identity", 20), (segments[-1], 4096 + 50)] + [(i, 30) for i in indexes[:1]]
        for path, at in cases:
            flip(path, at)
            run = Run("log", "verify", place, "-o", "json")
            assert run.code == 1, f"{path} at {at}: not found"
            faults = json.loads(run.out)["faults"]
            assert any(f["file"] == str(path.relative_to(place)) for f in faults), f"{path} at {at}: {faults}"
            flip(path, at)
            Run("log", "verify", place).ok()
        flip(first, 4096 + 2000)
        report = json.loads(Run("log", "verify", place, "-o", "json").out)
        fault = report["faults"][0]
        assert (fault["position"], fault["begin_offset"], fault["end_offset"]) == (4096, 0, 1), fault
        run = Run("log", "dump", first)
        assert run.code == 1 and "offsets 0:1" in run.err
        flip(first, 4096 + 2000)
        # The last batch of a sealed segment is no torn tail.
        batches = [json.loads(line).get("batch") for line in Run("log", "dump", first, "-o", "json").ok().out.splitlines()]
        flip(first, batches[-1]["position"] + 30)
        run = Run("log", "dump", first)
        assert run.code == 1 and f"offsets {batches[-1]['base_offset']}:{batches[-1]['end_offset']}" in run.err, run.err
        flip(first, batches[-1]["position"] + 30)
        middle = segments[1]
        middle.rename(middle.with_suffix(".away"))
        run = Run("log", "verify", place, "-o", "json")
        assert run.code == 1 and any("missing" in f["text"] for f in json.loads(run.out)["faults"])


def test_a_torn_tail_is_told_but_is_no_fault():
    with tempfile.TemporaryDirectory() as place:
        segments = make_directory(place, batches=3)
        last = int(Run("log", "dump", segments[-1]).lines()[-2].split()[2])
        # A commit that was cut short: its header is there, its body is not all there, and nothing says it was durable.
        (segments[-1].parent / "checkpoint").unlink()
        flip(segments[-1], last + 2000)
        run = Run("log", "verify", place)
        assert run.code == 0 and "would be cut" in run.text(), run.out
        assert "if this is the newest segment" in Run("log", "dump", segments[-1]).ok().err
        broker = Broker(place)
        assert len(Run("consume", "t", "-e", broker=broker).lines()) == 2
        assert broker.stop() == 0


def test_a_killed_broker_leaves_no_fault():
    with tempfile.TemporaryDirectory() as place:
        broker = Broker(place)
        Run("topic", "create", "t", broker=broker).ok()
        Run("produce", "t", stdin=b"a\nb\nc\n", broker=broker).ok()
        assert "lock is held" in Run("log", "verify", place).text()
        broker.stop(signal.SIGKILL)
        report = Run("log", "verify", place, "-o", "json").json()
        assert report["ok"] and report["events"] == 3


# -- the rest


def test_bench():
    produced = mr("bench", "produce", "--events", "2000", "--event-bytes", "100", "--partitions", "2", "-o", "json").json()
    assert produced["events"] == 2000 and produced["unacked"] == 0 and produced["ack_latency"]["samples"] > 0
    for words in (["produce", "--latency"], ["latency"]):
        latency = mr("bench", *words, "--events", "50", "--event-bytes", "256", "-o", "json").json()
        assert latency["bench"] == "produce-latency" and latency["ack_latency"]["samples"] == 50
    shared = mr("bench", "produce", "--events", "3000", "--event-bytes", "64", "--producers", "3", "-o", "json").json()
    assert shared["events"] == 3000
    consumed = mr("bench", "consume", "--events", "2000", "--event-bytes", "100", "-o", "json").json()
    assert consumed["events"] == 2000 and consumed["verified"]
    assert "events a second" in mr("bench", "produce", "--events", "100").text()
    assert not [t for t in mr("topic", "list", "-q").lines() if t.startswith("bench-")], "a topic of the bench stayed"
    kept = new_topic()
    mr("bench", "produce", "--topic", kept, "--events", "10").ok()
    assert mr("bench", "consume", "--topic", kept, "-o", "json").json()["events"] == 10
    mr("bench", "produce", "--event-bytes", "4").fails(2, "event-bytes")


def test_flags_of_the_bench_that_would_do_nothing_are_refused():
    kept = new_topic(2)
    run = mr("bench", "consume", "--topic", kept).fails(1, f"topic '{kept}' has no events")
    assert run.out == b"" and len(run.err.splitlines()) == 1, run.err
    mr("bench", "produce", "--topic", kept, "--events", "10").ok()
    for command, flag in (("consume", "--event-bytes 64KiB"), ("consume", "--producers 9"), ("consume", "--compression zstd"),
                          ("consume", "--partitions 64"), ("consume", "--in-flight 3"), ("consume", "--batch-bytes 1MiB"),
                          ("produce", "--partitions 64"), ("latency", "--partitions 64")):
        run = mr("bench", command, "--topic", kept, *flag.split()).fails(2, flag.split()[0] + ": has no effect with --topic")
        assert run.out == b"" and len(run.err.splitlines()) == 1, run.err
    for flag in ("--producers 2", "--in-flight 3", "--batch-bytes 1MiB"):
        mr("bench", "produce", "--latency", *flag.split()).fails(2, flag.split()[0] + ": has no effect with --latency")
        mr("bench", "latency", *flag.split()).fails(2, flag.split()[0])
    mr("bench", "consume", "--ack", "none").fails(2, "--ack")
    # The figures name what was measured, and the load only where there was one.
    read = mr("bench", "consume", "--topic", kept, "-o", "json").json()
    assert (read["events"], read["bytes"], read["partitions"], read["verified"]) == (10, 10240, 2, True)
    assert not {"event_bytes", "batch_bytes", "producers", "in_flight", "compression"} & set(read), read
    own = mr("bench", "consume", "--events", "100", "--compression", "lz4", "-o", "json").json()
    assert (own["event_bytes"], own["producers"], own["compression"]) == (1024, 1, "lz4")
    one = mr("bench", "latency", "--events", "5", "-o", "json").json()
    assert one["in_flight"] == 1 and "batch_bytes" not in one


def test_doctor():
    with tempfile.TemporaryDirectory() as place:
        report = json.loads(Run("doctor", "--data-dir", place + "/not/yet", "--no-self-test", "-o", "json").out)
        names = {check["check"] for check in report["checks"]}
        assert {"kernel", "io_uring", "file system", "space", "direct I/O", "open files", "zeromq"} <= names
        assert os.listdir(place) == [], "the doctor left something behind"
        assert all(check["advice"] for check in report["checks"] if check["verdict"] != "ok")


def test_a_place_that_can_hold_no_log_is_not_ok():
    run = Run("doctor", "--data-dir", "/proc", "-o", "json")
    verdicts = {check["check"]: check for check in json.loads(run.out)["checks"]}
    assert run.code == 1, run.out
    for check in ("file system", "space"):
        assert (verdicts[check]["verdict"], verdicts[check]["advice"]) == ("fail", "it keeps no log; name a directory on a disk"), run.out
    assert not {"temporary file", "synced 4 KiB write"} & set(verdicts), run.out


def test_an_interrupted_doctor_leaves_nothing_behind():
    with tempfile.TemporaryDirectory() as place:
        doctor = subprocess.Popen([MILLRACE, "doctor", "--data-dir", place], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 20
        while not os.listdir(place):
            assert time.monotonic() < deadline and doctor.poll() is None, "no self-test"
            time.sleep(0.01)
        doctor.send_signal(signal.SIGINT)
        assert doctor.wait(timeout=60) == 130
        assert os.listdir(place) == []


def test_completion():
    script = Run("completion", "bash").text()
    name = new_topic()

    def complete(*words):
        tail = "\n".join([script, "COMP_WORDS=(%s)" % " ".join(f"'{w}'" for w in words), f"COMP_CWORD={len(words) - 1}",
                          "_millrace", 'printf "%s\\n" "${COMPREPLY[@]}"'])
        environment = dict(os.environ, MILLRACE_BROKER=BROKER.endpoint,
                           PATH=str(pathlib.Path(MILLRACE).parent) + ":" + os.environ["PATH"])
        return subprocess.run(["bash", "-c", tail], env=environment, capture_output=True, text=True, check=True).stdout.split()

    assert complete("millrace", "pro") == ["produce"]
    assert complete("millrace", "topic", "d") == ["describe", "delete"]
    assert complete("millrace", "consume", name[:-1]).count(name) == 1
    assert "--key-field" in complete("millrace", "produce", name, "--key")
    assert complete("millrace", "-o", "") == ["table", "json"]
    assert complete("millrace", "log", "v") == ["verify"]


def main():
    global BROKER
    failed = 0
    with tempfile.TemporaryDirectory() as place:
        BROKER = Broker(pathlib.Path(place, "data"))
        try:
            for name, test in sorted(globals().items()):
                if not name.startswith("test_") or (len(sys.argv) > 3 and sys.argv[3] not in name):
                    continue
                try:
                    test()
                    print("ok    ", name, flush=True)
                except Exception:
                    failed += 1
                    print("FAILED", name, flush=True)
                    traceback.print_exc()
        finally:
            code = BROKER.stop()
        if code != 0:
            failed += 1
            print("FAILED: the broker ended with", code)
    return 1 if failed else 0



def test_log_repair_makes_a_partition_with_a_missing_segment_writable_again():
    with tempfile.TemporaryDirectory() as data:
        broker = Broker(data, "--set", "topic.segment_bytes=64 KiB", "--set", "topic.batch_bytes_max=32 KiB")
        Run("topic", "create", "r", broker=broker).ok()
        lines = "".join(f"{i:06d} {'x' * 500}\n" for i in range(1000)).encode()
        Run("produce", "r", "--batch-bytes", "16KiB", stdin=lines, broker=broker).ok()
        Run("log", "repair", data, "r/0", "--cut-before", 0, "--lose-events", 0).fails(1, "in use", "stop it first")
        assert broker.stop() == 0
        Run("log", "repair", data).ok()
        files = sorted(pathlib.Path(data).glob("topics/*/0/*.segment"))
        assert len(files) > 4
        bases = [int(f.stem) for f in files]
        files[2].unlink()

        said = Run("log", "repair", data)
        assert said.code == 1 and b"--fence-missing" in said.out, said.out
        broker = Broker(data)
        Run("produce", "r", stdin=b"no\n", broker=broker).fails(1, "read_only")
        broker.stop()

        # A cut says what it costs and does nothing; a wrong number does nothing either.
        cut = Run("log", "repair", data, "r/0", "--cut-before", bases[3])
        assert cut.code == 1 and f"--lose-events {bases[2]}" in cut.out.decode(), cut.out
        Run("log", "repair", data, "r/0", "--cut-before", bases[3], "--lose-events", 5).fails(1, "nothing was changed")
        Run("log", "repair", data, "r/0", "--cut-before", bases[3] + 1).fails(1, "begin at")
        Run("log", "repair", data, "r/0").fails(2, "--fence-missing")
        Run("log", "repair", data, "r", "--fence-missing").fails(2, "TOPIC/PARTITION")
        Run("log", "repair", data, "none/0", "--fence-missing").fails(1, "log describe")
        Run("log", "repair", data, "r/7", "--fence-missing").fails(1, "no partition 7")

        done = Run("log", "repair", data, "r/0", "--fence-missing", "-o", "json").json()
        assert done["done"] and done["fenced"] == [{"begin_offset": bases[2], "end_offset": bases[3]}], done
        broker = Broker(data)
        Run("produce", "r", stdin=b"again\n", broker=broker).ok()
        read = Run("consume", "r", "-e", "-f", "%o\n", broker=broker)
        read.fails(1, "corrupt", f"[{bases[2]}, {bases[3]})")
        assert [int(o) for o in read.out.split()] == [*range(bases[2]), *range(bases[3], 1001)]
        broker.stop()

        done = Run("log", "repair", data, "r/0", "--cut-before", bases[3], "--lose-events", bases[2]).text()
        assert "quarantine/" in done
        Run("log", "verify", data).ok()
        broker = Broker(data)
        assert len(Run("consume", "r", "-e", broker=broker).lines()) == 1001 - bases[3]
        broker.stop()

def test_a_broker_whose_standard_error_nobody_reads_still_ends():
    unread, full = os.pipe()
    os.set_blocking(full, False)
    try:
        while True:
            os.write(full, b"x" * 65536)
    except BlockingIOError:
        pass
    os.set_blocking(full, True)
    with tempfile.TemporaryDirectory() as data:
        broker = Broker(data, stderr=full)
        Run("topic", "create", "t", broker=broker).ok()
        assert broker.stop() == 0
    os.close(full)
    os.close(unread)


if __name__ == "__main__":
    sys.exit(main())
