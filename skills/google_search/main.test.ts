import { expect, test } from 'vitest';
import { run } from './main.ts';

type Found = { total_results: number; duplicates_removed: number; results: Record<string, unknown>[] };
const search = (results: unknown[], options = {}): Found =>
  run({ query: 'self hosted cloud', answer: { results }, ...options }) as Found;
const links = (found: Found): unknown[] => found.results.map(({ link }) => link);

test('the same page found under several addresses is one result with all of its engines', () => {
  const found = search([
    { title: 'A cloud', url: 'https://www.example.com/a/?utm_source=x#top', content: 'Short', engines: ['google'] },
    { title: 'Another', url: 'https://other.example/', engines: ['bing'] },
    { title: 'A cloud', url: 'https://example.com/a', content: 'A longer snippet', engine: 'bing' },
  ]);
  expect(found).toMatchObject({ total_results: 2, duplicates_removed: 1 });
  expect(found.results[0]).toMatchObject({
    rank: 1,
    link: 'https://www.example.com/a/',
    domain: 'example.com',
    snippet: 'A longer snippet',
    engines: ['google', 'bing'],
  });
});

test('what several engines found and what has the words of the query stands before what only came first', () => {
  const found = search([
    { title: 'Weather', url: 'https://weather.example/', engines: ['google'] },
    { title: 'Self hosted cloud', url: 'https://cloud.example/', engines: ['google', 'bing', 'brave'] },
  ]);
  expect(links(found)).toEqual(['https://cloud.example/', 'https://weather.example/']);
});

test('markup, control characters and what leads nowhere on the web are left out', () => {
  const found = search([
    { title: '<b>Self</b> &amp; hosted\u0007', url: 'https://a.example/', content: '<script>x</script> text' },
    { title: 'No', url: 'javascript:alert(1)' },
    { title: 'No', url: 'https://user:secret@a.example/' },
    { title: 'No' },
    null,
    'text',
  ]);
  expect(found.results).toMatchObject([{ title: 'Self & hosted', snippet: 'x text' }]);
  expect(found.results).toHaveLength(1);
});

test('results can be kept to one site, and to a number', () => {
  const results = ['https://a.example/1', 'https://docs.a.example/2', 'https://nota.example/3'].map((url) => ({ url }));
  expect(links(search(results, { site: 'a.example' }))).toEqual(['https://a.example/1', 'https://docs.a.example/2']);
  expect(search(results, { num_results: 1 })).toMatchObject({ total_results: 3, results: { length: 1 } });
});

test('an answer that is none is refused', () => {
  expect(() => run({ query: 'a', answer: {} })).toThrow('no list of results');
  expect(() => run({ query: 'a' })).toThrow('no list of results');
});

test('dates, answers and suggestions come along where they can be read', () =>
  expect(
    run({
      query: 'a',
      answer: {
        results: [{ url: 'https://a.example/', publishedDate: '2026-03-18T12:00:00' }],
        answers: [{ answer: 'It is 42' }, 'Forty-two', 7],
        suggestions: ['b', '', {}],
      },
    }),
  ).toMatchObject({
    answers: ['It is 42', 'Forty-two'],
    suggestions: ['b'],
    results: [{ published_at: expect.stringMatching(/^2026-03-18T/) }],
  }));
