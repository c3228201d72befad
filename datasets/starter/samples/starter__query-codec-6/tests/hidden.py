import unittest

import lab


def parse(text):
    """As pairs, because an object of JSON cannot show every key."""
    script = "import { parse } from './query.js'; tell(Object.entries(parse(given)));"
    return [tuple(pair) for pair in lab.javascript(script, text)]


def write(expression):
    return lab.javascript(f"import {{ format }} from './query.js'; tell(format({expression}));")


class Parse(unittest.TestCase):
    def test_pairs(self):
        self.assertEqual(parse("a=1&b=2"), [("a", "1"), ("b", "2")])

    def test_a_leading_question_mark(self):
        self.assertEqual(parse("?a=1"), [("a", "1")])
        self.assertEqual(parse("a=?1"), [("a", "?1")])
        self.assertEqual(parse("?"), [])
        self.assertEqual(parse(""), [])

    def test_empty_pairs_are_skipped(self):
        self.assertEqual(parse("&a=1&&b=2&"), [("a", "1"), ("b", "2")])

    def test_the_first_equals_sign_separates(self):
        self.assertEqual(parse("a=b=c&d=="), [("a", "b=c"), ("d", "=")])
        self.assertEqual(parse("=x"), [("", "x")])

    def test_without_a_value(self):
        self.assertEqual(parse("a&b="), [("a", ""), ("b", "")])

    def test_several_values(self):
        self.assertEqual(parse("a=1&b=x&a=2&a=3"), [("a", ["1", "2", "3"]), ("b", "x")])

    def test_plus_is_a_space(self):
        self.assertEqual(parse("a+b=c+d++e"), [("a b", "c d  e")])
        self.assertEqual(parse("q=C%2B%2B+x"), [("q", "C++ x")])

    def test_bytes_of_utf8(self):
        self.assertEqual(parse("%C3%A9=%F0%9F%98%80&a%26b=c%3Dd"), [("\u00e9", "\U0001f600"), ("a&b", "c=d")])

    def test_what_cannot_be_decoded_stays(self):
        self.assertEqual(parse("a=100%&b=%C3+%28&c=%zz"), [("a", "100%"), ("b", "%C3+%28"), ("c", "%zz")])


class Special(unittest.TestCase):
    def test_proto_is_a_key_like_others(self):
        self.assertEqual(parse("__proto__=x"), [("__proto__", "x")])
        script = """
import { parse } from './query.js';
parse('__proto__=1&__proto__=2'); parse('constructor=1&constructor=2');
tell([({}).x === undefined, Object.prototype.toString.call({}), Object.getPrototypeOf(parse('a=1')) === null]);
"""
        self.assertEqual(lab.javascript(script), [True, "[object Object]", True])

    def test_names_of_methods_are_keys(self):
        self.assertEqual(parse("toString=1&hasOwnProperty=2"), [("toString", "1"), ("hasOwnProperty", "2")])


class Format(unittest.TestCase):
    def test_pairs_in_order(self):
        self.assertEqual(write("{ b: 1, a: 'x', c: true, d: 0, e: '' }"), "b=1&a=x&c=true&d=0&e=")

    def test_several_values(self):
        self.assertEqual(write("{ a: [1, 2], b: [], c: ['x'] }"), "a=1&a=2&c=x")

    def test_nothing_is_left_out(self):
        self.assertEqual(write("{ a: null, b: undefined, c: [1, null, undefined, 2] }"), "c=1&c=2")

    def test_escapes(self):
        self.assertEqual(write("{ 'a b&c': \"C++ = 100%? /#\" }"), "a%20b%26c=C%2B%2B%20%3D%20100%25%3F%20%2F%23")
        self.assertEqual(write("{ q: \"-_.~!*'()\" }"), "q=-_.~%21%2A%27%28%29")
        self.assertEqual(write("{ q: '\u00e9' }"), "q=%C3%A9")

    def test_what_is_written_is_read_again(self):
        values = {"a b": "x&y=z", "list": ["1", "", "+ %"], "\u00e9": "\U0001f600", "__proto_": "p"}
        script = "import { parse, format } from './query.js'; tell(parse(format(given)));"
        self.assertEqual(lab.javascript(script, values), values)
