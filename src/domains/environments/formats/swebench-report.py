"""Runs tests of a repository in this process, as the repository's user, and tells a pipe what becomes of each.

Usage: KIND HANDLE ARGUMENTS, KIND being pytest, runtests or unittest; a word that shows that a row is from here comes on
the standard input. Python is to be started with -I, so that the runner is imported before anything of the repository
can be. Only what old versions of Python understand is used.
"""

import json
import os
import sys


def teller(handle, word, write=os.write, dumps=json.dumps):
    """What it uses is bound now: nothing that is put in its place later has an effect. The word is known to no other."""

    def tell(**row):
        write(handle, (dumps(dict(row, word=word)) + "\n").encode())

    return tell


def run_pytest(tell, arguments):
    import pytest

    class Reporter:
        def pytest_runtest_logreport(self, report):
            is_expected = hasattr(report, "wasxfail")
            tell(test=report.nodeid, when=report.when, outcome=report.outcome, xfail=is_expected)

        def pytest_sessionfinish(self, session):
            tell(end=True)

    sys.exit(pytest.main(arguments, plugins=[Reporter()]))


OUTCOMES = {
    "addSuccess": "passed",
    "addExpectedFailure": "passed",
    "addSkip": "skipped",
    "addFailure": "failed",
    "addError": "failed",
    "addUnexpectedSuccess": "failed",
}


def watch_unittest(tell):
    """Every runner that stands on unittest, Django's among them, hands its tests to this class."""
    import unittest

    def watched(name, outcome):
        original = getattr(unittest.TestResult, name)

        def add(self, test, *more):
            tell(test=test.id(), says=test.shortDescription(), when="call", outcome=outcome)
            return original(self, test, *more)

        setattr(unittest.TestResult, name, add)

    for name, outcome in OUTCOMES.items():
        watched(name, outcome)
    of_part = unittest.TestResult.addSubTest

    def add_part(self, test, part, err):
        if err is not None:
            tell(test=test.id(), says=test.shortDescription(), when="call", outcome="failed")
        return of_part(self, test, part, err)

    unittest.TestResult.addSubTest = add_part
    return unittest


def run_runtests(tell, arguments):
    watch_unittest(tell)
    import runpy

    program = os.path.abspath(arguments[0])
    sys.path.insert(0, os.path.dirname(program))
    sys.argv = arguments
    runpy.run_path(program, run_name="__main__")


def run_unittest(tell, arguments):
    unittest = watch_unittest(tell)
    sys.path.insert(0, os.getcwd())
    unittest.main(module=None, argv=["python -m unittest", "-v"] + arguments)


def main():
    kind, handle, arguments = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    tell = teller(handle, sys.stdin.readline().strip())
    if kind == "pytest":
        run_pytest(tell, arguments)
    run = {"runtests": run_runtests, "unittest": run_unittest}[kind]
    try:
        run(tell, arguments)
    except SystemExit:
        tell(end=True)
        raise
    tell(end=True)


main()
