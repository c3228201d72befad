import { Readable } from 'node:stream';
import { z } from 'zod';
import {
  DEFAULT_COMMAND_SECONDS,
  MAX_COMMAND_LENGTH,
  MAX_COMMAND_SECONDS,
  type Followed,
} from '../../domains/environments/index.ts';
import { ok, route, type Route } from '../contract.ts';
import type { DatasetDomains } from './datasets.ts';
import { presentInteraction } from './present-session.ts';
import { InteractionParams, InteractionShown, InteractionStatus, SessionParams } from './session-wire.ts';
import { READ, Uuid, wholeNumber, WRITE } from './wire.ts';

const TAG = 'Interactions';
const MAX_PATH_LENGTH = 4_096;
const MAX_REPLACED_LENGTH = 100_000;
const MAX_OFFSET = 100_000_000;

const Command = z.object({
  command: z
    .string()
    .max(MAX_COMMAND_LENGTH)
    .regex(/\S/, { error: 'must not be blank' })
    .meta({ description: 'Run by bash in the repository.', examples: ['ls'] }),
  command_timeout: z.int().min(1).max(MAX_COMMAND_SECONDS).default(DEFAULT_COMMAND_SECONDS),
});
const Taken = z.object({ interaction_id: Uuid, status: InteractionStatus });
const Replacement = z.object({
  file_path: z.string().min(1).max(MAX_PATH_LENGTH).meta({ description: 'From the repository, or from the root.' }),
  str_to_replace: z.string().min(1).max(MAX_REPLACED_LENGTH),
  str_to_insert: z.string().max(MAX_REPLACED_LENGTH),
});
const Replaced = z.object({ success: z.boolean(), message: z.string() });
const FromQuery = z.object({
  stdout: wholeNumber({ min: 0, max: MAX_OFFSET }).default(0).meta({ description: 'After so many bytes of stdout.' }),
  stderr: wholeNumber({ min: 0, max: MAX_OFFSET }).default(0).meta({ description: 'After so many bytes of stderr.' }),
});

export const interactionRoutes = ({ environments }: DatasetDomains): Route[] => [
  route({
    method: 'POST',
    path: '/api/v1/sessions/:session_id/exec',
    tag: TAG,
    summary: 'Run a command in a session',
    access: 'account',
    scopes: WRITE,
    idempotent: true,
    params: SessionParams,
    body: Command,
    fails: ['conflict'],
    replies: { 200: { description: 'The command is taken on', schema: Taken } },
    handle: async (op, { params, body }) => {
      const request = { command: body.command, timeoutSeconds: body.command_timeout };
      const { id, state } = await environments.exec(op, params.session_id, request);
      return ok({ interaction_id: id, status: state } satisfies z.input<typeof Taken>);
    },
  }),
  route({
    method: 'GET',
    path: '/api/v1/sessions/:session_id/interactions/:interaction_id',
    tag: TAG,
    summary: 'Show a command and what it has printed',
    access: 'account',
    scopes: READ,
    params: InteractionParams,
    replies: { 200: { description: 'The command', schema: InteractionShown } },
    handle: async (op, { params }) =>
      ok(presentInteraction(await environments.interaction(op, params.session_id, params.interaction_id))),
  }),
  route({
    method: 'GET',
    path: '/api/v1/sessions/:session_id/interactions/:interaction_id/stream',
    tag: TAG,
    summary: 'Follow a command',
    description:
      'Server-sent events: `output` with `{"stream","offset","text"}` as it is printed, at last `end` with the command as it is shown otherwise. `offset` counts bytes; to go on after a break, ask from there. Beyond the contract.',
    access: 'account',
    scopes: READ,
    params: InteractionParams,
    query: FromQuery,
    replies: { 200: { description: 'The events', schema: z.string(), contentType: 'text/event-stream' } },
    handle: async (op, { params, query }) => {
      const names = { sessionId: params.session_id, id: params.interaction_id };
      const followed = await environments.follow(op, names, query);
      return { ...ok(Readable.from(eventsOf(followed), { objectMode: false })), headers: EVENT_STREAM };
    },
  }),
  route({
    method: 'POST',
    path: '/api/v1/sessions/:session_id/str_replace',
    tag: TAG,
    summary: 'Replace a text in a file, where it is there exactly once',
    access: 'account',
    scopes: WRITE,
    params: SessionParams,
    body: Replacement,
    fails: ['conflict'],
    replies: { 200: { description: 'Whether it was replaced, or why not', schema: Replaced } },
    handle: async (op, { params, body }) =>
      ok(
        await environments.replace(op, params.session_id, {
          path: body.file_path,
          replace: body.str_to_replace,
          insert: body.str_to_insert,
        }),
      ),
  }),
];

const BEAT = Buffer.from(':\n\n');
const EVENT_STREAM = { 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' };

async function* eventsOf(followed: AsyncIterable<Followed>): AsyncGenerator<Buffer> {
  const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
  for await (const event of followed) {
    if (event.kind === 'end') {
      yield eventOf('end', presentInteraction(event.interaction));
      return;
    }
    if (event.kind === 'beat') {
      yield BEAT;
      continue;
    }
    // A character that is split between two pieces is told with the second one.
    const text = decoders[event.stream].decode(event.data, { stream: true });
    yield eventOf('output', { stream: event.stream, offset: event.offset, bytes: event.data.length, text });
  }
}

const eventOf = (name: string, data: unknown): Buffer =>
  Buffer.from(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
