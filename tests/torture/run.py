#!/usr/bin/env python3
"""The campaigns behind scripts/torture; see there."""
import argparse
import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import campaign  # noqa: E402


def parse():
    parser = argparse.ArgumentParser(prog="scripts/torture", description="Torture of the real programs, judged by the promises.")
    commands = parser.add_subparsers(dest="command", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--seed", type=int, help="of everything random; default: a new one, which is printed")
    common.add_argument("--programs", default=str(campaign.ROOT / "build/release"), help="the build folder (default: build/release)")
    common.add_argument("--io", choices=["auto", "io_uring", "threads"], default="auto", help="the broker's data.io")
    common.add_argument("--dir", default="/tmp", help="where the temporary folder goes: a real file system")
    common.add_argument("--ledger", help="append the figures of a passed run to this file")
    common.add_argument("--jepsen", help="also write the history in Jepsen's format to this file")
    common.add_argument("--keep", action="store_true", help="leave the temporary folder behind")
    command = commands.add_parser("kill", parents=[common], help="SIGKILL, SIGSTOP and SIGTERM at random moments under load")
    command.add_argument("--kills", type=int, default=20)
    command.add_argument("--rate", type=int, default=15000, help="events per second of each patient producer; 0: all it can")
    command = commands.add_parser("power", parents=[common], help="the power cut below ext4 under load (root, FUSE, loop devices)")
    command.add_argument("--cuts", type=int, default=5)
    command = commands.add_parser("eio", parents=[common], help="I/O errors below ext4 under load (root, FUSE, loop devices)")
    command.add_argument("--episodes", type=int, default=10)
    command = commands.add_parser("full", parents=[common], help="a small disk filled and freed in cycles (root, loop devices)")
    command.add_argument("--cycles", type=int, default=5)
    command = commands.add_parser("restart", parents=[common], help="the time of a start by the size of the log")
    command.add_argument("--gb", default="1,10", help="sizes of the log, separated by commas (default: 1,10)")
    return parser.parse_args()


def main():
    options = parse()
    return campaign.conduct(options.command, options, importlib.import_module(options.command).play)


if __name__ == "__main__":
    sys.exit(main())
