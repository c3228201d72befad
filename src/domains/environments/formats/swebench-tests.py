"""Puts the hidden tests into the repository, runs those that the sample names, and writes what became of each.

Only this program is root. The tests run as the repository's user, in the repository's own process, as the format wants
it. What becomes of each comes through a pipe that only this program reads, from a runner that was loaded before
anything of the repository was; the report is written when none of that user's processes is left.
"""

import io
import json
import os
import pwd
import re
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import xml.etree.ElementTree as xml

TESTS = os.path.dirname(os.path.abspath(__file__))
FILES = os.path.join(TESTS, "files")
REPORT = "/logs/verifier/named.xml"
MAX_TOLD_BYTES = 50_000_000
MAX_ROW_BYTES = 100_000
USER = pwd.getpwnam("user")
WORK = os.getcwd()

# Run as the user, who can write nowhere else, whatever links the repository has. First a line that says what to do away
# with, then an archive of what there is to be.
PLACE = r"""
import json, os, re, shutil, sys, tarfile
order = json.loads(sys.stdin.buffer.readline())
wanted = set(order["wanted"])
CODE = re.compile(r"\.(py|pyc|pyo|pyd|so|pth)$")
def clear(path):
    if os.path.islink(path) or os.path.lexists(path) and not os.path.isdir(path): os.remove(path)
    elif os.path.isdir(path): shutil.rmtree(path)
def below(top):
    for folder, folders, names in os.walk(top):
        if os.path.normpath(folder) == ".git": folders[:] = []
        yield os.path.normpath(folder), folders, names
def started_by_itself(name): return name.split(".")[0] in ("sitecustomize", "usercustomize")
for folder, folders, names in below("."):
    for name in [*folders, *names]:
        path = os.path.normpath(os.path.join(folder, name))
        if name == "__pycache__" or name.endswith((".pyc", ".pyo")) or started_by_itself(name) and path not in wanted:
            clear(path)
            if name in folders: folders.remove(name)
for folder in order["folders"]:
    if os.path.islink(folder): clear(folder)
    for place, folders, names in below(folder):
        for name in [*folders, *names]:
            path = os.path.normpath(os.path.join(place, name))
            if path not in wanted and (os.path.islink(path) or name in names and CODE.search(name)): clear(path)
for path in order["removed"]: clear(path)
archive = tarfile.open(fileobj=sys.stdin.buffer, mode="r|")
for member in archive:
    path = member.name
    parts = path.split("/")
    for depth in range(1, len(parts)):
        above = "/".join(parts[:depth])
        if os.path.islink(above) or (os.path.lexists(above) and not os.path.isdir(above)): os.remove(above)
    clear(path)
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    if member.issym():
        os.symlink(member.linkname, path)
        continue
    with open(path, "wb") as file: shutil.copyfileobj(archive.extractfile(member), file)
    os.chmod(path, member.mode)
    stem = re.sub(r"\.py$", "", path)
    if stem == path: continue
    # What Python would import in the place of a file.
    name, folder = os.path.basename(stem), os.path.dirname(path) or "."
    for other in os.listdir(folder):
        if other.startswith(name + ".") and other.endswith((".so", ".pyd")): clear(os.path.join(folder, other))
    if os.path.isdir(stem) and not os.path.islink(stem) and stem + "/__init__.py" not in wanted:
        for other in os.listdir(stem):
            if other.startswith("__init__."): clear(os.path.join(stem, other))
    elif os.path.islink(stem): clear(stem)
"""


def as_user(command, home, **more):
    """Nothing of this program's surroundings goes along, and no place in which the user could have left settings."""
    identity = [f"--reuid={USER.pw_uid}", f"--regid={USER.pw_gid}", "--init-groups", "--no-new-privs"]
    env = {name: value for name, value in os.environ.items() if not re.match("PYTHON|PYTEST|LD_|DJANGO_", name)}
    env.update({"HOME": home, "USER": "user", "PYTHONNOUSERSITE": "1", "LANG": env.get("LANG", "C.UTF-8")})
    # The folder is root's while tests run, and git asks whose it is.
    env.update({"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"})
    return subprocess.Popen(["setpriv", *identity, "--", *command], env=env, cwd=WORK, **more)


def new_home():
    home = tempfile.mkdtemp()
    os.chown(home, USER.pw_uid, USER.pw_gid)
    return home


