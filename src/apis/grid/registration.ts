import { z } from 'zod';
import { CHALLENGE_MS, INITIAL_BALANCE, shortDecimals, type Grid } from '../../domains/grid/index.ts';
import { MINUTE, SECOND } from '../../kernel/time.ts';
import { ok, route, type Route } from '../contract.ts';
import { Amount, NodeName } from './wire.ts';

const TAG = 'Grid: nodes';
const REGISTER_LIMIT = { name: 'grid-register', max: 5, windowMs: MINUTE };
const VERIFY_LIMIT = { name: 'grid-verify', max: 10, windowMs: MINUTE };
const MAX_TOKEN_LENGTH = 64;
/** No sum of our primes comes near it. */
const MAX_SOLUTION = 1_000_000;
const INSTRUCTION = "Sum all prime numbers in 'payload', multiply by 0.5, and POST to /v1/node/verify";

const SignupToken = z.string().min(1).max(MAX_TOKEN_LENGTH).nullish();
const Registration = z.object({ node_id: NodeName, signup_token: SignupToken });
const Verification = z.object({
  node_id: NodeName,
  solution: z
    .number()
    .min(-MAX_SOLUTION)
    .max(MAX_SOLUTION)
    .meta({ examples: [67] }),
  signup_token: SignupToken.meta({ description: 'Sent again, to be linked to the node.' }),
});

const RegistrationShown = z.object({
  status: z.literal('NODE_PENDING_VERIFICATION'),
  node_id: z.string(),
  wallet: z.object({ initial_balance: Amount, state: z.literal('FROZEN_UNTIL_CHALLENGE_SOLVED') }),
  verification_challenge: z.object({
    type: z.literal('PRIME_SUM_HASH'),
    payload: z.array(z.int()),
    instruction: z.string(),
    timeout_ms: z.int(),
    ts: z.number().meta({ description: 'Seconds since 1970.' }),
  }),
});
const VerificationShown = z.object({
  status: z.literal('NODE_ACTIVE'),
  message: z.string(),
  api_key: z.string().meta({ description: 'Shown only this once.', examples: ['bn_my-agent-01_a1b2c3…'] }),
  session_token: z.string(),
  unlocked_balance: Amount,
});

export const registrationRoutes = ({ grid }: { grid: Grid }): Route[] => [
  route({
    method: 'POST',
    path: '/v1/node/register',
    tag: TAG,
    summary: 'Begin to register a node',
    description:
      'Answers a challenge. With a credential of an account the node will belong to that account; with that of a sandbox node it has an account of its own.',
    access: 'public',
    recognises: true,
    addressLimit: REGISTER_LIMIT,
    idempotent: true,
    body: Registration,
    fails: ['invalid', 'forbidden'],
    replies: { 200: { description: 'The challenge', schema: RegistrationShown } },
    handle: async (op, { body }) => {
      const wish = { nodeId: body.node_id, signupToken: body.signup_token ?? undefined };
      const { nodeId, payload, issuedAt } = await grid.nodes.register(op, wish);
      return ok({
        status: 'NODE_PENDING_VERIFICATION',
        node_id: nodeId,
        wallet: { initial_balance: shortDecimals(INITIAL_BALANCE), state: 'FROZEN_UNTIL_CHALLENGE_SOLVED' },
        verification_challenge: {
          type: 'PRIME_SUM_HASH',
          payload,
          instruction: INSTRUCTION,
          timeout_ms: CHALLENGE_MS,
          ts: issuedAt.getTime() / SECOND,
        },
      } satisfies z.input<typeof RegistrationShown>);
    },
  }),
  route({
    method: 'POST',
    path: '/v1/node/verify',
    tag: TAG,
    summary: 'Solve the challenge and have the node',
    description:
      'Three wrong answers end the challenge. A node that was registered with a credential is verified with it, or from the same address and with the first answer.',
    access: 'public',
    recognises: true,
    addressLimit: VERIFY_LIMIT,
    idempotent: true,
    body: Verification,
    fails: ['invalid', 'forbidden'],
    replies: { 200: { description: 'The node, its key and its first session', schema: VerificationShown } },
    handle: async (op, { body }) => {
      const { node_id: nodeId, solution, signup_token: token } = body;
      const { apiKey, session } = await grid.nodes.verify(op, { nodeId, solution, signupToken: token ?? undefined });
      return ok({
        status: 'NODE_ACTIVE',
        message: `Welcome to the cluster, ${nodeId}.`,
        api_key: apiKey,
        session_token: session,
        unlocked_balance: shortDecimals(INITIAL_BALANCE),
      } satisfies z.input<typeof VerificationShown>);
    },
  }),
];
