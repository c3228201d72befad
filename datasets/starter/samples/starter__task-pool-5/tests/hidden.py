import unittest

import lab

HEAD = """
import { mapLimited } from './pool.js';
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const outcome = (promise) => promise.then((value) => ['done', value], (error) => ['failed', error.message, error.name]);
"""


def scenario(script):
    return lab.javascript(HEAD + script)


class Results(unittest.TestCase):
    def test_in_the_order_of_the_items(self):
        script = "tell(await mapLimited([30, 5, 60, 1, 20], 3, async (ms) => { await wait(ms); return ms; }));"
        self.assertEqual(scenario(script), [30, 5, 60, 1, 20])

    def test_of_nothing(self):
        self.assertEqual(scenario("tell(await mapLimited([], 3, async () => 1));"), [])

    def test_fewer_items_than_the_limit(self):
        self.assertEqual(scenario("tell(await mapLimited([1, 2], 9, async (n) => n * 2));"), [2, 4])

    def test_the_last_ones_are_waited_for(self):
        script = "tell(await mapLimited([1, 2, 3, 4], 3, async (n) => { await wait(40); return n; }));"
        self.assertEqual(scenario(script), [1, 2, 3, 4])

    def test_the_index_is_handed_over(self):
        self.assertEqual(scenario("tell(await mapLimited(['a', 'b'], 1, async (x, i) => x + i));"), ["a0", "b1"])

    def test_work_that_answers_at_once(self):
        self.assertEqual(scenario("tell(await mapLimited([1, 2, 3], 2, (n) => n + 1));"), [2, 3, 4])

    def test_undefined_results_have_their_places(self):
        script = "const r = await mapLimited([1, 2, 3], 2, async () => {}); tell([r.length, r.every((x) => x === undefined)]);"
        self.assertEqual(scenario(script), [3, True])


class Limit(unittest.TestCase):
    def test_is_never_passed_and_is_used(self):
        script = """
let now = 0, most = 0;
await mapLimited(Array.from({ length: 20 }, (_, i) => i), 4, async () => {
  most = Math.max(most, ++now); await wait(5); now--;
});
tell(most);
"""
        self.assertEqual(scenario(script), 4)

    def test_the_next_begins_when_one_has_ended(self):
        script = """
const begun = [];
let release;
const held = new Promise((resolve) => (release = resolve));
const all = mapLimited([0, 1, 2, 3], 2, async (n) => { begun.push(n); if (n === 0) await held; else await wait(5); });
await wait(300);
const seen = [...begun];
release(); await all;
tell(seen);
"""
        self.assertEqual(scenario(script), [0, 1, 2, 3])

    def test_must_be_one_or_more(self):
        script = """
let calls = 0;
const results = [];
for (const limit of [0, -1, 1.5, NaN, '2', undefined])
  results.push((await outcome(mapLimited([1], limit, async () => calls++)))[2] ?? 'done');
tell([results, calls]);
"""
        self.assertEqual(scenario(script), [["RangeError"] * 6, 0])


class Sources(unittest.TestCase):
    def test_sets_and_generators(self):
        script = """
function* three() { yield 1; yield 2; yield 3; }
tell([await mapLimited(new Set([4, 5]), 2, async (n) => n), await mapLimited(three(), 2, async (n) => n * 10)]);
"""
        self.assertEqual(scenario(script), [[4, 5], [10, 20, 30]])

    def test_asynchronous_ones(self):
        script = """
async function* slow() { for (const n of [1, 2, 3]) { await wait(3); yield n; } }
tell(await mapLimited(slow(), 2, async (n) => n));
"""
        self.assertEqual(scenario(script), [1, 2, 3])

    def test_are_asked_only_when_there_is_room(self):
        script = """
let asked = 0;
function* endless() { for (;;) yield asked++; }
let release;
const held = new Promise((resolve) => (release = resolve));
const all = outcome(mapLimited(endless(), 3, async (n) => { await held; if (n >= 5) throw new Error('enough'); }));
await wait(100);
const seen = asked;
release();
tell([seen <= 4, await all]);
"""
        self.assertEqual(scenario(script), [True, ["failed", "enough", "Error"]])


class Failures(unittest.TestCase):
    def test_nothing_more_is_begun(self):
        script = """
const begun = [];
const end = await outcome(mapLimited([0, 1, 2, 3, 4, 5], 2, async (n) => {
  begun.push(n); await wait(n === 1 ? 10 : 60); if (n === 1) throw new Error('one');
}));
tell([begun, end]);
"""
        self.assertEqual(scenario(script), [[0, 1], ["failed", "one", "Error"]])

    def test_what_is_under_way_is_waited_for(self):
        script = """
let ended = 0;
const end = await outcome(mapLimited([0, 1, 2], 3, async (n) => {
  await wait(n === 0 ? 10 : 60); if (n === 0) throw new Error('first'); ended++; if (n === 2) throw new Error('second');
}));
tell([ended, end]);
"""
        self.assertEqual(scenario(script), [2, ["failed", "first", "Error"]])

    def test_work_that_throws_at_once(self):
        script = "tell(await outcome(mapLimited([1, 2], 2, () => { throw new Error('at once'); })));"
        self.assertEqual(scenario(script), ["failed", "at once", "Error"])

    def test_the_source_is_closed(self):
        script = """
let closed = false;
function* source() { try { for (;;) yield 1; } finally { closed = true; } }
const end = await outcome(mapLimited(source(), 2, async () => { throw new Error('no'); }));
tell([closed, end[1]]);
"""
        self.assertEqual(scenario(script), [True, "no"])

    def test_a_source_that_fails(self):
        script = """
let ended = 0;
async function* source() { yield 1; yield 2; throw new Error('dry'); }
const end = await outcome(mapLimited(source(), 3, async () => { await wait(30); ended++; }));
tell([ended, end[1]]);
"""
        self.assertEqual(scenario(script), [2, "dry"])
