import random
import unittest

import lab


def free(opening, closing, bookings, minutes=1):
    script = "import slots; tell(slots.free_slots(given[0], given[1], [tuple(b) for b in given[2]], given[3]))"
    return [tuple(slot) for slot in lab.python(script, [opening, closing, bookings, minutes])]


def refused(*given):
    script = """
import slots
try:
    slots.free_slots(given[0], given[1], [tuple(b) for b in given[2]], given[3])
    tell(False)
except ValueError:
    tell(True)
"""
    return lab.python(script, list(given))


class Free(unittest.TestCase):
    def test_between_two_bookings(self):
        self.assertEqual(free(480, 1080, [(480, 540), (600, 1080)], 30), [(540, 600)])

    def test_before_and_after_all_of_them(self):
        self.assertEqual(free(480, 1080, [(600, 660)]), [(480, 600), (660, 1080)])

    def test_a_whole_day(self):
        self.assertEqual(free(480, 1080, []), [(480, 1080)])

    def test_exactly_as_long_as_asked(self):
        self.assertEqual(free(0, 100, [(30, 71)], 30), [(0, 30)])

    def test_nothing_between_two_that_touch(self):
        self.assertEqual(free(0, 100, [(0, 50), (50, 100)]), [])


class Overlaps(unittest.TestCase):
    def test_one_inside_another(self):
        self.assertEqual(free(0, 100, [(10, 80), (20, 30)]), [(0, 10), (80, 100)])

    def test_a_chain(self):
        self.assertEqual(free(0, 100, [(40, 60), (10, 50), (55, 90)]), [(0, 10), (90, 100)])

    def test_beyond_the_day(self):
        self.assertEqual(free(100, 200, [(0, 120), (180, 300)]), [(120, 180)])
        self.assertEqual(free(100, 200, [(0, 50), (250, 300)]), [(100, 200)])
        self.assertEqual(free(100, 200, [(0, 300)]), [])

    def test_without_duration(self):
        self.assertEqual(free(0, 100, [(50, 50)], 60), [(0, 100)])

    def test_as_a_minute_by_minute_count_has_it(self):
        chance = random.Random(7)
        for _round in range(6):
            bookings = []
            for _booking in range(chance.randrange(1, 12)):
                start = chance.randrange(-20, 130)
                bookings.append((start, start + chance.randrange(0, 40)))
            taken = {minute for start, end in bookings for minute in range(start, end)}
            wanted, began = [], None
            for minute in range(0, 101):
                is_free = minute < 100 and minute not in taken
                if is_free and began is None:
                    began = minute
                if not is_free and began is not None:
                    if minute - began >= 5:
                        wanted.append((began, minute))
                    began = None
            self.assertEqual(free(0, 100, bookings, 5), wanted, bookings)


class Manners(unittest.TestCase):
    def test_the_given_list_stays(self):
        script = "import slots; b = [(50, 60), (10, 20)]; slots.free_slots(0, 100, b, 1); tell(b)"
        self.assertEqual(lab.python(script), [[50, 60], [10, 20]])

    def test_nonsense_is_refused(self):
        self.assertTrue(refused(100, 100, [], 1))
        self.assertTrue(refused(0, 100, [(50, 40)], 1))
        self.assertTrue(refused(0, 100, [], 0))
        self.assertFalse(refused(0, 100, [(50, 50)], 1))


class Split(unittest.TestCase):
    def split(self, slot, minutes):
        found = lab.python("import slots; tell(slots.split(tuple(given[0]), given[1]))", [slot, minutes])
        return [tuple(one) for one in found]

    def test_without_remainder(self):
        self.assertEqual(self.split((0, 60), 20), [(0, 20), (20, 40), (40, 60)])

    def test_what_is_left_over_is_dropped(self):
        self.assertEqual(self.split((0, 59), 20), [(0, 20), (20, 40)])
        self.assertEqual(self.split((0, 10), 20), [])
