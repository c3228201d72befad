import type { Answer, Frame, FramedRequest } from '../contract.ts';

/** The one version of the protocol there is. */
const VERSION = '2026-03-18';
const SAFE_VERSION = /^[\w.-]{1,40}$/;
const MISSION = '/mission.json';

/** What people's programs call themselves. Whoever also says `mcp` is an agent all the same. */
const BROWSER = /chrome|firefox|safari|edge/;
const AGENT = /mcp/;
/** What browsers are not refused here: images in pages, the operator's own page, and what refuses everybody itself. */
const FOR_PEOPLE = /^\/v1\/(node\/[^/]+\/badge\.svg|admin\/dashboard|mission-protocol)$/;

/** What nobody needs to say to a node, and whoever takes one over would. */
const HOSTILE = [
  'ignore previous',
  'ignore all',
  'ignore above',
  'disregard previous',
  'disregard all',
  'disregard above',
  'system prompt',
  'system message',
  'system instruction',
  'dan mode',
  'jailbreak',
  'bypass filter',
  'you are now',
  'act as if',
  'pretend you',
  'sudo',
  'override',
  'admin mode',
  'reveal your',
  'show your prompt',
  'repeat your instructions',
];

/** The headers, the refusal of browsers and the guardian: on the grid's own paths only, and the headers on `/health`. */
export const gridFrame = (publicUrl: () => string): Frame => ({
  headers: (request) => ({
    'vmp-version': VERSION,
    'vmp-min-version': VERSION,
    'x-response-time-ms': request.tookMs.toFixed(2),
    ...versionWarning(request),
    ...(isMachinePath(request) && {
      'x-accepts-payment': 'Ticks ($TCK$)',
      link: `<${publicUrl()}${MISSION}>; rel="bot-economy-standard"`,
      'x-botnode-genesis': 'Solving the Biological Friction',
    }),
  }),
  shared: ['/health'],
  refuse: (request) => {
    if (!isMachinePath(request)) return undefined;
    if (isBrowser(request)) return noBrowsers(publicUrl());
    return request.method === 'POST' && isHostile(request.body) ? REJECTED : undefined;
  },
});

const isMachinePath = ({ path }: FramedRequest): boolean => path.startsWith('/v1/');

function versionWarning({ headers }: FramedRequest): Record<string, string> {
  const asked = headers['vmp-version'];
  if (typeof asked !== 'string' || asked === VERSION) return {};
  // Only what may stand in a header is repeated.
  const named = SAFE_VERSION.test(asked) ? `version ${asked}` : 'another version';
  return { 'vmp-version-warning': `You asked for ${named}; this server speaks ${VERSION} only` };
}

function isBrowser({ headers, path }: FramedRequest): boolean {
  const agent = headers['user-agent']?.toString().toLowerCase() ?? '';
  return BROWSER.test(agent) && !AGENT.test(agent) && !FOR_PEOPLE.test(path);
}

const noBrowsers = (publicUrl: string): Answer => ({
  status: 406,
  body: {
    error: 'Human interface not supported',
    mission_protocol: publicUrl + MISSION,
    reason: 'Everything below /v1 is for machines: call it with a client that does not say it is a browser.',
  },
});

const REJECTED: Answer = { status: 403, body: { error: 'Guardian: request rejected' } };

/** Every text in it, names of fields too, once its escapes are read, so that none hides a word. */
function isHostile(body: unknown): boolean {
  const pending = [body];
  while (pending.length > 0) {
    const value = pending.pop();
    if (typeof value === 'string' && saysHostile(value)) return true;
    if (typeof value !== 'object' || value === null) continue;
    if (!Array.isArray(value) && Object.keys(value).some(saysHostile)) return true;
    // One after the other: what is spread into an argument list has a bound.
    for (const part of Object.values(value)) pending.push(part);
  }
  return false;
}

function saysHostile(text: string): boolean {
  const lower = text.toLowerCase();
  return HOSTILE.some((phrase) => lower.includes(phrase));
}
