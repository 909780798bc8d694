#!/usr/bin/env python3
"""Makes a copy of a source in which every call of the Disk seam says where it stands.

  mark_disk_sites.py SOURCE COPY     SOURCE is relative to the current folder, which is the repository's root

`disk_.close(io_, file_)` in line 45 becomes `at_site(site_45_0, disk_).close(io_, file_)`; see disk_sites.h. The copy has
the same lines under the same names, so that messages and debuggers show the source. A copy that would be the same as
the one that is there is not written.
"""
import pathlib
import re
import sys

CALLS = ("open close read write sync_data set_length preallocate file_size make_directory remove_directory remove "
         "rename sync_directory list").split()
CALL = re.compile(r"((?:\b\w+(?:\.|->))*\bdisk_?)(\.|->)(%s)\(" % "|".join(CALLS))


def marked(path, text):
    sites, lines = [], []
    for number, line in enumerate(text.splitlines(), 1):
        def mark(found, number=number):
            name = f"site_{number}_{len(sites)}"
            sites.append(f'const millrace::test::DiskSite {name}{{"{path}", {number}, "{found[3]}"}};')
            return f"::millrace::test::at_site({name}, {found[1]}){found[2]}{found[3]}("
        lines.append(CALL.sub(mark, line))
    head = ['#include "tests/enumerate/disk_sites.h"', "namespace {", *sites, "}", f'#line 1 "{path}"']
    return "\n".join(head + lines) + "\n"


def main():
    source, copy = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    text = marked(source.as_posix(), source.read_text())
    if not copy.exists() or copy.read_text() != text:
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text)


if __name__ == "__main__":
    main()
