"""Reads Python code on standard input and prints what there is to say of it as JSON. Parses it; never runs it."""

import ast
import json
import re
import sys

TOO_DEEP = 3
SECRET_NAME = re.compile(r"(^|_|[a-z])(password|passwd|pwd|secret|api_?key|access_?key|auth_?token|private_?key)$", re.I)
PLACEHOLDER = re.compile(r"^(<.*>|\{.*\}|.*(example|changeme|placeholder|your[-_ ]|xxxx|test|dummy).*|\*+)$", re.I)
SQL = re.compile(r"\b(select\s.+\sfrom|insert\s+into|update\s.+\sset|delete\s+from|drop\s+table)\b", re.I | re.S)
MIN_SECRET_LENGTH = 6
BRANCHES = (ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.comprehension, ast.Assert)
NESTING = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
ENDS = (ast.Return, ast.Raise, ast.Break, ast.Continue)

CALLS = {
    "eval": ("eval", "high", "security", "eval runs whatever its text says"),
    "exec": ("exec", "high", "security", "exec runs whatever its text says"),
    "os.system": ("os-system", "high", "security", "os.system hands its text to a shell: use subprocess.run with a list"),
    "os.popen": ("os-system", "high", "security", "os.popen hands its text to a shell: use subprocess.run with a list"),
    "pickle.load": ("pickle", "high", "security", "Loading a pickle runs what is in it"),
    "pickle.loads": ("pickle", "high", "security", "Loading a pickle runs what is in it"),
    "marshal.loads": ("pickle", "high", "security", "marshal is not made for data of others"),
    "yaml.unsafe_load": ("yaml-load", "high", "security", "unsafe_load makes any object: use safe_load"),
    "tempfile.mktemp": ("mktemp", "medium", "security", "mktemp names a file that another may make first: use mkstemp"),
    "hashlib.md5": ("weak-hash", "medium", "security", "md5 is broken: use sha256"),
    "hashlib.sha1": ("weak-hash", "medium", "security", "sha1 is broken: use sha256"),
    "print": ("print", "info", "style", "print is left in the code"),
    "breakpoint": ("debugger", "medium", "correctness", "breakpoint is left in the code"),
    "pdb.set_trace": ("debugger", "medium", "correctness", "set_trace is left in the code"),
}


