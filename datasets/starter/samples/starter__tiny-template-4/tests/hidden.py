import unittest

import lab


def render(template, values=None):
    return lab.python("import template; tell(template.render(given[0], given[1]))", [template, values or {}])


def refused(template, values=None):
    script = """
import template
try:
    tell(['shown', template.render(given[0], given[1])])
except ValueError:
    tell(['refused'])
"""
    return lab.python(script, [template, values or {}])[0] == "refused"


class Values(unittest.TestCase):
    def test_a_value(self):
        self.assertEqual(render("Hello {{name}}!", {"name": "Ada"}), "Hello Ada!")

    def test_spaces_around_a_name(self):
        self.assertEqual(render("{{ name }}|{{{  name }}}", {"name": "Ada"}), "Ada|Ada")

    def test_escaping(self):
        value = "<a href=\"x\">O'Neil & sons</a>"
        self.assertEqual(
            render("{{v}}", {"v": value}), "&lt;a href=&quot;x&quot;&gt;O&#39;Neil &amp; sons&lt;/a&gt;"
        )

    def test_a_value_as_it_is(self):
        self.assertEqual(render("{{{v}}}", {"v": "<b>&amp;</b>"}), "<b>&amp;</b>")

    def test_values_that_are_no_text(self):
        self.assertEqual(render("{{n}} {{f}} {{nothing}}.", {"n": 0, "f": 1.5, "nothing": None}), "0 1.5 .")

    def test_what_is_not_there(self):
        self.assertEqual(render("a{{missing}}b{{{missing.too}}}c"), "abc")

    def test_parts_of_a_name(self):
        values = {"user": {"name": "Ada", "home": {"city": "London"}}, "city": "no"}
        self.assertEqual(render("{{user.name}} {{ user.home.city }} {{user.city}}.", values), "Ada London .")

    def test_braces_that_are_no_tag(self):
        self.assertEqual(render("{ a } }} {{n}}}", {"n": 1}), "{ a } }} 1}")


class Injection(unittest.TestCase):
    def test_a_value_is_never_looked_at_again(self):
        values = {"name": "{{secret}}", "raw": "{{{secret}}}", "secret": "hush"}
        self.assertEqual(render("{{name}} {{{raw}}}", values), "{{secret}} {{{secret}}}")
        backwards = {"secret": "hush", "name": "{{secret}}"}
        self.assertEqual(render("{{name}}", backwards), "{{secret}}")

    def test_two_values_make_no_tag(self):
        self.assertEqual(render("{{{a}}}{{{b}}}", {"a": "{{", "b": "c}}", "c": "hush"}), "{{c}}")

    def test_a_value_opens_no_if(self):
        self.assertEqual(render("{{{a}}}x", {"a": "{{#if b}}"}), "{{#if b}}x")


class Ifs(unittest.TestCase):
    def test_shown_and_not(self):
        template = "a{{#if v}}b{{/if}}c"
        shown = [render(template, {"v": v}) for v in (True, "x", 0, "", None, [])]
        self.assertEqual(shown, ["abc", "abc", "ac", "ac", "ac", "ac"])
        self.assertEqual(render(template), "ac")

    def test_nested(self):
        template = "{{#if a}}1{{#if b.c}}2{{/if}}3{{/if}}4"
        self.assertEqual(render(template, {"a": 1, "b": {"c": 1}}), "1234")
        self.assertEqual(render(template, {"a": 1}), "134")
        self.assertEqual(render(template, {"b": {"c": 1}}), "4")


class Escapes(unittest.TestCase):
    def test_a_backslash_before_braces(self):
        self.assertEqual(render("\\{{name}} {{name}}", {"name": "Ada"}), "{{name}} Ada")
        self.assertEqual(render("a\\b"), "a\\b")


class Refused(unittest.TestCase):
    def test_a_tag_without_its_end(self):
        self.assertTrue(refused("a {{name"))
        self.assertTrue(refused("a {{{name}}", {"name": 1}))

    def test_ifs_without_ends_and_ends_without_ifs(self):
        self.assertTrue(refused("{{#if a}}x"))
        self.assertTrue(refused("x{{/if}}"))
        self.assertTrue(refused("{{#if a}}x{{/if}}{{/if}}", {"a": 1}))

    def test_what_is_no_tag(self):
        self.assertTrue(refused("{{}}"))
        self.assertTrue(refused("{{ a b }}"))
        self.assertTrue(refused("{{a..b}}"))
        self.assertTrue(refused("{{#each a}}"))
