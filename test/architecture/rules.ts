import { functionsOf, importsOf, isTest, withoutComments, type Import, type Source } from './source.ts';

/** Domains that stand on others; all others stand on none. */
const STANDS_ON: Record<string, string[]> = {
  sandboxes: ['machines', 'ledger'],
  compute: ['machines', 'ledger'],
  environments: ['machines', 'ledger'],
  payments: ['ledger'],
  apps: ['machines', 'ledger'],
  models: ['ledger'],
  tasks: ['machines', 'models', 'ledger'],
  bots: ['tasks', 'machines', 'models'],
  grid: ['ledger', 'identity', 'machines', 'webhooks'],
  billing: ['ledger', 'identity'],
};

/** What may import everything: it puts the parts together. */
const COMPOSITION = new Set(['src/app.ts', 'src/wiring.ts', 'src/main.ts']);
/** Only the platform touches databases and sockets; these packages do. */
const PLATFORM_PACKAGES =
  /^(pg|kysely|pg-boss|undici|pino|fastify)(\/|$)|^node:(http|https|http2|net|tls|dgram|dns)(\/|$)/;

/** Imports that the table of ARCHITECTURE.md does not allow, as sentences. */
export const forbiddenImports = (sources: Source[]): string[] =>
  sources
    .filter(({ path }) => !isTest(path) && !COMPOSITION.has(path))
    .flatMap(importsOf)
    .filter((imported) => !isAllowed(imported))
    .map(({ from, to }) => `${from} must not import ${to}`);

function isAllowed({ from, to }: Import): boolean {
  const [, area = '', name = ''] = from.split('/');
  const within = (...folders: string[]): boolean => folders.some((folder) => to.startsWith(`src/${folder}/`));
  const isOurs = to.startsWith('src/');
  switch (area) {
    case 'kernel':
      return isOurs ? within('kernel') : to === 'node:crypto';
    case 'platform':
      return !isOurs || within('kernel', 'platform');
    case 'domains':
      return isOurs
        ? within('kernel', 'platform', `domains/${name}`) || isDoorBelow(name, to)
        : !PLATFORM_PACKAGES.test(to);
    case 'apis':
      // The files beside the contracts' folders are the edge that serves them.
      if (name.endsWith('.ts')) return !isOurs || within('kernel', 'platform') || isEdge(to);
      return isOurs
        ? within('kernel', `apis/${name}`) || isDoor(to) || to === 'src/apis/contract.ts'
        : isPureForApis(to);
    case 'web':
      return isOurs ? within('kernel', area) || isDoor(to) || isTable(to) : isPureForWeb(to);
    case 'proxy':
      // An edge as well: it speaks with connections where the contracts' edge speaks with routes.
      return isOurs ? within('kernel', 'platform', area) || isDoor(to) || isTable(to) : isPureForApis(to);
    case 'cli':
      // A client of the public API and nothing else, which starts at once because it loads no package.
      return isOurs ? within('kernel', 'cli') : isOfNode(to) || to === 'package.json';
    default:
      return !isOurs;
  }
}

/** The route table, and the document that is made of it. */
const isTable = (path: string): boolean => path === 'src/apis/contract.ts' || path === 'src/apis/openapi.ts';
const isEdge = (path: string): boolean => /^src\/apis\/[^/]+$/.test(path);
const isDoor = (path: string): boolean => /^src\/domains\/[^/]+\/index\.ts$/.test(path);
const isDoorBelow = (domain: string, path: string): boolean =>
  isDoor(path) && (STANDS_ON[domain] ?? []).some((below) => path === `src/domains/${below}/index.ts`);
const isOfNode = (name: string): boolean => name.startsWith('node:') && !PLATFORM_PACKAGES.test(name);
/** What computes and touches nothing. */
const isPureForApis = (name: string): boolean =>
  name === 'zod' || name === '@fastify/busboy' || /^node:(buffer|crypto|fs|path|stream|url|zlib)/.test(name);
/** And what turns words into documents and pictures. */
const isPureForWeb = (name: string): boolean =>
  isPureForApis(name) || ['markdown-it', 'yaml', 'pdfkit', 'fontkit', '@resvg/resvg-js'].includes(name);

const DRAWER = /(^|\/)(utils?|helpers?|common|shared|misc|types)(\/|\.ts$)/;
const GRAND_NAME = /\b(?:class|interface|type|const|function)\s+(\w+(?:Service|Manager|Helper|Util))\b/g;

