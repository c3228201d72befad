/**
 * Makes one clean list out of what a search engine answers. The engine is asked by the server outside: this machine
 * reaches nothing. What it answered is made of strangers' pages, and is taken apart here.
 */
import { count, fieldsOf, optionalText, Refusal, requiredText } from '../input.ts';
import { isWithin, keyOf, linkOf } from './link.ts';

const FIELDS = ['query', 'num_results', 'site', 'page', 'language', 'time_range', 'answer'];
const MAX_QUERY_LENGTH = 400;
const MAX_SITE_LENGTH = 253;
const MAX_RESULTS = 50;
const USUAL_RESULTS = 10;
/** Hits of an answer that are looked at. */
const MAX_HITS = 500;
const MAX_TITLE_LENGTH = 300;
const MAX_SNIPPET_LENGTH = 1_000;
const MAX_SUGGESTIONS = 10;
const MAX_ENGINES = 20;

/** What a place in the list is worth, and what each further engine that found the same adds. */
const PLACE_WORTH = 1;
const ENGINE_WORTH = 0.35;
/** What the words of the query add, where all of them stand in the title or in the snippet. */
const TITLE_WORTH = 0.5;
const SNIPPET_WORTH = 0.25;

type Hit = {
  key: string;
  title: string;
  link: string;
  domain: string;
  snippet: string;
  engines: string[];
  published_at: string | null;
  score: number;
};

export function run(input: unknown): unknown {
  const fields = fieldsOf(input, FIELDS);
  const query = requiredText(fields, ['query'], MAX_QUERY_LENGTH);
  const most = count(fields, 'num_results', { fallback: USUAL_RESULTS, most: MAX_RESULTS });
  const site = optionalText(fields, 'site', MAX_SITE_LENGTH)?.toLowerCase();
  const { results, suggestions, answers } = answerOf(fields['answer']);
  const words = wordsOf(query);
  const hits = merged(results.slice(0, MAX_HITS).flatMap((result, place) => hitOf(result, place, words) ?? []));
  const wanted = site === undefined ? hits : hits.filter(({ domain }) => isWithin(domain, site));
  const ranked = wanted.sort((a, b) => b.score - a.score);
  return {
    query,
    total_results: ranked.length,
    duplicates_removed: Math.min(results.length, MAX_HITS) - hits.length,
    results: ranked.slice(0, most).map(({ key: _key, score, ...hit }, index) => ({
      rank: index + 1,
      ...hit,
      score: Math.round(score * 1_000) / 1_000,
    })),
    answers: textsIn(answers, MAX_SNIPPET_LENGTH),
    suggestions: textsIn(suggestions, MAX_TITLE_LENGTH),
  };
}

function answerOf(answer: unknown): { results: unknown[]; suggestions: unknown; answers: unknown } {
  const { results, suggestions, answers } = (answer ?? {}) as Record<string, unknown>;
  if (!Array.isArray(results)) throw new Refusal('The search engine answered with no list of results');
  return { results, suggestions, answers };
}

/** Undefined for what leads nowhere on the web. */
function hitOf(result: unknown, place: number, words: readonly string[]): Hit | undefined {
  if (typeof result !== 'object' || result === null) return undefined;
  const { title, url, content, engine, engines, publishedDate } = result as Record<string, unknown>;
  const link = linkOf(url);
  if (!link) return undefined;
  const snippet = plain(content, MAX_SNIPPET_LENGTH);
  const named = plain(title, MAX_TITLE_LENGTH) || link.hostname;
  const score = PLACE_WORTH / (place + 1) + worthOfWords(words, named, snippet);
  return {
    key: keyOf(link),
    title: named,
    link: link.href,
    domain: link.hostname.replace(/^www\./, ''),
    snippet,
    engines: enginesOf(engines, engine),
    published_at: dateOf(publishedDate),
    score,
  };
}

/** The same page found twice is one hit: the better of the two places, and all who found it. */
function merged(hits: readonly Hit[]): Hit[] {
  const kept = new Map<string, Hit>();
  for (const hit of hits) {
    const before = kept.get(hit.key);
    kept.set(hit.key, before ? together(before, hit) : hit);
  }
  return [...kept.values()].map((hit) => ({
    ...hit,
    score: hit.score + ENGINE_WORTH * Math.max(0, hit.engines.length - 1),
  }));
}

const together = (first: Hit, second: Hit): Hit => ({
  ...first,
  snippet: second.snippet.length > first.snippet.length ? second.snippet : first.snippet,
  engines: [...new Set([...first.engines, ...second.engines])].slice(0, MAX_ENGINES),
  published_at: first.published_at ?? second.published_at,
  score: Math.max(first.score, second.score),
});

const wordsOf = (text: string): string[] => text.toLowerCase().match(/[\p{L}\p{N}]{2,}/gu) ?? [];

function worthOfWords(words: readonly string[], title: string, snippet: string): number {
  if (words.length === 0) return 0;
  const share = (text: string): number => {
    const there = new Set(wordsOf(text));
    return words.filter((word) => there.has(word)).length / words.length;
  };
  return TITLE_WORTH * share(title) + SNIPPET_WORTH * share(snippet);
}

/** Text without markup, control characters and runs of spaces. */
function plain(value: unknown, maxLength: number): string {
  if (typeof value !== 'string') return '';
  const text = value
    .slice(0, maxLength * 10)
    .replaceAll(/<[^>]{0,200}>/g, ' ')
    .replaceAll(/&(amp|lt|gt|quot|#39|nbsp);/g, (_, name: string) => ENTITIES[name] ?? ' ')
    .replaceAll(/[\p{Cc}\p{Cf}\s]+/gu, ' ')
    .trim();
  return text.length > maxLength ? `${text.slice(0, maxLength - 1)}…` : text;
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'", nbsp: ' ' };

const enginesOf = (engines: unknown, engine: unknown): string[] =>
  (Array.isArray(engines) ? engines : [engine])
    .filter((name): name is string => typeof name === 'string' && name.length <= 60)
    .slice(0, MAX_ENGINES);

function dateOf(value: unknown): string | null {
  const at = typeof value === 'string' ? new Date(value) : undefined;
  return at && !Number.isNaN(at.getTime()) ? at.toISOString() : null;
}

/** An answer of SearXNG is a text, or an object that has one. */
const textsIn = (values: unknown, maxLength: number): string[] =>
  (Array.isArray(values) ? values : [])
    .slice(0, MAX_SUGGESTIONS)
    .map((value: unknown) =>
      plain(typeof value === 'object' && value !== null ? Reflect.get(value, 'answer') : value, maxLength),
    )
    .filter((text) => text !== '');