def end_others():
    """Nothing of the user's may say or change anything any more."""
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


def files_of_sample():
    for folder, folders, names in os.walk(FILES):
        for name in [*names, *(one for one in folders if os.path.islink(os.path.join(folder, one)))]:
            path = os.path.join(folder, name)
            yield os.path.relpath(path, FILES), path


def place(plan, control):
    brought = dict(files_of_sample())
    order = {"wanted": [*brought, *control], "folders": plan["folders"], "removed": plan["removed"]}
    child = as_user(["python3", "-I", "-c", PLACE], new_home(), stdin=subprocess.PIPE)
    try:
        child.stdin.write(json.dumps(order).encode() + b"\n")
        with tarfile.open(fileobj=child.stdin, mode="w|", dereference=False) as archive:
            for name, path in sorted(brought.items()):
                archive.add(path, name, recursive=False)
            for name, text in control.items():
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(text), 0o644
                archive.addfile(member, io.BytesIO(text))
        child.stdin.close()
    except BrokenPipeError:
        pass  # its exit code tells
    if child.wait() != 0:
        sys.exit("the tests could not be put into the repository")
    end_others()
    for name in order["wanted"]:
        if re.search(r"\.(py|ini|cfg|toml)$", name):
            keep(name)


def keep(name):
    """Makes a file root's, and the folders above it such that nobody else can put another in its place."""
    path = "."
    for part in ["", *name.split("/")]:
        path = os.path.join(path, part)
        mode = os.lstat(path).st_mode
        if stat.S_ISDIR(mode):
            os.chown(path, 0, 0)
            os.chmod(path, 0o1777)
        elif stat.S_ISREG(mode):
            os.chown(path, 0, 0)
            os.chmod(path, 0o755 if mode & 0o100 else 0o644)
        else:
            return


def control_for(name, files):
    """A test of a name that nobody knows, which cannot pass: a runner that says that it did is not to be believed."""
    text = f"import unittest\n\n\nclass T{name}(unittest.TestCase):\n    def test_{name}(self):\n        self.assertEqual(1, 2)\n\n\ndef test_{name}_more():\n    assert 1 == 2\n"
    return {os.path.join(os.path.dirname(files[0]) if files else "", f"test_{name}.py"): text.encode()}


def interpreter_of_pytest():
    """The one of the program `pytest`, which may have been installed beside the usual one."""
    program = shutil.which("pytest")
    if program:
        with open(program, "rb") as file:
            found = re.match(rb"#!\s*(\S*python\S*)\s*\n", file.readline())
        if found:
            return found.group(1).decode()
    return "python3"


def told(python, kind, arguments):
    """Runs tests as the user; answers what became of them, or nothing where the runner did not come to its end."""
    public = tempfile.mkdtemp()
    os.chmod(public, 0o755)
    driver = shutil.copy(os.path.join(TESTS, "report.py"), public)
    os.chmod(driver, 0o644)
    reader, writer = os.pipe()
    rows = []
    word = secrets.token_hex(16)
    listener = threading.Thread(target=listen, args=(reader, word, rows))
    command = [python, "-I", driver, kind, str(writer), *arguments]
    print(">>>>> Start Test Output", flush=True)
    child = as_user(command, new_home(), pass_fds=[writer], stdin=subprocess.PIPE, stderr=subprocess.STDOUT)
    os.close(writer)
    listener.start()
    try:
        child.communicate(f"{word}\n".encode())
    except BrokenPipeError:
        child.wait()
    end_others()
    listener.join()
    print(">>>>> End Test Output", flush=True)
    if not rows or rows.pop() != {"end": True} or not all(isinstance(row.get("test"), str) for row in rows):
        print("the runner did not come to its end", file=sys.stderr)
        return []
    return rows


def listen(reader, word, rows):
    """A row that is not the runner's spoils them all."""
    bytes_told = 0
    with os.fdopen(reader, "rb") as stream:
        while line := stream.readline(MAX_ROW_BYTES):
            bytes_told += len(line)
            try:
                row = json.loads(line)
                is_ours = row.pop("word") == word and bytes_told <= MAX_TOLD_BYTES
            except (ValueError, AttributeError, KeyError):
                is_ours = False
            rows.append(row if is_ours else {})


def worse(one, other):
    rank = [None, "skipped", "passed", "failed"]
    return max(one, other, key=rank.index)