/** Files and nouns whose name says nothing about what they hold. */
export const emptyNames = (sources: Source[]): string[] =>
  sources.flatMap(({ path, text }) => [
    ...(DRAWER.test(path) ? [`${path} is a drawer: put each function with its noun`] : []),
    ...[...text.matchAll(GRAND_NAME)].map(([, name]) => `${path} names ${name}: name the noun or the verb`),
  ]);

const findings = (
  sources: Source[],
  pattern: RegExp,
  says: (found: string) => string,
  where: (path: string) => boolean,
): string[] =>
  sources
    .filter(({ path }) => where(path) && !isTest(path))
    .flatMap(({ path, text }) =>
      withoutComments(text)
        .split('\n')
        .flatMap((line, index) => {
          const found = pattern.exec(line)?.[0];
          return found === undefined ? [] : [`${path}:${index + 1} ${says(found)}`];
        }),
    );

const CLOCK = /\bDate\.now\(|\bnew Date\(\)|\bperformance\.now\(|\bprocess\.hrtime\b/;
const ENVIRONMENT = /\bprocess\.env\b/;
const TOUCHES_THE_WORLD = /^src\/(platform\/|config\.ts$|main\.ts$|cli\/main\.ts$)/;

/** Clocks and environment variables that are read outside the platform. */
export const ambientReads = (sources: Source[]): string[] => [
  ...findings(
    sources,
    CLOCK,
    (found) => `reads the clock: ${found}`,
    (path) => !TOUCHES_THE_WORLD.test(path),
  ),
  ...findings(
    sources,
    ENVIRONMENT,
    (found) => `reads the environment: ${found}`,
    (path) => !TOUCHES_THE_WORLD.test(path),
  ),
];

const SQL =
  /\.query[<(]|\bsql`|\.(selectFrom|insertInto|updateTable|deleteFrom)\(|\.tables<|['"`]\s*(select|insert into|update|delete from)\s/;
/** Stores, and the ledger's proof, which is one statement over its tables. */
const MAY_SPEAK_SQL = /^src\/(platform\/|domains\/([^/]+\/(.+\/)?(store|[a-z-]+-store)|ledger\/reconcile)\.ts$)/;

/** SQL outside the files that own tables. */
export const strayQueries = (sources: Source[]): string[] =>
  findings(
    sources,
    SQL,
    (found) => `speaks SQL outside a store: ${found}`,
    (path) => !MAY_SPEAK_SQL.test(path),
  );

const BOOKING =
  /\blegs\s*:|\bledger\s*\.\s*(transfer|transferAll|submit|hold|submitHold|postHold|voidHold|submitResolution)\(/;
/** What serves callers: whatever it has booked, a domain has a verb for. */
const SERVES = /^src\/(apis|web|proxy|cli)\//;

/** Money that is moved outside the domains. */
export const strayBookings = (sources: Source[]): string[] =>
  findings(
    sources,
    BOOKING,
    (found) => `books money outside a domain: ${found}`,
    (path) => SERVES.test(path),
  );

const PROMISE = /\b(TODO|FIXME|XXX|HACK)\b/;

/** Work that was left for later. */
export const leftForLater = (sources: Source[]): string[] =>
  sources.flatMap(({ path, text }) =>
    text.split('\n').flatMap((line, index) => (PROMISE.test(line) ? [`${path}:${index + 1} is left for later`] : [])),
  );

/** How large things may be. `larger` names what is larger than that, with the size it may not pass. */
export type Budget = { fileLines: number; functionLines: number; larger: Record<string, number> };

/** What is larger than the budget allows, and what the budget allows without need: it only ever shrinks. */
export function overBudget(sources: Source[], budget: Budget): string[] {
  const sizes = new Map<string, { lines: number; limit: number }>();
  for (const source of sources) {
    sizes.set(source.path, { lines: source.text.trimEnd().split('\n').length, limit: budget.fileLines });
    // A `describe` block is no function to be understood at once.
    if (isTest(source.path)) continue;
    const longest = functionsOf(source).reduce((most, { lines }) => Math.max(most, lines), 0);
    sizes.set(`${source.path} function`, { lines: longest, limit: budget.functionLines });
  }
  const tooLarge = [...sizes].flatMap(([name, { lines, limit }]) => {
    const allowed = budget.larger[name] ?? limit;
    return lines > allowed ? [`${name} has ${lines} lines, more than ${allowed}`] : [];
  });
  const tooGenerous = Object.entries(budget.larger).flatMap(([name, allowed]) => {
    const { lines, limit } = sizes.get(name) ?? { lines: 0, limit: 0 };
    if (lines <= limit) return [`${name} needs no place in the budget any more`];
    return lines < allowed ? [`${name} has shrunk: set its budget to ${lines}`] : [];
  });
  return [...tooLarge, ...tooGenerous];
}
