import { z } from 'zod';
import type { Watch } from '../../domains/machines/index.ts';
import { created, ok, route, type Route } from '../contract.ts';
import { presentFile } from './present-sandbox.ts';
import { FileQuery, FileShown } from './sandbox-files.ts';
import type { SandboxDomains } from './sandboxes.ts';
import { digits, Done, EXEC, EXTENSION, flag, LOOK, SANDBOXES } from './sandbox-wire.ts';
import { eventStream, type ServerEvent } from './sse.ts';
import { IdParams } from './wire.ts';

const RangeQuery = FileQuery.extend({
  offset: digits(Number.MAX_SAFE_INTEGER).optional().meta({ description: 'Bytes from the beginning.' }),
  length: digits(Number.MAX_SAFE_INTEGER).optional().meta({ description: 'Bytes at the most.' }),
});
const WatchQuery = FileQuery.extend({
  recursive: flag.optional().meta({ description: 'Whether what is in its directories counts too.' }),
});
const Bytes = z.string().meta({ format: 'binary' });
const binary = { contentType: 'application/octet-stream', schema: Bytes };

/** Files as they come, of any size: never whole in memory. */
export const sandboxStreamRoutes = (domains: SandboxDomains): Route[] => [
  ...contentRoutes(domains),
  ...archiveRoutes(domains),
  watchRoute(domains),
];

const contentRoutes = ({ sandboxes, machines }: SandboxDomains): Route[] => [
  route({
    method: 'GET',
    path: '/v1/sandboxes/:id/files/content',
    tag: SANDBOXES,
    summary: 'Download a file',
    description: `Its bytes, of any length. ${EXTENSION}`,
    access: 'account',
    scopes: LOOK,
    params: IdParams,
    query: RangeQuery,
    fails: ['conflict', 'forbidden'],
    replies: { 200: { description: 'The bytes', ...binary } },
    handle: async (op, { params, query }) => {
      const { machineId } = await sandboxes.working(op, params.id);
      const { stat, content } = await machines.readStream(op, machineId, query.path, query);
      const headers = { 'content-type': 'application/octet-stream', 'x-file-size': String(stat.size) };
      return { ...ok(content), headers };
    },
  }),
  route({
    method: 'PUT',
    path: '/v1/sandboxes/:id/files/content',
    tag: SANDBOXES,
    summary: 'Upload a file',
    description: `The body is its bytes, of any type and length. Where the upload breaks off nothing is changed. ${EXTENSION}`,
    access: 'account',
    scopes: EXEC,
    params: IdParams,
    query: FileQuery,
    stream: true,
    fails: ['conflict', 'forbidden', 'too_large'],
    replies: { 201: { description: 'The file', schema: FileShown } },
    handle: async (op, { params, query, body }) => {
      const { machineId } = await sandboxes.working(op, params.id);
      return created(presentFile(await machines.writeStream(op, machineId, query.path, body, { user: query.user })));
    },
  }),
];

const archiveRoutes = ({ sandboxes, machines }: SandboxDomains): Route[] => [
  route({
    method: 'GET',
    path: '/v1/sandboxes/:id/files/archive',
    tag: SANDBOXES,
    summary: 'Download a directory as a tar archive',
    description: EXTENSION,
    access: 'account',
    scopes: LOOK,
    params: IdParams,
    query: FileQuery,
    fails: ['conflict', 'forbidden'],
    replies: { 200: { description: 'The archive', schema: Bytes, contentType: 'application/x-tar' } },
    handle: async (op, { params, query }) => {
      const { machineId } = await sandboxes.working(op, params.id);
      const archive = await machines.downloadTree(op, machineId, query.path, { user: query.user });
      return { ...ok(archive), headers: { 'content-type': 'application/x-tar' } };
    },
  }),
  route({
    method: 'PUT',
    path: '/v1/sandboxes/:id/files/archive',
    tag: SANDBOXES,
    summary: 'Unpack a tar archive into a directory',
    description: `The body is the archive. ${EXTENSION}`,
    access: 'account',
    scopes: EXEC,
    params: IdParams,
    query: FileQuery,
    stream: true,
    fails: ['conflict', 'forbidden', 'too_large'],
    replies: { 201: { description: 'It is unpacked', schema: Done } },
    handle: async (op, { params, query, body }) => {
      const { machineId } = await sandboxes.working(op, params.id);
      await machines.uploadTree(op, machineId, query.path, body, { user: query.user });
      return created({ success: true, message: 'Unpacked' });
    },
  }),
];

const watchRoute = ({ sandboxes, machines }: SandboxDomains): Route =>
  route({
    method: 'GET',
    path: '/v1/sandboxes/:id/files/watch',
    tag: SANDBOXES,
    summary: 'Watch a directory',
    description: `Server-sent events: \`start\` when the watch stands, then \`create\`, \`write\`, \`remove\`, \`rename\` or \`chmod\` with \`{"path"}\` relative to the directory. ${EXTENSION}`,
    access: 'account',
    scopes: LOOK,
    params: IdParams,
    query: WatchQuery,
    fails: ['conflict', 'forbidden'],
    replies: { 200: { description: 'The events', schema: z.string(), contentType: 'text/event-stream' } },
    handle: async (op, { params, query }) => {
      const { machineId } = await sandboxes.working(op, params.id);
      const { user, recursive } = query;
      const watch = await machines.watch(op, machineId, query.path, { user, ...(recursive && { recursive }) });
      return eventStream(watched(watch), () => watch.close());
    },
  });

async function* watched(watch: Watch): AsyncGenerator<ServerEvent> {
  yield { event: 'start', data: {} };
  for await (const { type, path } of watch) yield { event: type, data: { path } };
}
