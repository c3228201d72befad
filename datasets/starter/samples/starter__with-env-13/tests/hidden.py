import json
import os
import unittest

import lab

SHOW = "import json, os, sys; print(json.dumps([{k: os.environ.get(k) for k in sys.argv[1:]}]))"


class Settings(unittest.TestCase):
    def setUp(self):
        self.folder = lab.scratch()
        self.addCleanup(lab.forget, self.folder)

    def call(self, text, *command, stdin="", env=None):
        path = lab.place(self.folder, "settings", text)
        script = os.path.join(lab.WORKSPACE, "with-env.sh")
        return lab.run(["bash", script, path, *command], stdin, cwd=self.folder, env=env)

    def values(self, text, *names, env=None):
        result = self.call(text, "/usr/bin/python3", "-c", SHOW, *names, env=env)
        self.assertEqual(result.code, 0, result)
        values = json.loads(result.out)[0]
        return [values[name] for name in names]

    def refused(self, text, line):
        result = self.call(text, "/bin/echo", "ran")
        self.assertEqual((result.code, result.out), (2, ""), text)
        path = os.path.join(self.folder, "settings")
        self.assertRegex(result.err, rf"\Awith-env\.sh: {path}: line {line}\b[^\n]*\n\Z", text)


class Plain(Settings):
    def test_values(self):
        text = "A=1\n\n  # comment\nB_2=x y  \n\texport   C=z\nD=\nE=a=b"
        self.assertEqual(self.values(text, "A", "B_2", "C", "D", "E"), ["1", "x y", "z", "", "a=b"])

    def test_comments_behind_values(self):
        text = "A=1 # c\nB=x#y\nC=#z\nD=a\t# b # c\nE= # c\n"
        self.assertEqual(self.values(text, "A", "B", "C", "D", "E"), ["1", "x#y", "#z", "a", ""])

    def test_lines_of_windows(self):
        self.assertEqual(self.values("A=1\r\nB='x'\r\n\r\n# c\r\nC=\"y\" # c\r\n", "A", "B", "C"), ["1", "x", "y"])

    def test_the_last_counts_and_others_stay(self):
        self.assertEqual(self.values("A=1\nA=2\n", "A", "OWN", env={"OWN": "mine", "A": "0"}), ["2", "mine"])

    def test_nothing_is_expanded(self):
        text = "A=$HOME `touch x` $(touch x) ~ * \\n \\\\ ${B}\nB=it's \"so\"\n"
        wanted = ["$HOME `touch x` $(touch x) ~ * \\n \\\\ ${B}", "it's \"so\""]
        self.assertEqual(self.values(text, "A", "B"), wanted)
        self.assertEqual(os.listdir(self.folder), ["settings"])

    def test_names_that_bash_keeps_to_itself(self):
        text = "UID=7\nBASHOPTS=x\nIFS=,\nnumber=9\nline=l\nvalue=v\nfile=f\nPPID=1\n"
        names = ["UID", "BASHOPTS", "IFS", "number", "line", "value", "file", "PPID"]
        self.assertEqual(self.values(text, *names), ["7", "x", ",", "9", "l", "v", "f", "1"])


class Quoted(Settings):
    def test_single(self):
        text = "A='x  # $HOME \\n \"y\" '  # c\nB=''\n"
        self.assertEqual(self.values(text, "A", "B"), ['x  # $HOME \\n "y" ', ""])

    def test_double(self):
        text = 'A="a \\" b \\\\ c \\$HOME \\` d\\ne \\t \\x $HOME `x` $(y) \'z\'"\nB=""\n'
        wanted = ["a \" b \\ c $HOME ` d\ne \\t \\x $HOME `x` $(y) 'z'", ""]
        self.assertEqual(self.values(text, "A", "B"), wanted)

    def test_a_backslash_at_the_end(self):
        self.assertEqual(self.values('A="x\\\\"\nB="\\\\\\""\n', "A", "B"), ["x\\", '\\"'])

    def test_several_lines(self):
        text = "A='one\n  two\n\n# three\nB=4'\nC=\"x\ny \\\" z\n\"\nD=5\n"
        self.assertEqual(self.values(text, "A", "C", "D"), ["one\n  two\n\n# three\nB=4", 'x\ny " z\n', "5"])

    def test_windows_lines_inside_quotes_are_kept(self):
        self.assertEqual(self.values("A='x\r\ny'\r\n", "A"), ["x\r\ny"])

    def test_an_injected_array_index(self):
        text = "A='x[$(touch pwned)]'\nB=a[`touch pwned`]\n"
        self.assertEqual(self.values(text, "A", "B"), ["x[$(touch pwned)]", "a[`touch pwned`]"])
        self.assertEqual(os.listdir(self.folder), ["settings"])


class Command(Settings):
    def test_its_arguments_stay_apart(self):
        result = self.call("A=1\n", "/usr/bin/printf", "<%s>", "a b", "*", "", "$A")
        self.assertEqual(result.out, "<a b><*><><$A>")

    def test_its_exit_code_and_input(self):
        self.assertEqual(self.call("A=1\n", "/bin/sh", "-c", "exit 7").code, 7)
        self.assertEqual(self.call("A=1\n", "/bin/cat", stdin="hello").out, "hello")

    def test_it_takes_the_place_of_the_script(self):
        result = self.call("A=1\n", "/bin/sh", "-c", "kill -TERM $$")
        self.assertEqual(result.code, -15)

    def test_it_is_found_on_the_path_of_the_file(self):
        os.mkdir(os.path.join(self.folder, "tools"))
        os.chmod(os.path.join(self.folder, "tools"), 0o755)
        path = lab.place(os.path.join(self.folder, "tools"), "my-tool", "#!/bin/sh\necho mine $A\n")
        os.chmod(path, 0o755)
        result = self.call(f"A=1\nPATH={self.folder}/tools:/usr/bin:/bin\n", "my-tool")
        self.assertEqual((result.code, result.out), (0, "mine 1\n"))


class Refused(Settings):
    def test_lines_that_are_nothing(self):
        for line in ("hello", "A =1", "1A=2", "=x", "export", "A-B=1", "export A", "A+=1", "A[0]=1"):
            self.refused(f"OK=1\n{line}\n", 2)

    def test_quotes_that_stay_open(self):
        self.refused("A=1\nB='x\ny\n", 2)
        self.refused('A="x\\"\n', 1)

    def test_something_behind_a_quote(self):
        self.refused("A='x'y\n", 1)
        self.refused("A='one\ntwo' B=2\n", 1)
        self.refused('A="x"#y\n', 1)

    def test_calls(self):
        script = os.path.join(lab.WORKSPACE, "with-env.sh")
        missing = lab.run(["bash", script, os.path.join(self.folder, "none"), "/bin/echo", "ran"])
        self.assertEqual((missing.code, missing.out), (2, ""))
        lonely = self.call("A=1\n")
        self.assertEqual((lonely.code, lonely.out), (2, ""))
        self.assertNotEqual(lonely.err, "")
