import type { z } from 'zod';
import type { Grid, NodeOp } from '../../domains/grid/index.ts';
import type { Scope } from '../../kernel/op.ts';
import type { AddressLimit, Answer, Route, RouteSpec } from '../contract.ts';
import { route } from '../contract.ts';

/** Looking asks for `read`; who may change things may look at them too. */
const READ: readonly Scope[] = ['read', 'write'];
const WRITE: readonly Scope[] = ['write'];

type NodeRouteSpec<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType> = Omit<
  RouteSpec<'account', P, Q, B, false>,
  'access' | 'enter' | 'handle'
> & {
  /** Only a key lets one in, and no session token. */
  keyOnly?: true;
  /** Requests of one node. */
  nodeLimit?: AddressLimit;
  handle(op: NodeOp, input: { params: z.output<P>; query: z.output<Q>; body: z.output<B> }): Promise<Answer>;
};

/** Declares a route that an account calls as its node. */
export function nodeRoute<
  P extends z.ZodType = z.ZodType<unknown>,
  Q extends z.ZodType = z.ZodType<unknown>,
  B extends z.ZodType = z.ZodType<unknown>,
>({ nodes }: Pick<Grid, 'nodes'>, spec: NodeRouteSpec<P, Q, B>): Route {
  const { keyOnly = false, nodeLimit: limit, handle, ...rest } = spec;
  const scopes = spec.method === 'GET' ? READ : WRITE;
  return route<'account', P, Q, B, false, NodeOp>({
    scopes,
    ...rest,
    access: 'account',
    enter: (op) => nodes.enter(op, { keyOnly }),
    handle: async (op, input) => {
      if (limit) await nodes.count(op, limit);
      return handle(op, input);
    },
  });
}
