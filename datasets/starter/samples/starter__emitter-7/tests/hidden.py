import unittest

import lab

HEAD = """
import { Emitter } from './emitter.js';
const emitter = new Emitter();
const heard = [];
const hear = (what) => () => void heard.push(what);
"""


def scenario(script):
    return lab.javascript(HEAD + script)


class Telling(unittest.TestCase):
    def test_in_the_order_of_addition(self):
        script = """
emitter.on('a', hear(1)); emitter.on('a', hear(2)); emitter.on('b', hear(3));
tell([emitter.emit('a'), heard, emitter.emit('c')]);
"""
        self.assertEqual(scenario(script), [2, [1, 2], 0])

    def test_with_values(self):
        script = "emitter.on('a', (...values) => heard.push(values)); emitter.emit('a', 1, 'x', null); tell(heard);"
        self.assertEqual(scenario(script), [[1, "x", None]])

    def test_the_same_listener_twice(self):
        script = "const one = hear(1); emitter.on('a', one); emitter.on('a', one); tell([emitter.emit('a'), heard]);"
        self.assertEqual(scenario(script), [2, [1, 1]])


class Removing(unittest.TestCase):
    def test_itself_while_it_hears(self):
        script = """
const remove = emitter.on('a', () => { heard.push(1); remove(); });
emitter.on('a', hear(2));
emitter.emit('a'); emitter.emit('a');
tell(heard);
"""
        self.assertEqual(scenario(script), [1, 2, 2])

    def test_another_that_has_not_heard_yet(self):
        script = """
const second = hear(2);
emitter.on('a', () => { heard.push(1); emitter.off('a', second); });
emitter.on('a', second);
tell([emitter.emit('a'), heard]);
"""
        self.assertEqual(scenario(script), [1, [1]])

    def test_one_that_is_not_there(self):
        script = "emitter.off('a', hear(1)); emitter.on('a', hear(2)); emitter.off('a', hear(3)); emitter.emit('a'); tell(heard);"
        self.assertEqual(scenario(script), [2])

    def test_this_very_addition_and_once(self):
        script = """
const one = hear(1);
const remove = emitter.on('a', one);
emitter.on('a', hear(2));
emitter.on('a', one);
remove(); remove();
emitter.emit('a');
tell([heard, emitter.count('a')]);
"""
        self.assertEqual(scenario(script), [[2, 1], 2])

    def test_off_removes_the_newest(self):
        script = """
const one = hear(1);
emitter.on('a', one); emitter.on('a', hear(2)); emitter.on('a', one);
emitter.off('a', one);
emitter.emit('a');
tell(heard);
"""
        self.assertEqual(scenario(script), [1, 2])


class Adding(unittest.TestCase):
    def test_while_an_event_is_told(self):
        script = """
emitter.on('a', () => { heard.push(1); if (heard.length < 3) emitter.on('a', hear(2)); });
emitter.emit('a');
const first = [...heard];
emitter.emit('a');
tell([first, heard]);
"""
        self.assertEqual(scenario(script), [[1], [1, 1, 2]])


class Once(unittest.TestCase):
    def test_hears_one_event(self):
        script = "emitter.once('a', hear(1)); tell([emitter.emit('a'), emitter.emit('a'), heard, emitter.count('a')]);"
        self.assertEqual(scenario(script), [1, 0, [1], 0])

    def test_is_gone_before_it_is_called(self):
        script = "emitter.once('a', () => { heard.push(emitter.count('a')); emitter.emit('a'); }); emitter.emit('a'); tell(heard);"
        self.assertEqual(scenario(script), [0])

    def test_can_be_removed(self):
        script = """
const one = hear(1);
emitter.once('a', one); emitter.off('a', one);
const remove = emitter.once('a', hear(2)); remove();
tell([emitter.emit('a'), heard]);
"""
        self.assertEqual(scenario(script), [0, []])

    def test_that_throws_is_gone(self):
        script = """
emitter.once('a', () => { throw new Error('x'); });
let first; try { emitter.emit('a'); } catch (error) { first = error.message; }
tell([first, emitter.emit('a')]);
"""
        self.assertEqual(scenario(script), ["x", 0])


class Failing(unittest.TestCase):
    def test_others_are_called(self):
        script = """
const failure = new Error('mine');
emitter.on('a', () => { throw failure; }); emitter.on('a', hear(2));
let same; try { emitter.emit('a'); } catch (error) { same = error === failure; }
tell([heard, same]);
"""
        self.assertEqual(scenario(script), [[2], True])

    def test_several(self):
        script = """
for (const what of ['x', 'y']) emitter.on('a', () => { throw new Error(what); });
let told; try { emitter.emit('a'); } catch (error) { told = [error.name, error.errors.map((one) => one.message)]; }
tell(told);
"""
        self.assertEqual(scenario(script), ["AggregateError", ["x", "y"]])


class Names(unittest.TestCase):
    def test_those_that_have_listeners(self):
        script = """
const remove = emitter.on('a', hear(1)); emitter.on('b', hear(2)); emitter.once('c', hear(3));
remove(); emitter.emit('c');
tell([emitter.names(), emitter.count('a'), emitter.count('b')]);
"""
        self.assertEqual(scenario(script), [["b"], 0, 1])

    def test_any_text_and_symbols(self):
        script = """
const key = Symbol('key');
for (const name of ['__proto__', 'constructor', 'toString', key]) emitter.on(name, hear(String(name)));
tell([['__proto__', 'constructor', 'toString', key].map((name) => emitter.emit(name)), heard, emitter.names().length]);
"""
        self.assertEqual(
            scenario(script), [[1, 1, 1, 1], ["__proto__", "constructor", "toString", "Symbol(key)"], 4]
        )
