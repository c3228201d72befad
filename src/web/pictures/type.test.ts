import { describe, expect, test } from 'vitest';
import { drawable, fitted, linesOf, textAt, widthOf } from './type.ts';

describe('what can be drawn of a text', () => {
  test.each([
    ['Perfectly plain – “quoted”', 'Perfectly plain – “quoted”'],
    ['Перевод, ελληνικά, Łódź', 'Перевод, ελληνικά, Łódź'],
    ['e\u0301', 'é'],
    ['a\u0000b\u202Ec\ud800d\uFFFEe', 'abcde'],
    ['🚀 fast  👩‍🚀 rockets 🇩🇪', 'fast rockets'],
    ['1️⃣ one', '1 one'],
    ['tabs\tand\nlines', 'tabs and lines'],
    ['数据 parser', undefined],
    ['محلل', undefined],
    ['🚀🚀', undefined],
    ['', undefined],
  ])('%j is drawn as %j', (text, drawn) => expect(drawable(text)).toBe(drawn));
});

describe('lines', () => {
  const setting = { width: 300, size: 40, weight: 600, lines: 2 } as const;

  test('break between words and after hyphens', () => {
    expect(linesOf('one-two three', { ...setting, width: 120 })).toEqual({ lines: ['one-', 'two…'], cut: true });
    expect(linesOf('one-two three four', { ...setting, width: 220 })).toEqual({
      lines: ['one-two', 'three four'],
      cut: false,
    });
  });

  test.each(['W'.repeat(200), 'word '.repeat(40), 'i'.repeat(200), '-'.repeat(200), `a ${'W'.repeat(90)} b`])(
    'are no wider than they may be, and cut where they run out: %s',
    (text) => {
      const { lines, cut } = linesOf(text, setting);
      expect([lines.length, cut]).toEqual([2, true]);
      expect(lines.at(-1)).toMatch(/…$/);
      for (const line of lines) expect(widthOf(line, 40, 600)).toBeLessThanOrEqual(300);
    },
  );

  test('are as large as fits', () => {
    const fit = { width: 300, weight: 600, lines: () => 1 } as const;
    expect(fitted('short', [80, 40], fit).size).toBe(80);
    expect(fitted('a little longer', [80, 40], fit).size).toBe(40);
    expect(fitted('much longer than anything', [80, 40], fit)).toEqual({
      size: 40,
      lines: [expect.stringMatching(/…$/)],
    });
  });
});

test('text in a picture is escaped', () => {
  expect(textAt('<a href="x">&\'', { x: 1, y: 2, size: 3, fill: '#000' })).toContain(
    '>&lt;a href=&quot;x&quot;&gt;&amp;&#39;</text>',
  );
});
