import { isUtf8 } from 'node:buffer';
import { z } from 'zod';
import { AppError } from '../../kernel/errors.ts';
import { created, ok, route, type Route } from '../contract.ts';
import { presentFile } from './present-sandbox.ts';
import type { SandboxDomains } from './sandboxes.ts';
import { digits, Done, EXEC, EXTENSION, LOOK, Path, SANDBOXES, User } from './sandbox-wire.ts';
import { IdParams, Timestamp } from './wire.ts';

/** Clause 1.1 names it in its error. */
const MAX_CONTENT_BYTES = 10_000_000;
/** As JSON writes it, content may be several times as long. */
const MAX_BODY_BYTES = 32_000_000;
const MAX_DEPTH = 64;
/** In either alphabet. Anything else but spaces would be left out without a word. */
const BASE64 = /^[A-Za-z0-9+/_-]*={0,2}$/;

const Encoding = z.enum(['utf8', 'base64']);
const NewFile = z.object({
  path: Path,
  content: z.string().meta({
    description: `At most ${MAX_CONTENT_BYTES} bytes. Larger files are sent to \`files/content\`.`,
    examples: ['print("hello")\n'],
  }),
  encoding: Encoding.default('utf8').meta({ description: `How \`content\` is written. ${EXTENSION}` }),
  mode: z
    .string()
    .regex(/^[0-7]{3,4}$/, { error: 'must be octal, as in 644' })
    .optional()
    .meta({ description: `Permissions; those of the file that is there, or 644. ${EXTENSION}`, examples: ['755'] }),
  user: User,
});
export const FileShown = z.object({
  name: z.string(),
  path: z.string(),
  type: z.enum(['file', 'directory', 'symlink', 'other']),
  size: z.int(),
  mode: z.string().meta({ examples: ['644'] }),
  owner: z.string(),
  group: z.string(),
  modified_at: Timestamp,
  target: z.string().nullable().meta({ description: 'Where a symlink leads.' }),
});
const Written = z.object({ success: z.literal(true), path: z.string(), size: z.int() });
const Content = z.object({
  path: z.string(),
  content: z.string(),
  encoding: Encoding.meta({ description: '`base64` where the file is no UTF-8 text.' }),
  size: z.int(),
});
const Listing = z.object({ path: z.string(), files: z.array(FileShown), truncated: z.boolean() });

export const FileQuery = z.strictObject({ path: Path, user: User });
const ListQuery = FileQuery.extend({
  path: Path.default('.'),
  depth: digits(MAX_DEPTH)
    .pipe(z.int().min(1))
    .default(1)
    .meta({ description: `How deep. ${EXTENSION}` }),
});
const MoveBody = z.object({
  source: Path,
  destination: Path.meta({ examples: ['/home/user/old.py'] }),
  user: User,
});
const DirectoryBody = z.object({ path: Path.meta({ examples: ['/home/user/data'] }), user: User });

/** Both spellings of one route: that of the document, and that of older clients. */
const spelt = (paths: readonly string[], make: (path: string) => Route): Route[] =>
  paths.map((path) => make(`/v1/sandboxes/:id${path}`));

export const sandboxFileRoutes = (domains: SandboxDomains): Route[] => [
  ...spelt(['/files', '/files/upload/json'], (path) => writeRoute(domains, path)),
  ...spelt(['/files', '/files/read'], (path) => readRoute(domains, path)),
  ...lookRoutes(domains),
  ...changeRoutes(domains),
];

const writeRoute = ({ sandboxes, machines }: SandboxDomains, path: string): Route =>
  route({
    method: 'POST',
    path,
    tag: SANDBOXES,
    summary: 'Write a file',
    description: 'With the directories that it needs. Readers see the old file or the new one, never a part.',
    access: 'account',
    scopes: EXEC,
    params: IdParams,
    body: NewFile,
    bodyLimit: MAX_BODY_BYTES,
    fails: ['conflict', 'forbidden'],
    replies: { 201: { description: 'It is written', schema: Written } },
    handle: async (op, { params, body }) => {
      if (body.encoding === 'base64' && !BASE64.test(body.content.replaceAll(/\s/g, '')))
        throw new AppError('invalid', 'content is not base64');
      const content = Buffer.from(body.content, body.encoding);
      if (content.length > MAX_CONTENT_BYTES)
        throw new AppError('too_large', `content exceeds maximum size (${MAX_CONTENT_BYTES} bytes)`);
      const { machineId } = await sandboxes.working(op, params.id);
      const { user, mode } = body;
      await machines.writeFile(op, machineId, body.path, content, { user, ...(mode && { mode }) });
      return created({ success: true, path: body.path, size: content.length });
    },
  });

