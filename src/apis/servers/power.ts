import { z } from 'zod';
import type { Compute } from '../../domains/compute/index.ts';
import { fingerprintOf } from '../../domains/machines/index.ts';
import { ok, route, type Route } from '../contract.ts';
import { presentServer } from './present.ts';
import { IdParams, LOOK, RENT, ServerShown, SshKey } from './wire.ts';

const TAG = 'Servers';
const EXTENSION = 'Beyond the contract’s document.';

const Switched = z.object({ server: ServerShown });
const KeyBody = z.object({ sshKey: SshKey });
const Rekeyed = z.object({
  fingerprint: z.string().meta({
    description: 'Of the key, as `ssh-keygen -l` shows it.',
    examples: ['SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU'],
  }),
});
const Console = z.object({ console: z.string() });

const SWITCHES = [
  {
    verb: 'reboot',
    summary: 'Reboot a server',
    about:
      'All its programs end, after three seconds by force, and it starts from its disk; then `/etc/rc.local` runs.',
  },
  {
    verb: 'stop',
    summary: 'Switch a server off',
    about: 'Its disk and its address stay its own, so it is paid for as before.',
  },
  { verb: 'start', summary: 'Switch a server on', about: 'Then `/etc/rc.local` runs.' },
] as const;

export const powerRoutes = ({ compute }: { compute: Compute }): Route[] => {
  const switches = { reboot: compute.reboot, stop: compute.powerOff, start: compute.powerOn };
  return [
    ...SWITCHES.map(({ verb, summary, about }) =>
      route({
        method: 'POST',
        path: `/servers/:id/${verb}`,
        tag: TAG,
        summary,
        description: `${about} ${EXTENSION}`,
        access: 'account',
        scopes: RENT,
        params: IdParams,
        fails: ['conflict'],
        replies: { 200: { description: 'The server as it is now', schema: Switched } },
        handle: async (op, { params }) => {
          const server = await switches[verb](op, 'hourly', params.id);
          return ok({ server: presentServer(server, await compute.access(op, server)) });
        },
      }),
    ),
    route({
      method: 'PUT',
      path: '/servers/:id/ssh-key',
      tag: TAG,
      summary: 'Change the key that root comes in by',
      description: `The key, or the password, that it had opens it no more; whoever is inside stays. Keys that you put into the server yourself go on working. ${EXTENSION}`,
      access: 'account',
      scopes: RENT,
      params: IdParams,
      body: KeyBody,
      fails: ['conflict'],
      replies: { 200: { description: 'The new key opens it', schema: Rekeyed } },
      handle: async (op, { params, body }) => {
        const { authorizedKeys } = await compute.rotateKey(op, 'hourly', params.id, {
          key: body.sshKey,
          field: 'sshKey',
        });
        return ok({ fingerprint: fingerprintOf(authorizedKeys[0] ?? '') });
      },
    }),
    route({
      method: 'GET',
      path: '/servers/:id/console',
      tag: TAG,
      summary: 'Show the end of a server’s console',
      description: `What it has printed while it started: \`/var/log/console.log\`, where \`/etc/rc.local\` writes too. ${EXTENSION}`,
      access: 'account',
      scopes: LOOK,
      params: IdParams,
      fails: ['conflict'],
      replies: { 200: { description: 'The text', schema: Console } },
      handle: async (op, { params }) => ok({ console: await compute.console(op, 'hourly', params.id) }),
    }),
  ];
};
