import { expect, test } from 'vitest';
import { proofHash } from './proof.ts';

// Made by hashlib and json.dumps(sort_keys=True, separators=(",", ":"), ensure_ascii=False) of Python 3.
test('the hash is the one that a client in Python makes', () => {
  expect(proofHash({ result: 'ok' })).toBe('1aad36b0fb02621b951649811957ba7ad67d4838c2932d02088f7d6e8db74313');
  expect(proofHash({ b: [1, 2, { z: null, a: true }], a: 'Zürich ☂' })).toBe(
    '17d255d00c3cf1ad53a87ce73205a0c7dfce0fa18f2c92ac232f4cf43f0ab95f',
  );
  expect(proofHash({ '\u{1F600}': 1, '\uff01': 2, a: 'line\nbreak "q" \\ \u0001' })).toBe(
    'af426ee6208e601235aafd7775fdf902e9241b373b11118732af03d3cad5ac2b',
  );
  expect(proofHash({})).toBe('44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a');
});

test('the order of keys and the way an accent is written make no difference', () => {
  expect(proofHash({ b: 1, a: { d: 2, c: 3 } })).toBe(proofHash({ a: { c: 3, d: 2 }, b: 1 }));
  expect(proofHash({ text: 'e\u0301' })).toBe(proofHash({ text: '\u00e9' }));
});

test('another value is another hash', () => {
  expect(proofHash({ a: 1 })).not.toBe(proofHash({ a: '1' }));
  expect(proofHash([1, 2])).not.toBe(proofHash([2, 1]));
});
