"""Runs the code under test in processes of its own, as an ordinary user who cannot become another."""

import json
import os
import pwd
import resource
import shutil
import signal
import subprocess
import tempfile

USER = os.environ.get("LAB_USER", "user")
WORKSPACE = os.getcwd()
MAX_OUTPUT = 16_000_000


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __repr__(self):
        return f"exit code {self.code}\n{self.out[-2000:]!r}\n{self.err[-2000:]!r}"


def as_user(command):
    if os.geteuid() != 0:
        return command
    entry = pwd.getpwnam(USER)
    identity = [f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
    return ["setpriv", *identity, "--no-new-privs", "--", *command]


def limit():
    resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_OUTPUT, MAX_OUTPUT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run(command, stdin="", timeout=20, cwd=None, env=None, binary=False):
    """Ends when the command itself does, whoever else holds its output; at the timeout its code is None."""
    surroundings = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": "/tmp",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        **(env or {}),
    }
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as source:
        source.write(stdin if isinstance(stdin, bytes) else stdin.encode())
        source.seek(0)
        process = subprocess.Popen(
            as_user([str(part) for part in command]),
            stdin=source,
            stdout=out,
            stderr=err,
            cwd=cwd or WORKSPACE,
            env=surroundings,
            preexec_fn=limit,
            start_new_session=True,
        )
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            code = None
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        process.wait()
        texts = []
        for file in (out, err):
            file.seek(0)
            data = file.read(MAX_OUTPUT)
            texts.append(data if binary else data.decode("utf-8", "replace"))
        return Result(code, *texts)


def told(result):
    """What a script told as JSON on its last line."""
    if result.code != 0:
        raise AssertionError(f"the code under test failed: {result!r}")
    lines = result.out.strip().split("\n")
    try:
        return json.loads(lines[-1])
    except ValueError as error:
        raise AssertionError(f"the code under test told nothing: {result!r}") from error


def python(script, value=None, timeout=20):
    """Runs a script in the repository, with `given` at hand; answers what it handed to `tell`."""
    head = "import json, sys\ngiven = json.load(sys.stdin)\ndef tell(value): print('\\n' + json.dumps(value))\n"
    return told(run(["python3", "-c", head + script], json.dumps(value), timeout))


def javascript(script, value=None, timeout=20):
    """The same for JavaScript, as a module in the repository's folder."""
    head = (
        "import { readFileSync } from 'node:fs';\n"
        "const given = JSON.parse(readFileSync(0, 'utf8'));\n"
        "const tell = (value) => console.log('\\n' + JSON.stringify(value));\n"
    )
    return told(run(["node", "--input-type=module", "-e", head + script], json.dumps(value), timeout))


def scratch():
    """A folder that the code under test may write to."""
    path = tempfile.mkdtemp(prefix="lab-")
    os.chmod(path, 0o755)
    if os.geteuid() == 0:
        entry = pwd.getpwnam(USER)
        os.chown(path, entry.pw_uid, entry.pw_gid)
    return path


def place(folder, name, text):
    """A file for the code under test to read."""
    path = os.path.join(folder, name)
    with open(path, "wb") as file:
        file.write(text if isinstance(text, bytes) else text.encode())
    os.chmod(path, 0o644)
    return path


def compile_c(driver, sources, flags=()):
    """Builds a driver of ours with sources of the repository; answers the program."""
    folder = scratch()
    main = place(folder, "driver.c", driver)
    program = os.path.join(folder, "program")
    files = [main, *(os.path.join(WORKSPACE, source) for source in sources)]
    built = run(["gcc", "-std=c11", "-D_GNU_SOURCE", "-g", "-O1", *flags, "-iquote", WORKSPACE, "-o", program, *files], timeout=60)
    if built.code != 0:
        raise AssertionError(f"it does not compile: {built!r}")
    return program


def forget(path):
    shutil.rmtree(os.path.dirname(path) if os.path.isfile(path) else path, ignore_errors=True)
