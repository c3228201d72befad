import { expect, test } from 'vitest';
import { pdfOf } from '../../test/grid/pdf.ts';
import { isoOf } from './metadata.ts';
import { run } from './main.ts';

const base64 = (text: Buffer): string => text.toString('base64');
const PAGES = ['Hello grid', 'The second page\nhas two lines'];

test('the text of each page and what the document says of itself come back', async () => {
  const info = { Title: 'A title', Author: 'An agent', CreationDate: "D:20260318120000+01'00'" };
  const read = await run({ pdf: base64(pdfOf(PAGES, info)) });
  expect(read).toMatchObject({
    total_pages: 2,
    has_text: true,
    truncated: false,
    pages: [
      { page: 1, text: 'Hello grid' },
      { page: 2, text: 'The second page\nhas two lines' },
    ],
    metadata: { title: 'A title', author: 'An agent', created_at: '2026-03-18T11:00:00.000Z', subject: null },
  });
});

test('a part of the pages can be asked for', async () => {
  const pdf = `data:application/pdf;base64,${base64(pdfOf(['one', 'two', 'three']))}`;
  expect(await run({ pdf, first_page: 2, max_pages: 1 })).toMatchObject({
    total_pages: 3,
    truncated: true,
    pages: [{ page: 2, text: 'two' }],
  });
  await expect(run({ pdf, first_page: 4 })).rejects.toThrow('has 3 pages');
});

test('a document whose table of contents is wrong is read all the same', async () => {
  const damaged = pdfOf(PAGES)
    .toString('latin1')
    .replace(/startxref\n\d+/, 'startxref\n7');
  const pdf = base64(Buffer.from(damaged, 'latin1'));
  expect(await run({ pdf })).toMatchObject({ total_pages: 2, pages: [{ text: 'Hello grid' }, {}] });
});

test('what is no document is refused in words', async () => {
  await expect(run({ pdf: 'not base 64!' })).rejects.toThrow('must be base 64');
  await expect(run({ pdf: base64(Buffer.from('hello')) })).rejects.toThrow('no PDF');
  await expect(run({ pdf: base64(Buffer.from('%PDF-1.7 and nothing else')) })).rejects.toThrow('damaged');
  await expect(run({})).rejects.toThrow('pdf is required');
});

test.each([
  ["D:20260318120000-05'30'", '2026-03-18T17:30:00.000Z'],
  ['D:2026', '2026-01-01T00:00:00.000Z'],
  ['20260318', '2026-03-18T00:00:00.000Z'],
  ['yesterday', null],
  ['D:20269999', null],
])('a date written %s is %s', (text, iso) => expect(isoOf(text)).toBe(iso));
