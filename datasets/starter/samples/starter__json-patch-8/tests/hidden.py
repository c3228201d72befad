import unittest

import lab


def patched(document, *operations):
    """What came of it: ['is', document], or ['refused', index]. Told as text, so that every name is seen."""
    script = """
import { applyPatch, PatchError } from './patch.js';
try {
  tell(['is', JSON.stringify(applyPatch(given[0], given[1]))]);
} catch (error) {
  tell([error instanceof PatchError ? 'refused' : `threw ${error}`, error.index]);
}
"""
    import json

    what, value = lab.javascript(script, [document, operations])
    return [what, json.loads(value)] if what == "is" else [what, value]


def add(path, value):
    return {"op": "add", "path": path, "value": value}


class Add(unittest.TestCase):
    def test_a_property(self):
        self.assertEqual(patched({"a": {}}, add("/a/b", 1), add("/c", None)), ["is", {"a": {"b": 1}, "c": None}])

    def test_into_an_array(self):
        self.assertEqual(
            patched({"a": [1, 2]}, add("/a/0", 0), add("/a/3", 3), add("/a/-", 4)), ["is", {"a": [0, 1, 2, 3, 4]}]
        )

    def test_the_whole_document(self):
        self.assertEqual(patched({"a": 1}, add("", [1])), ["is", [1]])

    def test_where_there_is_no_place(self):
        for path in ("/x/y", "/a/3", "/a/01", "/a/+1", "/a/-1", "/a/b", "/n/x"):
            self.assertEqual(patched({"a": [1, 2], "n": 1}, add(path, 0)), ["refused", 0], path)


class Names(unittest.TestCase):
    def test_escapes(self):
        document = {"a/b": 1, "m~n": 2, "~1": 3, "": 4, " ": 5}
        tests = [("/a~1b", 1), ("/m~0n", 2), ("/~01", 3), ("/", 4), ("/ ", 5)]
        operations = [{"op": "test", "path": path, "value": value} for path, value in tests]
        self.assertEqual(patched(document, *operations), ["is", document])

    def test_wrong_escapes_and_pointers(self):
        for path in ("/a~2", "/a~", "a", "#/a"):
            self.assertEqual(patched({"a~2": 1, "a~": 1, "a": 1}, add(path, 2)), ["refused", 0], path)

    def test_nothing_of_a_prototype(self):
        self.assertEqual(patched({}, add("/constructor/prototype/polluted", 1)), ["refused", 0])
        self.assertEqual(patched({}, add("/__proto__/polluted", 1)), ["refused", 0])
        self.assertEqual(patched({}, {"op": "remove", "path": "/toString"}), ["refused", 0])
        self.assertEqual(patched({"a": []}, add("/a/length", 9)), ["refused", 0])
        self.assertEqual(patched({}, add("/__proto__", {"x": 1})), ["is", {"__proto__": {"x": 1}}])


class Others(unittest.TestCase):
    def test_remove(self):
        remove = [{"op": "remove", "path": path} for path in ("/a/1", "/b")]
        self.assertEqual(patched({"a": [1, 2, 3], "b": 1}, *remove), ["is", {"a": [1, 3]}])
        for path in ("/x", "/a/3", "/a/-"):
            self.assertEqual(patched({"a": [1, 2, 3]}, {"op": "remove", "path": path}), ["refused", 0], path)

    def test_replace(self):
        self.assertEqual(
            patched({"a": [1, 2]}, {"op": "replace", "path": "/a/1", "value": {"x": 1}}), ["is", {"a": [1, {"x": 1}]}]
        )
        for path in ("/b", "/a/2", "/a/-"):
            operation = {"op": "replace", "path": path, "value": 1}
            self.assertEqual(patched({"a": [1, 2]}, operation), ["refused", 0], path)

    def test_move(self):
        document = {"a": {"b": 1}, "c": [1, 2, 3]}
        moves = [
            {"op": "move", "from": "/a/b", "path": "/d"},
            {"op": "move", "from": "/c/0", "path": "/c/2"},
            {"op": "move", "from": "/d", "path": "/d"},
        ]
        self.assertEqual(patched(document, *moves), ["is", {"a": {}, "c": [2, 3, 1], "d": 1}])
        self.assertEqual(patched(document, {"op": "move", "from": "/a", "path": "/a/b/c"}), ["refused", 0])
        self.assertEqual(patched(document, {"op": "move", "from": "/x", "path": "/y"}), ["refused", 0])

    def test_copy(self):
        operations = [{"op": "copy", "from": "/a", "path": "/b"}, add("/b/x", 2)]
        self.assertEqual(patched({"a": {"x": 1}}, *operations), ["is", {"a": {"x": 1}, "b": {"x": 2}}])

    def test_test(self):
        document = {"o": {"a": 1, "b": [1, {"c": None}]}, "n": 1}
        holds = {"op": "test", "path": "/o", "value": {"b": [1, {"c": None}], "a": 1}}
        self.assertEqual(patched(document, holds)[0], "is")
        for path, value in (("/n", "1"), ("/o/b", [{"c": None}, 1]), ("/o", {"a": 1}), ("/o/b/1/c", 0), ("/o/b", {})):
            self.assertEqual(patched(document, {"op": "test", "path": path, "value": value}), ["refused", 0], path)


class Manners(unittest.TestCase):
    def test_what_is_missing_or_unknown(self):
        for wrong in (
            {"op": "add", "path": "/a"},
            {"op": "replace", "path": "/a"},
            {"op": "test", "path": "/a"},
            {"op": "move", "path": "/b"},
            {"op": "copy", "path": "/b"},
            {"op": "remove"},
            {"op": "spam", "path": "/a"},
            {"path": "/a", "value": 1},
        ):
            self.assertEqual(patched({"a": 1}, add("/z", 1), wrong), ["refused", 1], wrong)

    def test_what_was_given_stays(self):
        script = """
import { applyPatch } from './patch.js';
const document = { a: [1] }; const operations = [{ op: 'add', path: '/b', value: { c: [1] } }, { op: 'add', path: '/b/c/-', value: 2 }];
const before = JSON.stringify([document, operations]);
const result = applyPatch(document, operations);
result.b.c.push(3); result.a.push(9);
let thrown = false;
try { applyPatch(document, [{ op: 'add', path: '/a/0', value: 0 }, { op: 'remove', path: '/x' }]); } catch { thrown = true; }
tell([JSON.stringify([document, operations]) === before, thrown]);
"""
        self.assertEqual(lab.javascript(script), [True, True])

    def test_null_is_a_value(self):
        self.assertEqual(patched({"a": 1}, {"op": "replace", "path": "/a", "value": None}), ["is", {"a": None}])