const readRoute = ({ sandboxes, machines }: SandboxDomains, path: string): Route =>
  route({
    method: 'GET',
    path,
    tag: SANDBOXES,
    summary: 'Read a file',
    description: `Of at most ${MAX_CONTENT_BYTES} bytes. Larger ones are read from \`files/content\`.`,
    access: 'account',
    scopes: LOOK,
    params: IdParams,
    query: FileQuery,
    fails: ['conflict', 'forbidden', 'too_large'],
    replies: { 200: { description: 'The file', schema: Content } },
    handle: async (op, { params, query }) => {
      const { machineId } = await sandboxes.working(op, params.id);
      const { user } = query;
      const bytes = await machines.readFile(op, machineId, query.path, { user, maxBytes: MAX_CONTENT_BYTES });
      const encoding = isUtf8(bytes) ? 'utf8' : 'base64';
      return ok({ path: query.path, content: bytes.toString(encoding), encoding, size: bytes.length });
    },
  });

const lookRoutes = ({ sandboxes, machines }: SandboxDomains): Route[] => [
  route({
    method: 'GET',
    path: '/v1/sandboxes/:id/files/list',
    tag: SANDBOXES,
    summary: 'List a directory',
    access: 'account',
    scopes: LOOK,
    params: IdParams,
    query: ListQuery,
    fails: ['conflict', 'forbidden'],
    replies: { 200: { description: 'What is in it, by name', schema: Listing } },
    handle: async (op, { params, query }) => {
      const { machineId } = await sandboxes.working(op, params.id);
      const { user, depth } = query;
      return machines.listTree(op, machineId, query.path, { user, depth }, ({ entries, truncated }) =>
        ok({ path: query.path, files: entries.map(presentFile), truncated }),
      );
    },
  }),
  route({
    method: 'GET',
    path: '/v1/sandboxes/:id/files/stat',
    tag: SANDBOXES,
    summary: 'Show what is at a path',
    description: EXTENSION,
    access: 'account',
    scopes: LOOK,
    params: IdParams,
    query: FileQuery,
    fails: ['conflict', 'forbidden'],
    replies: { 200: { description: 'The file, directory or link', schema: FileShown } },
    handle: async (op, { params, query }) => {
      const { machineId } = await sandboxes.working(op, params.id);
      return ok(presentFile(await machines.stat(op, machineId, query.path, { user: query.user })));
    },
  }),
];

const changeRoutes = ({ sandboxes, machines }: SandboxDomains): Route[] => [
  route({
    method: 'DELETE',
    path: '/v1/sandboxes/:id/files',
    tag: SANDBOXES,
    summary: 'Remove a file or directory',
    description: `A directory with all that is in it. ${EXTENSION}`,
    access: 'account',
    scopes: EXEC,
    params: IdParams,
    query: FileQuery,
    fails: ['conflict', 'forbidden'],
    replies: { 200: { description: 'It is gone', schema: Done } },
    handle: async (op, { params, query }) => {
      const { machineId } = await sandboxes.working(op, params.id);
      await machines.remove(op, machineId, query.path, { user: query.user });
      return ok({ success: true, message: 'Removed' });
    },
  }),
  route({
    method: 'POST',
    path: '/v1/sandboxes/:id/files/move',
    tag: SANDBOXES,
    summary: 'Move a file or directory',
    description: EXTENSION,
    access: 'account',
    scopes: EXEC,
    params: IdParams,
    body: MoveBody,
    fails: ['conflict', 'forbidden'],
    replies: { 200: { description: 'Where it is now', schema: FileShown } },
    handle: async (op, { params, body }) => {
      const { machineId } = await sandboxes.working(op, params.id);
      const { source, destination, user } = body;
      return ok(presentFile(await machines.move(op, machineId, source, destination, { user })));
    },
  }),
  route({
    method: 'POST',
    path: '/v1/sandboxes/:id/files/mkdir',
    tag: SANDBOXES,
    summary: 'Make a directory',
    description: `And those above it. ${EXTENSION}`,
    access: 'account',
    scopes: EXEC,
    params: IdParams,
    body: DirectoryBody,
    fails: ['conflict', 'forbidden'],
    replies: { 201: { description: 'The directory', schema: FileShown } },
    handle: async (op, { params, body }) => {
      const { machineId } = await sandboxes.working(op, params.id);
      return created(presentFile(await machines.makeDirectory(op, machineId, body.path, { user: body.user })));
    },
  }),
];
