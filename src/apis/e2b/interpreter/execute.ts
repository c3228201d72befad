import { Readable } from 'node:stream';
import { z } from 'zod';
import {
  DEFAULT_LANGUAGE,
  defaultId,
  languageNamed,
  type Execution,
  type ExecutionNews,
} from '../../../domains/sandboxes/index.ts';
import { AppError } from '../../../kernel/errors.ts';
import { SECOND } from '../../../kernel/time.ts';
import type { RawAnswer } from '../../contract.ts';
import { hold, within } from '../envd/access.ts';
import { isGone, RpcFailure } from '../envd/failure.ts';
import { readMessage } from '../envd/protocol.ts';
import { MAX_OPEN } from '../envd/stream.ts';
import type { CodeVisit } from './access.ts';
import { LanguageName, notThere } from './contexts.ts';

/** POST /execute (clause 6 of the sheet): runs code, and tells what comes of it in lines of JSON. */

const MAX_ID = 200;
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;
const Cell = z.object({
  code: z.string(),
  context_id: z.string().max(MAX_ID).nullish(),
  language: LanguageName,
  env_vars: z
    .record(
      z.string().regex(VARIABLE),
      z.string().refine((text) => !text.includes('\0')),
    )
    .nullish(),
});

/** Told at the beginning, so that clients hear at once that they are served, and while nothing else is. */
const KEEPALIVE = { type: 'keepalive' };
const KEEPALIVE_MS = 30 * SECOND;

export async function execute(visit: CodeVisit): Promise<RawAnswer> {
  const { code, context_id, language, env_vars } = await within(visit, () => readMessage(visit, Cell));
  const name = languageNamed(language || DEFAULT_LANGUAGE);
  // The client shows nothing of an answer that is a failure: what its user should read is an error of the code.
  if (!name) return lines(Readable.from([lineOf(error('UnsupportedLanguage', notThere(language ?? '')))]));
  const contextId = context_id || defaultId(name);
  return lines(await counted(visit, () => begin(visit, { contextId, code, env: env_vars ?? {} })));
}

const lines = (body: Readable): RawAnswer => ({
  status: 200,
  headers: { 'content-type': 'application/x-ndjson' },
  body,
});

const error = (name: string, value: string) => ({ type: 'error', name, value, traceback: `${name}: ${value}` });

/** In ASCII: the stock client reads what comes in pieces, and cuts characters that lie in two of them. */
const lineOf = (message: object): string =>
  `${JSON.stringify(message).replace(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)}\n`;

const present = (news: ExecutionNews): object =>
  news.type === 'started' ? { type: 'number_of_executions', execution_count: news.execution_count } : news;

/** Counts an execution for its sandbox until its answer is over. */
async function counted(visit: CodeVisit, open: () => Promise<Readable>): Promise<Readable> {
  const { openStreams, sandbox } = visit;
  if (!openStreams.take(sandbox.code))
    throw new RpcFailure('resource_exhausted', `A sandbox has at most ${MAX_OPEN.each} executions at a time`);
  const letGo = () => openStreams.give(sandbox.code);
  try {
    return (await open()).once('close', letGo);
  } catch (failure) {
    letGo();
    throw failure;
  }
}

function begin(visit: CodeVisit, cell: { contextId: string; code: string; env: Record<string, string> }) {
  const { messages, sandbox } = visit;
  const memory = { bytes: 0 };
  /** Of lines that are not whole yet. */
  const holding = (bytes: number): void => {
    messages.give(sandbox.code, memory.bytes);
    memory.bytes = 0;
    if (bytes > 0) hold({ ...visit, held: memory }, bytes);
  };
  return within(visit, async () =>
    pumped(await visit.sandboxes.interpreter.execute(visit.op, visit.place, cell, holding)),
  );
}

/** The lines of an execution, no faster than they are taken. Whoever lets go of them has it stopped. */
function pumped(execution: Execution): Readable {
  let onTaken = (): void => {};
  const body = new Readable({
    read: () => onTaken(),
    destroy(cause, done) {
      clearInterval(idle);
      execution.stop();
      onTaken();
      done(cause);
    },
  });
  // What goes wrong before anybody reads it is seen by whoever does.
  body.on('error', () => {});
  const idle = setInterval(() => body.push(lineOf(KEEPALIVE)), KEEPALIVE_MS);
  body.push(lineOf(KEEPALIVE));
  const pump = async () => {
    for await (const news of execution.news) {
      if (body.destroyed) return;
      idle.refresh();
      if (!body.push(lineOf(present(news)))) await new Promise<void>((resolve) => (onTaken = resolve));
    }
  };
  pump().then(
    () => end(body),
    (cause: unknown) => {
      if (cause instanceof AppError && !isGone(cause)) end(body, lineOf(error('ExecutionFailed', cause.message)));
      else body.destroy(cause instanceof Error ? cause : new Error(String(cause)));
    },
  );
  return body;
}

function end(body: Readable, last?: string): void {
  if (body.destroyed) return;
  if (last !== undefined) body.push(last);
  body.push(null);
}
