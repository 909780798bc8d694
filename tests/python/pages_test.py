#!/usr/bin/python3
"""Holds the pages to the code: links lead somewhere, the tests that the README names exist, and tables that come from the
code are what the code says. Usage: pages_test.py [PATH_OF_MILLRACED]"""

import json
import pathlib
import re
import subprocess
import sys
import unittest
import urllib.request

import millrace_client as m

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = [page for page in ROOT.rglob("*.md") if not re.search(r"/(build[^/]*|\.git)/", str(page))]
MILLRACED = None


def rows(text, columns):
    """The cells of every table row with this many columns."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == columns and not set(line) <= set("|-: "):
            yield cells


class PagesTest(unittest.TestCase):
    def test_every_link_of_a_page_leads_somewhere(self):
        for page in PAGES:
            text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
            for target in re.findall(r"\]\(([^)\s]+)\)", text):
                if re.match(r"[a-z]+:", target):
                    continue
                path, _, anchor = target.partition("#")
                file = (page.parent / path).resolve() if path else page
                self.assertTrue(file.exists(), f"{page.relative_to(ROOT)}: {target}")
                if anchor and file.suffix == ".md":
                    self.assertIn(anchor, self.anchors(file), f"{page.relative_to(ROOT)}: {target}")

    @staticmethod
    def anchors(page):
        heads = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.M)
        return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}

    def test_every_decision_is_listed_where_decisions_are(self):
        pages = sorted(page for page in (ROOT / "docs" / "decisions").glob("*.md") if page.name != "README.md")
        titles = [re.match(r"# (\d{4}): (.*)\n", page.read_text()).groups() for page in pages]
        for page, (number, _) in zip(pages, titles):
            self.assertEqual(page.name[:5], number + "-")
        listed = re.findall(r"^- \[(\d{4})\]\(([^)]+)\) (.*)$", (ROOT / "docs" / "decisions" / "README.md").read_text(), flags=re.M)
        self.assertEqual(listed, [(number, page.name, title) for page, (number, title) in zip(pages, titles)])
        short = (ROOT / "docs" / "architecture.md").read_text().split("## Decisions in short")[1].split("\n## ")[0]
        self.assertEqual(re.findall(r"\| \[(\d{4})\]\(decisions/([^)]+)\) \|$", short, flags=re.M),
                         [(number, page.name) for page, (number, _) in zip(pages, titles)])

    def test_the_tests_that_show_a_promise_exist(self):
        cases = set()
        for source in (ROOT / "tests").rglob("*.cc"):
            cases.update(re.findall(r'TEST_CASE\(\s*"((?:[^"\\]|\\.)*)"', source.read_text()))
        promises = (ROOT / "README.md").read_text().split("## Promises")[1].split("\n## ")[0]
        named = re.findall(r"“([^”]+)”", promises)
        self.assertGreaterEqual(len(named), 18)
        for name in named:
            self.assertIn(name, cases)

    def test_the_table_of_errors_is_that_of_the_code(self):
        code = (ROOT / "storage" / "base" / "result.h").read_text().split("enum class Errc")[1].split("};")[0]
        in_code = {(int(number), name) for name, number in re.findall(r"^\s*(\w+) = (\d+),", code, flags=re.M)}
        page = (ROOT / "docs" / "wire-protocol.md").read_text().split("## Errors")[1].split("\n## ")[0]
        in_page, can_retry = set(), set()
        for number, name, retry, _ in rows(page, 4):
            if number.isdigit():
                in_page.add((int(number), name.strip("`")))
                can_retry.update({name.strip("`")} if retry == "yes" else set())
        self.assertEqual(in_page, in_code)
        body = (ROOT / "storage" / "base" / "result.cc").read_text().split("bool errc_can_retry")[1].split("return true")[0]
        self.assertEqual(can_retry, set(re.findall(r"case Errc::(\w+):", body)))
        for number, name in m.ERRORS.items():
            self.assertIn((number, name), in_code)

    def test_the_schemas_are_what_the_python_client_thinks(self):
        text = "".join((ROOT / "schemas" / name).read_text() for name in ("wire.fbs", "reply.fbs", "batch.fbs", "catalog.fbs"))
        text = re.sub(r"//.*", "", text)
        tables = {name: re.findall(r"(\w+):\[?\w+\]?", body) for name, body in re.findall(r"table (\w+) \{(.*?)\}", text, re.S)}
        for table, fields in m.TABLES.items():
            self.assertEqual([name for name, _, _ in fields], tables.pop(table), table)
        self.assertEqual(tables, {})
        for union, members in m.UNIONS.items():
            body = re.search(r"union %s \{(.*?)\}" % union, text, re.S).group(1)
            self.assertEqual(members, re.findall(r"\w+", body))

    def test_the_settings_are_those_of_the_program(self):
        if MILLRACED is None:
            self.skipTest("no millraced given")
        printed = subprocess.run([MILLRACED, "--print-config=markdown"], stdout=subprocess.PIPE, check=True).stdout.decode()
        page = (ROOT / "docs" / "operations.md").read_text()
        shown = page.split("<!-- settings: millraced --print-config=markdown -->")[1].split("<!-- end of settings -->")[0]
        self.assertEqual(shown.strip(), printed.strip())

    def test_the_metrics_are_those_of_a_running_broker(self):
        if MILLRACED is None:
            self.skipTest("no millraced given")
        broker = subprocess.Popen([MILLRACED, "--ephemeral"], stdout=subprocess.PIPE)
        try:
            address = json.loads(broker.stdout.readline())["http"]
            exported = urllib.request.urlopen(f"http://{address}/metrics", timeout=30).read().decode()
        finally:
            broker.terminate()
            self.assertEqual(broker.wait(timeout=60), 0)
            broker.stdout.close()
        types = dict(re.findall(r"^# TYPE (\w+) (\w+)$", exported, flags=re.M))
        meanings = dict(re.findall(r"^# HELP (\w+) (.*)$", exported, flags=re.M))
        section = (ROOT / "docs" / "operations.md").read_text().split("## Health and metrics")[1].split("\n## ")[0]
        shown = {re.match(r"`(\w+)", cells[0]).group(1): cells[1:] for cells in rows(section, 3) if cells[0].startswith("`")}
        self.assertEqual(shown, {name: [types[name], meanings[name]] for name in types})
        later = re.search(r"Consumer groups will bring .*?not zero\.", section, flags=re.S).group(0)
        for name in re.findall(r"`(millrace_\w+)", later):
            self.assertNotIn(name, types)


if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        MILLRACED = sys.argv.pop(1)
    unittest.main()
