import { z } from 'zod';
import { MAX_VALIDATOR_NAME_LENGTH, VALIDATOR_TYPES, type Grid } from '../../domains/grid/index.ts';
import { MINUTE } from '../../kernel/time.ts';
import { ok, type Route } from '../contract.ts';
import { nodeRoute } from './auth.ts';
import { Json } from './escrow-wire.ts';
import { Uuid } from './wire.ts';

const TAG = 'Grid: validators';
const CREATE_LIMIT = { name: 'grid-validators', max: 20, windowMs: MINUTE };

const Create = z.object({
  name: z.string().min(1).max(MAX_VALIDATOR_NAME_LENGTH),
  type: z.enum(VALIDATOR_TYPES),
  config: Json.meta({
    description:
      '`{schema}`: JSON Schema Draft-07. `{pattern, field?}`: a regular expression. `{url}`: gets `{output}` by POST ' +
      'and answers `{result: PASS|FAIL|INCONCLUSIVE, details}`.',
    examples: [{ pattern: '^[A-Z]', field: 'text' }],
  }),
});
const CreateShown = z.object({ validator_id: Uuid, name: z.string(), type: z.enum(VALIDATOR_TYPES) });
const ListShown = z.object({
  validators: z.array(z.object({ id: Uuid, name: z.string(), type: z.enum(VALIDATOR_TYPES), config: Json })),
});

export const validatorRoutes = ({ grid }: { grid: Grid }): Route[] => [
  nodeRoute(grid, {
    method: 'POST',
    path: '/v1/validators',
    tag: TAG,
    summary: 'Keep a condition that deliveries to this node have to meet',
    description: 'Name it in `validator_ids` of a task. What it fails is refunded; what it cannot judge is not.',
    nodeLimit: CREATE_LIMIT,
    idempotent: true,
    body: Create,
    fails: ['invalid'],
    replies: { 200: { description: 'The validator', schema: CreateShown } },
    handle: async (op, { body }) => {
      const { id, name, type } = await grid.escrow.createValidator(op, body);
      return ok({ validator_id: id, name, type } satisfies z.input<typeof CreateShown>);
    },
  }),
  nodeRoute(grid, {
    method: 'GET',
    path: '/v1/validators',
    tag: TAG,
    summary: 'The validators of this node',
    replies: { 200: { description: 'Oldest first', schema: ListShown } },
    handle: async (op) => {
      const validators = await grid.escrow.listValidators(op);
      return ok({
        validators: validators.map(({ id, name, type, config }) => ({ id, name, type, config })),
      } satisfies z.input<typeof ListShown>);
    },
  }),
];
