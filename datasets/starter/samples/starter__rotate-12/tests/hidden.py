import os
import unittest

import lab


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = lab.scratch()
        self.addCleanup(lab.forget, self.folder)

    def files(self, *names, **texts):
        for name in names:
            self.put(name, f"was {name}")

    def put(self, name, text):
        os.makedirs(os.path.dirname(os.path.join(self.folder, name)), exist_ok=True)
        lab.place(self.folder, name, text)

    def rotate(self, *arguments, code=0):
        result = lab.run(["bash", os.path.join(lab.WORKSPACE, "rotate.sh"), *arguments], cwd=self.folder)
        self.assertEqual(result.code, code, result)
        if code == 2:
            self.assertEqual(len(result.err.strip().split("\n")), 1, result)
            self.assertNotEqual(result.err.strip(), "")
        return result

    def now(self):
        found = {}
        for place, _folders, names in os.walk(self.folder):
            for name in names:
                path = os.path.join(place, name)
                with open(path, encoding="utf-8") as file:
                    found[os.path.relpath(path, self.folder)] = file.read()
        return found


class Versions(Folder):
    def test_the_first(self):
        self.put("log", "x")
        self.rotate("log")
        self.assertEqual(self.now(), {"log.1": "x"})

    def test_all_move_by_one(self):
        self.files("log", "log.1", "log.2")
        self.rotate("log")
        self.assertEqual(self.now(), {"log.1": "was log", "log.2": "was log.1", "log.3": "was log.2"})

    def test_five_are_kept(self):
        self.files("log", *(f"log.{n}" for n in range(1, 6)))
        self.rotate("log")
        wanted = {"log.1": "was log", **{f"log.{n + 1}": f"was log.{n}" for n in range(1, 5)}}
        self.assertEqual(self.now(), wanted)

    def test_more_than_nine(self):
        self.files("log", *(f"log.{n}" for n in range(1, 13)))
        self.rotate("-n", "12", "log")
        wanted = {"log.1": "was log", **{f"log.{n + 1}": f"was log.{n}" for n in range(1, 12)}}
        self.assertEqual(self.now(), wanted)

    def test_a_gap_is_filled(self):
        self.files("log", "log.1", "log.3", "log.4")
        self.rotate("log")
        wanted = {"log.1": "was log", "log.2": "was log.1", "log.3": "was log.3", "log.4": "was log.4"}
        self.assertEqual(self.now(), wanted)

    def test_versions_beyond_the_count_go(self):
        self.files("log", "log.1", "log.2", "log.7", "log.1000", "log.12345678901234567890")
        self.rotate("-n", "2", "log")
        self.assertEqual(self.now(), {"log.1": "was log", "log.2": "was log.1"})

    def test_none_are_kept(self):
        self.files("log", "log.1", "other")
        self.rotate("-n", "0", "log")
        self.assertEqual(self.now(), {"other": "was other"})

    def test_a_number_with_a_leading_zero_is_not_octal(self):
        self.files("log", *(f"log.{n}" for n in range(1, 10)))
        self.rotate("-n", "08", "log")
        self.assertEqual(sorted(self.now()), [f"log.{n}" for n in range(1, 9)])

    def test_others_are_left_alone(self):
        others = ["log.bak", "log.01", "log.1.gz", "other.1", "log.1x", "xlog.1", "log.", "log.-1", "log.1 2"]
        self.files("log", "log.1", *others)
        self.rotate("-n", "1", "log")
        self.assertEqual(self.now(), {"log.1": "was log", **{name: f"was {name}" for name in others}})


class Names(Folder):
    def test_any_name(self):
        for name in ("with space", "line\nbreak", "st*r [a] ?", "quo'te\"", "back\\slash", "$HOME`x`"):
            with self.subTest(name=name):
                self.files(name, f"{name}.1")
                self.rotate("--", name)
                self.assertEqual(self.now(), {f"{name}.1": f"was {name}", f"{name}.2": f"was {name}.1"})
                os.remove(os.path.join(self.folder, f"{name}.1"))
                os.remove(os.path.join(self.folder, f"{name}.2"))

    def test_a_leading_dash(self):
        self.files("-n")
        self.rotate("--", "-n")
        self.assertEqual(self.now(), {"-n.1": "was -n"})

    def test_a_pattern_means_itself(self):
        self.files("a*", "ab.1", "ab.9")
        self.rotate("a*")
        self.assertEqual(self.now(), {"a*.1": "was a*", "ab.1": "was ab.1", "ab.9": "was ab.9"})

    def test_a_path(self):
        folder = os.path.join(self.folder, "some dir.1")
        os.mkdir(folder)
        os.chmod(folder, 0o777)
        self.files("some dir.1/log", "log")
        self.rotate("some dir.1/log")
        self.assertEqual(self.now(), {"some dir.1/log.1": "was some dir.1/log", "log": "was log"})


class Calls(Folder):
    def test_nothing_to_rotate(self):
        self.put("empty", "")
        self.files("empty.1", "missing.1")
        self.rotate("empty")
        self.rotate("missing")
        self.assertEqual(self.now(), {"empty": "", "empty.1": "was empty.1", "missing.1": "was missing.1"})

    def test_wrong_counts(self):
        self.files("log", "log.1")
        for count in ("x", "-1", "1.5", "", "1000", "1 1", "a[$(touch pwned)]"):
            self.rotate("-n", count, "log", code=2)
        self.assertEqual(self.now(), {"log": "was log", "log.1": "was log.1"})

    def test_wrong_calls(self):
        self.files("log")
        os.mkdir(os.path.join(self.folder, "dir"))
        for arguments in ([], ["-n", "1"], ["-n"], ["log", "log"], ["-x", "log"], ["dir"], [""]):
            self.rotate(*arguments, code=2)
        self.assertEqual(self.now(), {"log": "was log"})

    def test_times_and_modes_stay(self):
        self.files("log", "log.1")
        for name, when, mode in (("log", 1_000_000_000, 0o600), ("log.1", 900_000_000, 0o444)):
            path = os.path.join(self.folder, name)
            os.utime(path, (when, when))
            os.chmod(path, mode)
            if os.geteuid() == 0:
                import pwd

                os.chown(path, pwd.getpwnam(lab.USER).pw_uid, -1)
        self.rotate("log")
        stats = [os.stat(os.path.join(self.folder, name)) for name in ("log.1", "log.2")]
        self.assertEqual([(int(s.st_mtime), s.st_mode & 0o777) for s in stats], [(1_000_000_000, 0o600), (900_000_000, 0o444)])
