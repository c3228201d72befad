"""Runs the tests of hidden.py and writes what became of each as JUnit XML, and the reward that Harbor reads."""

import os
import sys
import time
import unittest
from xml.sax.saxutils import escape, quoteattr

HERE = os.path.dirname(os.path.abspath(__file__))
MAX_TOLD = 4000


class Recorder(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.rows = []
        self.began = 0.0

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()

    def record(self, test, outcome, text=""):
        self.rows.append((test, outcome, text[-MAX_TOLD:], time.monotonic() - self.began))

    def addSuccess(self, test):
        super().addSuccess(test)
        self.record(test, "passed")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.record(test, "failure", self._exc_info_to_string(err, test))

    def addError(self, test, err):
        super().addError(test, err)
        self.record(test, "error", self._exc_info_to_string(err, test))

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.record(test, "failure", self._exc_info_to_string(err, subtest))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.record(test, "skipped", reason)


def printable(text):
    return "".join(c if c in "\n\t" or (c >= " " and c not in "\ufffe\uffff") else "\ufffd" for c in text)


def case(test, outcome, text, seconds):
    kind, _, name = test.id().rpartition(".")
    head = f"<testcase classname={quoteattr(kind.rpartition('.')[2])} name={quoteattr(name)} time=\"{seconds:.3f}\""
    if outcome == "passed":
        return head + "/>"
    if outcome == "skipped":
        return f"{head}><skipped message={quoteattr(printable(text))}/></testcase>"
    return f'{head}><{outcome} message="{outcome}">{escape(printable(text))}</{outcome}></testcase>'


def write(path, text):
    draft = path + ".draft"
    with open(draft, "w", encoding="utf-8", errors="replace") as file:
        file.write(text)
    os.replace(draft, path)


def main():
    logs = sys.argv[1]
    sys.path.insert(0, HERE)
    began = time.monotonic()
    result = Recorder()
    unittest.defaultTestLoader.loadTestsFromName("hidden").run(result)
    count = {kind: sum(row[1] == kind for row in result.rows) for kind in ("failure", "error", "skipped")}
    head = (
        f'<testsuite name="hidden" tests="{len(result.rows)}" failures="{count["failure"]}" errors="{count["error"]}" '
        f'skipped="{count["skipped"]}" time="{time.monotonic() - began:.3f}">'
    )
    body = "\n".join(case(*row) for row in result.rows)
    write(os.path.join(logs, "report.xml"), f'<?xml version="1.0" encoding="utf-8"?>\n{head}\n{body}\n</testsuite>\n')
    write(os.path.join(logs, "reward.txt"), "1\n" if result.wasSuccessful() else "0\n")
    for test, outcome, text, _seconds in result.rows:
        print(f"{outcome:8} {test.id()}")
        if outcome in ("failure", "error"):
            print(text)
    sys.exit(0 if result.wasSuccessful() else 1)


main()