def path_of(node):
    """a.b.c of a chain of names, else the last name, else nothing."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = path_of(node.value)
        return f"{before}.{node.attr}" if before else node.attr
    return ""


def is_constant(node, value):
    return isinstance(node, ast.Constant) and node.value is value


def is_assembled(node):
    """Whether a text is put together out of parts that are not all written there."""
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(part, ast.FormattedValue) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Mod)):
        return not (isinstance(node.left, ast.Constant) and isinstance(node.right, ast.Constant))
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format"


def texts_in(node):
    return " ".join(part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str))


class Reviewer(ast.NodeVisitor):
    def __init__(self):
        self.findings = []
        self.functions = []
        self.classes = 0
        self.imports = 0
        self.imported = {}
        self.used = set()
        self.exported = set()

    def say(self, node, rule, severity, category, message):
        place = {"line": getattr(node, "lineno", 1), "column": getattr(node, "col_offset", 0) + 1}
        self.findings.append({**place, "rule": rule, "severity": severity, "category": category, "message": message})

    def visit_Call(self, node):
        path = path_of(node.func)
        known = CALLS.get(path)
        if known:
            self.say(node, *known)
        keywords = {keyword.arg: keyword.value for keyword in node.keywords}
        if "shell" in keywords and is_constant(keywords["shell"], True):
            self.say(node, "shell-true", "high", "security", "shell=True hands the command to a shell: give a list without it")
        if path == "yaml.load" and "Loader" not in keywords and len(node.args) < 2:
            self.say(node, "yaml-load", "high", "security", "yaml.load makes any object: use safe_load")
        if "verify" in keywords and is_constant(keywords["verify"], False):
            self.say(node, "no-verify", "high", "security", "verify=False trusts any certificate")
        if path.endswith(".run") and "debug" in keywords and is_constant(keywords["debug"], True):
            self.say(node, "debug-server", "medium", "security", "debug=True lets visitors run code")
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("execute", "executemany", "raw") and node.args:
            first = node.args[0]
            if is_assembled(first) and SQL.search(texts_in(first)):
                self.say(node, "sql-injection", "high", "security", "The statement is put together: give the values as parameters")
        for name, value in keywords.items():
            self.secret(value, name, value)
        self.generic_visit(node)

    def secret(self, place, name, value):
        if not isinstance(value, ast.Constant) or not isinstance(value.value, str) or not name:
            return
        text = value.value
        if SECRET_NAME.search(name) and len(text) >= MIN_SECRET_LENGTH and " " not in text and not PLACEHOLDER.match(text):
            self.say(place, "hard-coded-secret", "high", "security", f"{name} is a secret in the code: read it from the environment")

    def visit_Assign(self, node):
        for target in node.targets:
            name = path_of(target).split(".")[-1]
            self.secret(node, name, node.value)
            self.guessable(node, name)
            if name == "__all__" and isinstance(node.value, (ast.List, ast.Tuple)):
                self.exported.update(one.value for one in node.value.elts if isinstance(one, ast.Constant))
        self.generic_visit(node)

    def visit_AnnAssign(self, node):
        self.secret(node, path_of(node.target).split(".")[-1], node.value)
        self.generic_visit(node)

    def guessable(self, node, name):
        calls = [path_of(part.func) for part in ast.walk(node.value) if isinstance(part, ast.Call)]
        if re.search(r"token|secret|password|nonce|salt", name, re.I) and any(call.startswith("random.") for call in calls):
            self.say(node, "weak-random", "medium", "security", f"{name} can be guessed: use the module secrets")

    def visit_ExceptHandler(self, node):
        if node.type is None:
            self.say(node, "bare-except", "medium", "correctness", "A bare except catches the end of the program as well")
        if all(isinstance(one, ast.Pass) for one in node.body):
            self.say(node, "dropped-error", "medium", "correctness", "The error is dropped: handle it, or let it rise")
        self.generic_visit(node)

    def visit_Try(self, node):
        for one in node.finalbody:
            if isinstance(one, (ast.Return, ast.Break, ast.Continue)):
                self.say(one, "return-in-finally", "medium", "correctness", "Leaving in finally hides errors")
        self.generic_visit(node)

    def visit_Compare(self, node):
        for operator, right in zip(node.ops, node.comparators):
            sides = (node.left, right)
            if isinstance(operator, (ast.Eq, ast.NotEq)):
                if any(is_constant(side, None) for side in sides):
                    self.say(node, "compare-none", "low", "correctness", "Compare with None by is")
                if any(is_constant(side, True) or is_constant(side, False) for side in sides):
                    self.say(node, "compare-bool", "low", "style", "Test the value itself")
                if isinstance(node.left, ast.Call) and path_of(node.left.func) == "type":
                    self.say(node, "compare-type", "low", "correctness", "Use isinstance: subclasses are of the type too")
            if isinstance(operator, (ast.Is, ast.IsNot)):
                if any(isinstance(side, ast.Constant) and isinstance(side.value, (str, int, float, bytes)) and not isinstance(side.value, bool) for side in sides):
                    self.say(node, "is-literal", "medium", "correctness", "is compares identity: use ==")
            if isinstance(node.left, ast.Name) and isinstance(right, ast.Name) and node.left.id == right.id:
                self.say(node, "self-compare", "medium", "correctness", f"{right.id} is compared with itself")
        self.generic_visit(node)

    def visit_Assert(self, node):
        if isinstance(node.test, ast.Tuple) and node.test.elts:
            self.say(node, "assert-tuple", "high", "correctness", "A tuple is always true: this checks nothing")
        self.generic_visit(node)

    def visit_Dict(self, node):
        seen = set()
        for key in node.keys:
            if isinstance(key, ast.Constant):
                if (type(key.value), key.value) in seen:
                    self.say(key, "duplicate-key", "medium", "correctness", f"{key.value!r} is given twice")
                seen.add((type(key.value), key.value))
        self.generic_visit(node)

    def visit_JoinedStr(self, node):
        if not any(isinstance(part, ast.FormattedValue) for part in node.values):
            self.say(node, "empty-f-string", "info", "style", "There is nothing to fill in: leave the f out")
        # What stands behind a colon is a joined text as well, and no f-string of its own.
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                self.visit(part.value)

    def visit_Global(self, node):
        self.say(node, "global", "low", "maintainability", f"global {', '.join(node.names)}: give and return it instead")

    def visit_Constant(self, node):
        if isinstance(node.value, str) and re.match(r"http://(?!localhost|127\.|\[::1\])", node.value):
            self.say(node, "plain-http", "info", "security", "What goes over http can be read and changed on its way")

    def visit_Import(self, node):
        self.imports += 1
        for alias in node.names:
            self.imported[alias.asname or alias.name.split(".")[0]] = node

    def visit_ImportFrom(self, node):
        self.imports += 1
        for alias in node.names:
            if alias.name == "*":
                self.say(node, "star-import", "low", "maintainability", f"Nobody sees what comes from {node.module}: name it")
            elif node.module != "__future__":
                self.imported[alias.asname or alias.name] = node

    def visit_Name(self, node):
        self.used.add(node.id)

    def visit_ClassDef(self, node):
        self.classes += 1
        self.generic_visit(node)

    def visit_FunctionDef(self, node):
        self.function(node)

    def visit_AsyncFunctionDef(self, node):
        self.function(node)

    def function(self, node):
        arguments = node.args
        parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        named = [one for one in parameters if one.arg not in ("self", "cls")]
        for default in [*arguments.defaults, *[one for one in arguments.kw_defaults if one]]:
            if isinstance(default, (ast.List, ast.Dict, ast.Set)) or (isinstance(default, ast.Call) and path_of(default.func) in ("list", "dict", "set")):
                self.say(default, "mutable-default", "medium", "correctness", "This default is one for all calls: use None and make it inside")
        branches, nesting = shape_of(node)
        figures = {"name": node.name, "line": node.lineno, "lines": (node.end_lineno or node.lineno) - node.lineno + 1}
        self.functions.append({**figures, "parameters": len(named), "complexity": branches + 1, "nesting": nesting})
        self.generic_visit(node)

    def generic_visit(self, node):
        for field in ("body", "orelse", "finalbody"):
            self.unreachable(getattr(node, field, None))
        super().generic_visit(node)

    def unreachable(self, block):
        if not isinstance(block, list):
            return
        end = next((index for index, one in enumerate(block) if isinstance(one, ENDS)), None)
        if end is not None and end + 1 < len(block):
            self.say(block[end + 1], "unreachable", "medium", "correctness", "Nothing leads here")

    def unused(self, strings):
        for name, node in self.imported.items():
            if name not in self.used and name not in self.exported and not re.search(rf"\b{re.escape(name)}\b", strings):
                self.say(node, "unused-import", "low", "maintainability", f"{name} is imported and not used")


def shape_of(function):
    """How many branches a function has, and how deep they stand, without those of functions inside it."""
    branches = 0
    deepest = 0
    pending = [(child, 0, function) for child in ast.iter_child_nodes(function)]
    while pending:
        node, depth, parent = pending.pop()
        if isinstance(node, FUNCTIONS):
            continue
        if isinstance(node, BRANCHES):
            branches += 1
        if isinstance(node, ast.BoolOp):
            branches += len(node.values) - 1
        # An elif stands beside the if, not in it.
        beside = isinstance(node, ast.If) and isinstance(parent, ast.If) and parent.orelse == [node]
        if isinstance(node, NESTING) and not beside:
            depth += 1
            deepest = max(deepest, depth)
        pending.extend((child, depth, node) for child in ast.iter_child_nodes(node))
    return branches, deepest


def review(code):
    reviewer = Reviewer()
    error = None
    try:
        tree = ast.parse(code)
        reviewer.visit(tree)
        # Names may be used in annotations that are texts.
        annotations = " ".join(
            part.value for part in ast.walk(tree) if isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value.isidentifier()
        )
        reviewer.unused(annotations)
    except (SyntaxError, ValueError) as found:
        error = {"line": getattr(found, "lineno", None) or 1, "column": getattr(found, "offset", None) or 1, "message": getattr(found, "msg", str(found))}
    shown = {"findings": reviewer.findings, "functions": reviewer.functions, "classes": reviewer.classes, "imports": reviewer.imports}
    return {**shown, **({"syntaxError": error} if error else {})}


if __name__ == "__main__":
    sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")
    try:
        print(json.dumps(review(sys.stdin.read())))
    except (RecursionError, MemoryError):
        sys.exit(TOO_DEEP)
