import { z } from 'zod';
import { ok, route, type Answer, type Route } from '../contract.ts';
import { Timestamp } from './wire.ts';

const Health = z.object({
  status: z.enum(['ok', 'error']),
  service: z.literal('freehold'),
  version: z.string().meta({ examples: ['0.1.0'] }),
  timestamp: Timestamp,
});
const RETRY_SECONDS = '5';

export type HealthDomains = {
  version: string;
  /** Throws where the database does not answer. */
  ping: () => Promise<void>;
};

/** The same at the root is every contract's, so it stands with the pages. */
export const healthRoute = ({ version, ping }: HealthDomains): Route =>
  route({
    method: 'GET',
    path: '/api/v1/health',
    tag: 'Health',
    summary: 'Whether the server works',
    access: 'public',
    replies: {
      200: { description: 'It works', schema: Health },
      503: { description: 'The database does not answer', schema: Health },
    },
    handle: async (op): Promise<Answer> => {
      const works = await ping().then(
        () => true,
        () => false, // why it does not answer stands in the log of whoever asked it
      );
      const body: z.input<typeof Health> = {
        status: works ? 'ok' : 'error',
        service: 'freehold',
        version,
        timestamp: op.now.toISOString(),
      };
      return works ? ok(body) : { status: 503, body, headers: { 'retry-after': RETRY_SECONDS } };
    },
  });