def outcome_of(row):
    if row.get("xfail"):
        return "passed" if row.get("outcome") == "skipped" else "failed"
    if row.get("outcome") == "passed":
        return "passed" if row.get("when") == "call" else None
    return "skipped" if row.get("outcome") == "skipped" else "failed"


def outcomes_of(rows, names_of, control):
    """By each name that a test may be called by. Where the control has not failed, nothing that is said is worth much."""
    outcomes = {}
    seen = set()
    for row in rows:
        outcome = outcome_of(row)
        if control in row["test"]:
            seen.add(outcome)
            continue
        for name in names_of(row):
            outcomes[name] = worse(outcomes.get(name), outcome)
    if seen - {None} != {"failed"}:
        print("a test that cannot pass was not seen to fail: the runner is not to be believed", file=sys.stderr)
        return {}
    return {name: outcome for name, outcome in outcomes.items() if outcome}


def node_names(row):
    """Datasets have cut names at their first space, since they were read from lines of words; some keep the last part."""
    node = row["test"]
    return {node, re.split(r"\s", node)[0], node.split("::")[-1]}


LABEL = re.compile(r"^(\w+) \(([\w.]+)\)$")


def label_names(row):
    """Newer versions of Python name the method twice; where a test says what it is about, older datasets name that."""
    path, _, method = row["test"].rpartition(".")
    return {f"{method} ({path})", f"{method} ({path}.{method})", row.get("says") or ""} - {""}


def modules_of(names, files):
    """Where named tests are, and what Django's runner calls the files of the test patch."""
    found = [match for match in map(LABEL.match, names) if match]
    paths = [re.sub(rf"\.{method}$", "", path) for method, path in (match.groups() for match in found)]
    modules = {path.rpartition(".")[0] for path in paths}
    within = "tests/" if os.path.exists("tests/runtests.py") else ""
    for file in files:
        if re.search(r"(^|/)tests?[^/]*\.py$", file) and file.startswith(within):
            modules.add(file[len(within):-len(".py")].replace("/", "."))
    return sorted(modules - {""})


def by_pytest(names, plan, control):
    named = {name.split("::")[0] for name in names if "::" in name}
    if any("::" not in name for name in names):
        named.update(file for file in plan["files"] if file.endswith(".py"))
    paths = [path for path in [*sorted(named), *control["paths"]] if os.path.isfile(path)]
    # A test that fails, as the control does, ends nothing.
    rows = told(interpreter_of_pytest(), "pytest", ["-rA", "--maxfail=0", *paths])
    return outcomes_of(rows, node_names, control["name"])


def by_unittest(names, plan, control):
    modules = modules_of(names, [*plan["files"], *control["paths"]])
    if os.path.exists("tests/runtests.py"):
        rows = told("python3", "runtests", ["tests/runtests.py", "--verbosity", "2", "--parallel", "1", *modules])
    else:
        rows = told("python3", "unittest", modules)
    return outcomes_of(rows, label_names, control["name"])


def write(outcomes, names):
    suite = xml.Element("testsuite")
    for name in names:
        outcome = outcomes.get(name)
        if outcome is None:
            continue
        scope, _, rest = name.rpartition("::")
        case = xml.SubElement(suite, "testcase", name=rest, **({"classname": scope} if scope else {}))
        if outcome != "passed":
            xml.SubElement(case, "skipped" if outcome == "skipped" else "failure")
    xml.ElementTree(suite).write(REPORT, encoding="utf-8", xml_declaration=True)


def main():
    with open(os.path.join(TESTS, "plan.json")) as file:
        plan = json.load(file)
    name = secrets.token_hex(8)
    control = control_for(name, plan["holders"])
    place(plan, control)
    names = plan["names"]
    is_django = os.path.exists("tests/runtests.py")
    by_label = [one for one in names if "::" not in one and (is_django or LABEL.match(one))]
    by_node = [one for one in names if one not in set(by_label)]
    outcomes = {}
    for group, run in [(by_node, by_pytest), (by_label, by_unittest)]:
        found = run(group, plan, {"name": name, "paths": list(control)}) if group else {}
        outcomes.update({one: found[one] for one in group if one in found})
    write(outcomes, names)
    sys.exit(0 if all(outcomes.get(one) == "passed" for one in names) else 1)


if __name__ == "__main__":
    main()
