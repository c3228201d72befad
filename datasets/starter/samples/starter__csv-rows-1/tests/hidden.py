import unittest

import lab


def rows(text):
    return lab.python("import rows; tell(rows.read_rows(given))", text)


def refusal(text):
    return lab.python(
        """
import rows
try:
    tell(['read', rows.read_rows(given)])
except ValueError as error:
    tell(['refused', str(error)])
""",
        text,
    )


class Plain(unittest.TestCase):
    def test_fields_without_quotes(self):
        self.assertEqual(rows("a,b\nc,,d\n"), [["a", "b"], ["c", "", "d"]])

    def test_spaces_belong_to_their_field(self):
        self.assertEqual(rows(" a , b\n"), [[" a ", " b"]])

    def test_a_last_line_needs_no_end(self):
        self.assertEqual(rows("a,b\nc"), [["a", "b"], ["c"]])
        self.assertEqual(rows("a,"), [["a", ""]])
        self.assertEqual(rows(""), [])

    def test_an_empty_line_between_is_a_row(self):
        self.assertEqual(rows("a\n\nb\n"), [["a"], [""], ["b"]])

    def test_lines_of_a_spreadsheet(self):
        self.assertEqual(rows("a,b\r\nc,d\r\n"), [["a", "b"], ["c", "d"]])
        self.assertEqual(rows("a\rb\n"), [["a\rb"]])


class Quoted(unittest.TestCase):
    def test_a_comma(self):
        self.assertEqual(rows('"a,b",c\n'), [["a,b", "c"]])

    def test_a_doubled_quote(self):
        self.assertEqual(rows('"say ""so""",""""\n'), [['say "so"', '"']])

    def test_line_breaks_are_kept(self):
        self.assertEqual(rows('"a\nb\r\nc",d\r\ne\n'), [["a\nb\r\nc", "d"], ["e"]])

    def test_an_empty_field(self):
        self.assertEqual(rows('"",""\n""'), [["", ""], [""]])

    def test_what_is_written_is_read_again(self):
        wanted = [['"', ",", "\r\n"], ["", "a b", 'x"y,z'], [""], ["\u00e9\U0001f600"]]
        script = "import rows; tell(rows.read_rows(rows.write_rows(given)))"
        self.assertEqual(lab.python(script, wanted), wanted)


class Refused(unittest.TestCase):
    def refused(self, text, line):
        what, said = refusal(text)
        self.assertEqual(what, "refused", said)
        self.assertRegex(said, rf"\b{line}\b")

    def test_a_quote_that_is_never_closed(self):
        self.refused('a\nb,"c\nd\ne', 2)

    def test_something_behind_a_closing_quote(self):
        self.refused('a\nb\n"c"d,e\n', 3)

    def test_a_quote_in_the_middle(self):
        self.refused('a,b"c\n', 1)

    def test_lines_inside_quotes_count(self):
        self.refused('"a\nb"\n"c', 3)


class Scale(unittest.TestCase):
    def test_a_large_file_is_read_soon(self):
        script = "import rows; tell(len(rows.read_rows(('\"a,\"\"b\",c\\r\\n' * 40000))))"
        self.assertEqual(lab.python(script, timeout=10), 40000)
