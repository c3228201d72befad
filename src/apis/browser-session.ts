import type { FastifyRequest } from 'fastify';
import type { Op } from '../kernel/op.ts';
import { cookieIn, type BrowserSession } from './contract.ts';

/** Whether a request that shows no other credential has the cookie of a session that stands. */
export async function hasSession(
  session: BrowserSession | undefined,
  { headers }: FastifyRequest,
  op: Op,
): Promise<boolean> {
  if (!session || headers.authorization !== undefined || headers['x-api-key'] !== undefined) return false;
  const value = cookieIn(headers, session.cookie);
  return value !== undefined && session.stands(op, value);
}

/** Whether a person's browser asks, which has no use for JSON. */
export const asksForPage = ({ headers }: FastifyRequest): boolean => headers.accept?.includes('text/html') === true;
