import os
import signal
import subprocess
import tempfile
import time
import unittest

import lab

SCRIPT = os.path.join(lab.WORKSPACE, "run-all.sh")


class Runs(unittest.TestCase):
    def setUp(self):
        self.folder = lab.scratch()
        self.addCleanup(lab.forget, self.folder)
        self.temporary = lab.scratch()
        self.addCleanup(lab.forget, self.temporary)

    def run_all(self, text, *options, timeout=20):
        path = lab.place(self.folder, "jobs.txt", text)
        result = lab.run(
            ["bash", SCRIPT, *options, path], "unasked\n", timeout, cwd=self.folder, env={"TMPDIR": self.temporary}
        )
        self.assertEqual(os.listdir(self.temporary), [], "files were left behind")
        return result


class Output(Runs):
    def test_lines_with_their_numbers(self):
        result = self.run_all("echo a; echo b >&2\n", "-j", "1")
        self.assertEqual((result.code, result.out, result.err), (0, "1: a\n1: b\n", ""))

    def test_comments_and_empty_lines_count(self):
        result = self.run_all("# first\n\n  echo x\n \t # no\necho y", "-j", "1")
        self.assertEqual((result.code, result.out), (0, "3: x\n5: y\n"))

    def test_a_last_line_is_ended(self):
        result = self.run_all("printf 'a\\nb'\nprintf ''\necho c\n", "-j", "1")
        self.assertEqual(result.out, "1: a\n1: b\n3: c\n")

    def test_pieces_are_never_mixed(self):
        text = "for i in 1 2 3; do echo slow $i; sleep 0.2; done\nsleep 0.1; for i in 1 2 3; do echo fast $i; sleep 0.05; done\n"
        result = self.run_all(text)
        wanted = "".join(f"2: fast {i}\n" for i in (1, 2, 3)) + "".join(f"1: slow {i}\n" for i in (1, 2, 3))
        self.assertEqual(result.out, wanted)

    def test_what_is_special_stays(self):
        result = self.run_all("printf '%s\\n' 'a\\tb' '%s &' \"it's\"\n", "-j", "1")
        self.assertEqual(result.out, "1: a\\tb\n1: %s &\n1: it's\n")

    def test_backslashes_in_the_file_stay(self):
        result = self.run_all("echo 'a\\b'   \"c  d\"\n", "-j", "1")
        self.assertEqual(result.out, "1: a\\b c  d\n")

    def test_commands_get_no_input(self):
        result = self.run_all("cat\necho next\n", "-j", "1")
        self.assertEqual((result.code, result.out), (0, "2: next\n"))


class Failures(Runs):
    def test_are_listed_in_the_order_of_the_file(self):
        text = "sleep 0.3; exit 3\nexit 4\ntrue\nkill -9 $$\nno-such-program-here 2>/dev/null\n"
        result = self.run_all(text, "-j", "5")
        self.assertEqual(result.code, 1)
        self.assertEqual(
            result.err, "line 1: exit code 3\nline 2: exit code 4\nline 4: exit code 137\nline 5: exit code 127\n"
        )

    def test_none(self):
        result = self.run_all("true\ntrue\n")
        self.assertEqual((result.code, result.out, result.err), (0, "", ""))
        self.assertEqual(self.run_all("").code, 0)


class Together(Runs):
    def test_never_more_than_wanted_and_no_fewer(self):
        count = "mkdir running-$$; ls -d running-* | wc -l; sleep 0.3; rmdir running-$$\n"
        result = self.run_all(count * 6, "-j", "3")
        numbers = [int(line.split()[1]) for line in result.out.strip().split("\n")]
        self.assertEqual((len(numbers), max(numbers)), (6, 3), result)

    def test_the_next_begins_when_one_has_ended(self):
        text = "for i in $(seq 100); do [ -e third ] && exit 0; sleep 0.1; done; exit 9\ntrue\ntouch third\n"
        self.assertEqual(self.run_all(text).code, 0)

    def test_two_without_being_told(self):
        text = "for i in $(seq 50); do [ -e other ] && exit 0; sleep 0.1; done; exit 9\ntouch other\n"
        self.assertEqual(self.run_all(text).code, 0)


class Signals(Runs):
    def signalled(self, which):
        text = (
            "trap 'echo got it; exit 5' TERM; sh -c 'echo $$ > grandchild; exec sleep 60' & touch ready; wait\n"
            "sleep 60\ntouch never\n"
        )
        path = lab.place(self.folder, "jobs.txt", text)
        with tempfile.TemporaryFile() as out:
            command = lab.as_user(["env", f"TMPDIR={self.temporary}", "bash", SCRIPT, path])
            # As in a shell in the background SIGINT would be ignored; here it must not be.
            process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
            try:
                for _wait in range(100):
                    names = os.listdir(self.folder)
                    if "ready" in names and "grandchild" in names:
                        break
                    time.sleep(0.1)
                time.sleep(0.2)
                process.send_signal(which)
                code = process.wait(15)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
            out.seek(0)
            return code, out.read().decode()

    def check(self, which, wanted):
        code, out = self.signalled(which)
        self.assertEqual(code, wanted, out)
        self.assertNotIn("never", os.listdir(self.folder))
        with open(os.path.join(self.folder, "grandchild"), encoding="utf-8") as file:
            pid = int(file.read())
        self.assertFalse(self.lives(pid), "a grandchild lives on")
        self.assertEqual(os.listdir(self.temporary), [])

    def lives(self, pid):
        for _wait in range(20):
            try:
                with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                    if file.read().rpartition(")")[2].split()[0] in "ZX":
                        return False
            except FileNotFoundError:
                return False
            time.sleep(0.1)
        return True

    def test_sigterm(self):
        self.check(signal.SIGTERM, 143)

    def test_sigint(self):
        self.check(signal.SIGINT, 130)


class Calls(Runs):
    def test_wrong_ones(self):
        for options in (["-j", "0"], ["-j", "65"], ["-j", "x"], ["-j", "1.5"], ["-j", ""], ["-x"]):
            result = self.run_all("touch ran\n", *options)
            self.assertEqual(result.code, 2, options)
            self.assertEqual(len(result.err.strip().split("\n")), 1, options)
        for arguments in ([], ["-j"], ["-j", "2"], [os.path.join(self.folder, "missing")]):
            result = lab.run(["bash", SCRIPT, *arguments], cwd=self.folder)
            self.assertEqual(result.code, 2, arguments)
            self.assertNotEqual(result.err, "")
        self.assertNotIn("ran", os.listdir(self.folder))
