import { z } from 'zod';
import { FORMULA, type Grid } from '../../domains/grid/index.ts';
import { SECOND } from '../../kernel/time.ts';
import { ok, route, type Route } from '../contract.ts';
import { naive, zoned } from './present.ts';
import { presentFactors, presentPenalties } from './present-cri.ts';
import { LOOK_LIMIT, Timestamp } from './wire.ts';

const TAG = 'Grid: reputation';
const MAX_TOKEN_LENGTH = 4_096;
const VERIFY_PATH = '/v1/cri/verify';
const KEY_PATH = '/.well-known/jwks.json';

const NodeParams = z.object({ node_id: z.string() });

/** One part of the index; further fields tell what it comes from. */
export const Part = z.looseObject({ value: z.number(), max: z.number(), description: z.string() });
const CriShown = z.object({
  node_id: z.string(),
  cri_score: z.number().meta({ examples: [30] }),
  computed_at: z.string().meta({ examples: ['2026-03-18T12:00:00.000000Z'] }),
  factors: z.object({
    base: Part,
    transaction_score: Part,
    diversity_score: Part,
    volume_score: Part,
    age_score: Part,
    buyer_activity: Part,
    genesis_bonus: Part,
  }),
  penalties: z.object({ dispute_penalty: Part, concentration_penalty: Part, strike_penalty: Part }),
  decay: z.number().meta({ description: 'What is left of it after more than 90 days without a trade.' }),
  genesis_floor: z.number().nullable().meta({ description: 'The least that it is, for a founder.' }),
  formula: z.string(),
});
const CertificateShown = z.object({
  certificate: z.string(),
  node_id: z.string(),
  cri_score: z.number(),
  valid_until: z.int().meta({ description: 'Seconds since 1970.' }),
  verify_url: z.url(),
  public_key_url: z.url(),
});
const Verdict = z.union([
  z.object({
    valid: z.literal(true),
    node_id: z.string(),
    cri_score: z.number(),
    cri_factors: z.record(z.string(), z.number()),
    cri_penalties: z.record(z.string(), z.number()),
    history: z.record(z.string(), z.unknown()),
    issued_at: z.int(),
    expires_at: z.int(),
    issuer: z.string(),
  }),
  z.object({ valid: z.literal(false), error: z.string() }),
]);
/** What is in a certificate that we have signed. */
const Certified = z.object({
  sub: z.string(),
  cri: z.object({
    score: z.number(),
    factors: z.record(z.string(), z.number()),
    penalties: z.record(z.string(), z.number()),
  }),
  history: z.record(z.string(), z.unknown()),
  iat: z.int(),
  exp: z.int(),
  iss: z.string(),
});

type Domains = { grid: Grid; publicUrl: () => string };

const criRoute = ({ grid }: Domains): Route =>
  route({
    method: 'GET',
    path: '/v1/nodes/:node_id/cri',
    tag: TAG,
    summary: 'A node’s reputation index, and what it is made of',
    access: 'public',
    addressLimit: LOOK_LIMIT,
    params: NodeParams,
    fails: ['not_found'],
    replies: { 200: { description: 'The index', schema: CriShown } },
    handle: async (op, { params }) => {
      const rating = await grid.reputation.rating(op, params.node_id);
      const { node, cri } = rating;
      return ok({
        node_id: node.id,
        cri_score: cri.score,
        computed_at: zoned(op.now),
        factors: presentFactors(rating, op.now),
        penalties: presentPenalties(rating),
        decay: Math.round(cri.decay * 10_000) / 10_000,
        genesis_floor: cri.floor ?? null,
        formula: FORMULA,
      } satisfies z.input<typeof CriShown>);
    },
  });

const certificateRoute = ({ grid, publicUrl }: Domains): Route =>
  route({
    method: 'GET',
    path: '/v1/nodes/:node_id/cri/certificate',
    tag: TAG,
    summary: 'A signed statement of a node’s reputation',
    description: 'A token (RS256) that anybody can check with the published key, for an hour.',
    access: 'public',
    addressLimit: LOOK_LIMIT,
    params: NodeParams,
    fails: ['not_found'],
    replies: { 200: { description: 'The certificate', schema: CertificateShown } },
    handle: async (op, { params }) => {
      const { token, rating, validUntil } = await grid.reputation.certify(op, params.node_id);
      return ok({
        certificate: token,
        node_id: rating.node.id,
        cri_score: rating.cri.score,
        valid_until: validUntil.getTime() / SECOND,
        verify_url: publicUrl() + VERIFY_PATH,
        public_key_url: publicUrl() + KEY_PATH,
      } satisfies z.input<typeof CertificateShown>);
    },
  });

const verifyRoute = ({ grid }: Domains): Route =>
  route({
    method: 'POST',
    path: VERIFY_PATH,
    tag: TAG,
    summary: 'Check a certificate',
    access: 'public',
    body: z.object({ token: z.string().min(1).max(MAX_TOKEN_LENGTH) }),
    replies: { 200: { description: 'What it says, if it holds', schema: Verdict } },
    handle: async (op, { body }) => {
      const certified = Certified.safeParse(await grid.reputation.readCertificate(op, body.token));
      if (!certified.success)
        return ok({ valid: false, error: 'The certificate is not one of ours, was changed, or has expired' });
      const { sub, cri, history, iat, exp, iss } = certified.data;
      return ok({
        valid: true,
        node_id: sub,
        cri_score: cri.score,
        cri_factors: cri.factors,
        cri_penalties: cri.penalties,
        history,
        issued_at: iat,
        expires_at: exp,
        issuer: iss,
      } satisfies z.input<typeof Verdict>);
    },
  });

const Founder = z.object({ rank: z.int(), node_id: z.string(), name: z.string().nullable(), awarded_at: Timestamp });
const genesisRoute = ({ grid }: Domains): Route =>
  route({
    method: 'GET',
    path: '/v1/genesis',
    tag: TAG,
    summary: 'The founders, the first one first',
    access: 'public',
    replies: { 200: { description: 'The founders', schema: z.array(Founder) } },
    handle: async () =>
      ok(
        (await grid.reputation.genesis()).map(({ rank, nodeId, name, at }) => ({
          rank,
          node_id: nodeId,
          name: name ?? null,
          awarded_at: naive(at),
        })) satisfies z.input<typeof Founder>[],
      ),
  });

export const reputationRoutes = (domains: Domains): Route[] => [
  criRoute(domains),
  certificateRoute(domains),
  verifyRoute(domains),
  genesisRoute(domains),
];
