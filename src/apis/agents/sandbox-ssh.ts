import { z } from 'zod';
import type { SshAccess } from '../../domains/machines/index.ts';
import { ok, route, type Route } from '../contract.ts';
import type { SandboxDomains } from './sandboxes.ts';
import { Done, EXEC, EXTENSION, LOOK, SANDBOXES } from './sandbox-wire.ts';
import { IdParams } from './wire.ts';

const MAX_KEYS = 64;
const MAX_KEY_LENGTH = 16_384;

const PublicKey = z.string().max(MAX_KEY_LENGTH);
const EXAMPLE_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS me@home';
const HOST_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl';

const SshBody = z.object({
  authorized_keys: z
    .array(PublicKey)
    .min(1)
    .max(MAX_KEYS)
    .meta({
      description:
        'Public keys as in OpenSSH’s file of that name: Ed25519, ECDSA, or RSA from 2048 bits; without options.',
      examples: [[EXAMPLE_KEY]],
    }),
});

const SshShown = z.object({
  host: z.string().meta({ examples: ['freehold.example.com'] }),
  port: z.int().meta({ examples: [20_000] }),
  user: z.string().meta({ examples: ['user'] }),
  fingerprint: z.string().meta({ examples: ['SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU'] }),
  host_keys: z.array(z.string()).meta({ examples: [[HOST_KEY]] }),
  known_hosts: z.string().meta({
    description: 'A line for the client’s file of that name: then StrictHostKeyChecking=yes works at once.',
    examples: [`[freehold.example.com]:20000 ${HOST_KEY}`],
  }),
  command: z.string().meta({ examples: ['ssh -p 20000 user@freehold.example.com'] }),
  authorized_keys: z.array(z.string()).meta({ examples: [[EXAMPLE_KEY]] }),
});

export const sandboxSshRoutes = ({ sandboxes, ssh }: SandboxDomains): Route[] => [
  route({
    method: 'POST',
    path: '/v1/sandboxes/:id/ssh',
    tag: SANDBOXES,
    summary: 'Open a sandbox for SSH, or change whose keys come in',
    description: `The owners of these keys come in, as \`user\` or as \`root\`, and nobody else; whoever is inside stays. The host key stays the same while the sandbox lives. ${EXTENSION}`,
    access: 'account',
    scopes: EXEC,
    params: IdParams,
    body: SshBody,
    fails: ['conflict', 'at_capacity', 'unconfigured'],
    replies: { 200: { description: 'How to get in', schema: SshShown } },
    handle: async (op, { params, body }) => {
      const { machineId } = await sandboxes.working(op, params.id);
      return ok(presentSsh(await ssh.open(op, machineId, { authorizedKeys: body.authorized_keys })));
    },
  }),
  route({
    method: 'GET',
    path: '/v1/sandboxes/:id/ssh',
    tag: SANDBOXES,
    summary: 'Show how to get into a sandbox by SSH',
    description: EXTENSION,
    access: 'account',
    scopes: LOOK,
    params: IdParams,
    replies: { 200: { description: 'How to get in', schema: SshShown } },
    handle: async (op, { params }) => {
      const { machineId } = await sandboxes.get(op, params.id);
      return ok(presentSsh(await ssh.get(op, machineId)));
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/sandboxes/:id/ssh',
    tag: SANDBOXES,
    summary: 'Close a sandbox for SSH',
    description: `Whoever is inside is cut off. ${EXTENSION}`,
    access: 'account',
    scopes: EXEC,
    params: IdParams,
    replies: { 200: { description: 'Nobody comes in any more', schema: Done } },
    handle: async (op, { params }) => {
      const { machineId } = await sandboxes.get(op, params.id);
      await ssh.close(op, machineId);
      return ok({ success: true, message: 'SSH closed' });
    },
  }),
];

const presentSsh = (access: SshAccess): z.input<typeof SshShown> => ({
  host: access.host,
  port: access.port,
  user: access.user,
  fingerprint: access.fingerprint,
  host_keys: access.hostKeys,
  known_hosts: access.knownHosts,
  command: `ssh -p ${access.port} ${access.user}@${access.host}`,
  authorized_keys: access.authorizedKeys,
});
