import unittest

import lab

HEAD = """
import threading, time
from memo import Memo

def together(*tasks):
    results = [None] * len(tasks)
    def run(index):
        try:
            results[index] = tasks[index]()
        except Exception as error:
            results[index] = f'raised {error}'
    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(tasks))]
    for thread in threads: thread.start()
    for thread in threads: thread.join(10)
    return results
"""


def scenario(script):
    return lab.python(HEAD + script, timeout=25)


class Alone(unittest.TestCase):
    def test_a_result_is_remembered(self):
        script = """
calls = []
memo = Memo(lambda key: (calls.append(key), key * 2)[1])
tell([memo.get(3), memo.get(3), memo.get(4), calls])
"""
        self.assertEqual(scenario(script), [6, 6, 8, [3, 4]])

    def test_a_result_may_be_none(self):
        script = """
calls = []
memo = Memo(lambda key: calls.append(key))
memo.get(1); memo.get(1)
tell(calls)
"""
        self.assertEqual(scenario(script), [1])

    def test_a_failure_is_not_remembered(self):
        script = """
calls = []
def call(key):
    calls.append(key)
    if len(calls) == 1: raise ValueError('first')
    return 'fine'
memo = Memo(call)
try:
    memo.get('k'); first = 'no failure'
except ValueError as error:
    first = str(error)
tell([first, memo.get('k'), len(calls)])
"""
        self.assertEqual(scenario(script), ["first", "fine", 2])

    def test_the_longest_unasked_goes_first(self):
        script = """
calls = []
memo = Memo(lambda key: (calls.append(key), key)[1], limit=2)
for key in ['a', 'b', 'a', 'c', 'a', 'b']: memo.get(key)
tell(calls)
"""
        self.assertEqual(scenario(script), ["a", "b", "c", "b"])

    def test_what_is_forgotten_is_called_again(self):
        script = """
calls = []
memo = Memo(lambda key: (calls.append(key), len(calls))[1])
memo.get(1); memo.forget(1); memo.forget(2)
tell([memo.get(1), calls])
"""
        self.assertEqual(scenario(script), [2, [1, 1]])

    def test_a_call_may_ask_for_other_keys(self):
        script = """
memo = Memo(lambda n: n if n < 2 else memo.get(n - 1) + memo.get(n - 2))
tell(memo.get(30))
"""
        self.assertEqual(scenario(script), 832040)


class Together(unittest.TestCase):
    def test_one_call_for_all_who_ask(self):
        script = """
calls = []
def call(key):
    calls.append(key); time.sleep(0.3); return f'{key} {len(calls)}'
memo = Memo(call)
tell([together(*[lambda: memo.get('k')] * 8), len(calls)])
"""
        self.assertEqual(scenario(script), [["k 1"] * 8, 1])

    def test_different_keys_beside_each_other(self):
        script = """
barrier = threading.Barrier(4, timeout=5)
def call(key):
    barrier.wait(); return key
memo = Memo(call)
tell(together(*[lambda key=key: memo.get(key) for key in range(4)]))
"""
        self.assertEqual(scenario(script), [0, 1, 2, 3])

    def test_all_who_waited_hear_of_the_failure(self):
        script = """
calls = []
def call(key):
    calls.append(key); time.sleep(0.3); raise ValueError(f'no {len(calls)}')
memo = Memo(call)
first = together(*[lambda: memo.get('k')] * 4)
second = together(lambda: memo.get('k'))
tell([first, second, len(calls)])
"""
        self.assertEqual(scenario(script), [["raised no 1"] * 4, ["raised no 2"], 2])

    def test_forgotten_while_it_runs(self):
        script = """
gates = [threading.Event(), threading.Event()]
begun = [threading.Event(), threading.Event()]
calls = []
def call(key):
    number = len(calls); calls.append(key)
    begun[number].set(); gates[number].wait(5)
    return f'call {number}'
memo = Memo(call)
seen = {}
def ask(name): seen[name] = memo.get('k')
threads = [threading.Thread(target=ask, args=('before',))]
threads[0].start(); begun[0].wait(5)
memo.forget('k')
threads.append(threading.Thread(target=ask, args=('after',)))
threads[1].start(); begun[1].wait(5)
gates[1].set(); threads[1].join(5)
gates[0].set(); threads[0].join(5)
tell([seen.get('before'), seen.get('after'), memo.get('k'), len(calls)])
"""
        self.assertEqual(scenario(script), ["call 0", "call 1", "call 1", 2])

    def test_never_more_than_the_limit(self):
        script = """
memo = Memo(lambda key: (time.sleep(0.001), key)[1], limit=3)
def many(seed):
    return all(memo.get((seed * 7 + n) % 11) == (seed * 7 + n) % 11 for n in range(60))
fine = together(*[lambda seed=seed: many(seed) for seed in range(6)])
kept = []
memo.call = lambda key: (kept.append(key), key)[1]
for key in range(11): memo.get(key)
tell([all(fine), len(kept) >= 8])
"""
        self.assertEqual(scenario(script), [True, True])
