"""Puts the hidden tests into the repository, runs those that the sample names, and writes what became of each.

Only this program is root. The tests run as the repository's user, in the repository's own process, as the format wants
it; their report is read when none of that user's processes is left.
"""

import base64
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml

TESTS = os.path.dirname(os.path.abspath(__file__))
REPORT = "/logs/verifier/named.xml"
MAX_REPORT_BYTES = 50_000_000
USER = pwd.getpwnam("user")
WORK = os.getcwd()

# Run as the user, who can write nowhere else, whatever links the repository has.
PLACE = """
import base64, json, os, shutil, sys
order = json.load(sys.stdin)
def clear(path):
    if os.path.islink(path) or os.path.isfile(path): os.remove(path)
    elif os.path.isdir(path): shutil.rmtree(path)
for folder, _, names in os.walk("."):
    for name in names:
        if name == "conftest.py": os.remove(os.path.join(folder, name))
for path in order["removed"]: clear(path)
for path, content in order["files"].items():
    parts = path.split("/")
    for depth in range(1, len(parts)):
        above = "/".join(parts[:depth])
        if os.path.islink(above) or (os.path.lexists(above) and not os.path.isdir(above)): os.remove(above)
    clear(path)
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "wb") as file: file.write(base64.b64decode(content))
"""


def as_user(command, **more):
    identity = [f"--reuid={USER.pw_uid}", f"--regid={USER.pw_gid}", "--init-groups", "--no-new-privs"]
    env = {**os.environ, "HOME": USER.pw_dir, "USER": "user"}
    env.pop("PYTEST_ADDOPTS", None)
    return subprocess.run(["setpriv", *identity, "--", *command], env=env, cwd=WORK, check=False, **more)


def end_others():
    """Nothing of the user's may change a report while it is read."""
    for _ in range(100):
        owned = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/status") as file:
                    status = file.read()
            except OSError:
                continue
            if re.search(rf"^Uid:\t{USER.pw_uid}\b", status, re.M) and not re.search(r"^State:\s+Z", status, re.M):
                owned.append(int(pid))
        if not owned:
            return
        for pid in owned:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.05)
    sys.exit("processes of the repository could not be ended")


def place(plan):
    files = {}
    root = os.path.join(TESTS, "files")
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                files[os.path.relpath(path, root)] = base64.b64encode(file.read()).decode()
    order = json.dumps({"files": files, "removed": plan["removed"]})
    done = as_user(["python3", "-I", "-c", PLACE], input=order.encode())
    if done.returncode != 0:
        sys.exit("the tests could not be put into the repository")


def run_pytest(names):
    files = sorted({name.split("::")[0] for name in names})
    folder = tempfile.mkdtemp()
    os.chown(folder, USER.pw_uid, USER.pw_gid)
    report = os.path.join(folder, "report.xml")
    found = shutil.which("pytest")
    command = [found] if found else ["python3", "-m", "pytest"]
    as_user([*command, "-rA", "-p", "no:cacheprovider", "-o", "junit_family=xunit1", f"--junitxml={report}", *files])
    end_others()
    try:
        handle = os.open(report, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return {}
    with os.fdopen(handle, "rb") as file:
        text = file.read(MAX_REPORT_BYTES)
    return outcomes_of(text)


def outcomes_of(text):
    try:
        root = xml.fromstring(text)
    except xml.ParseError:
        return {}
    outcomes = {}
    for case in root.iter("testcase"):
        path = case.get("file") or ""
        module = re.sub(r"\.py$", "", path).replace("/", ".")
        classes = (case.get("classname") or "").removeprefix(module).strip(".")
        name = "::".join([path, *filter(None, classes.split(".")), case.get("name") or ""])
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        outcomes[name] = "failed" if outcomes.get(name) == "failed" else outcome
    return outcomes


NAME = re.compile(r"^(\w+) \(([\w.]+)\)")
LINE = re.compile(r"^(\w+) \(([\w.]+)\)[^\n]*?(?:\n[^\n]*?)?\.\.\. (ok|FAIL|ERROR|skipped|expected failure|unexpected success)", re.M)
WORDS = {"ok": "passed", "expected failure": "passed", "skipped": "skipped"}


def key_of(method, path):
    """Newer versions of Python name the method twice."""
    return f"{path.removesuffix('.' + method)}.{method}"


def run_unittest(names):
    labels = {name: key_of(*found.groups()) for name in names if (found := NAME.match(name))}
    if os.path.exists("tests/runtests.py"):
        modules = sorted({label.rsplit(".", 2)[0] for label in labels.values()})
        command = ["python3", "tests/runtests.py", "--verbosity", "2", "--parallel", "1", *modules]
    else:
        command = ["python3", "-m", "unittest", "-v", *sorted(set(labels.values()))]
    done = as_user(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    sys.stdout.write(done.stdout)
    end_others()
    seen = {}
    for method, path, word in LINE.findall(done.stdout):
        label = key_of(method, path)
        outcome = WORDS.get(word, "failed")
        seen[label] = "failed" if seen.get(label) == "failed" else outcome
    return {name: seen[label] for name, label in labels.items() if label in seen}


def write(outcomes, names):
    suite = xml.Element("testsuite")
    for name in names:
        outcome = outcomes.get(name)
        if outcome is None:
            continue
        scope, _, rest = name.rpartition("::")
        case = xml.SubElement(suite, "testcase", classname=scope, name=rest) if scope else xml.SubElement(suite, "testcase", name=name)
        if outcome != "passed":
            xml.SubElement(case, "skipped" if outcome == "skipped" else "failure")
    xml.ElementTree(suite).write(REPORT, encoding="utf-8", xml_declaration=True)


def main():
    with open(os.path.join(TESTS, "plan.json")) as file:
        plan = json.load(file)
    place(plan)
    names = plan["names"]
    outcomes = {}
    by_node = [name for name in names if "::" in name]
    by_label = [name for name in names if "::" not in name]
    if by_node:
        outcomes.update(run_pytest(by_node))
    if by_label:
        outcomes.update(run_unittest(by_label))
    write(outcomes, names)
    sys.exit(0 if all(outcomes.get(name) == "passed" for name in names) else 1)


if __name__ == "__main__":
    main()
