import type { AccountId, ImageId, MachineId } from '../../../kernel/ids.ts';
import type { Op } from '../../../kernel/op.ts';
import { MINUTE } from '../../../kernel/time.ts';
import type { Command } from '../../../platform/run.ts';
import type { Machines } from '../index.ts';
import { textDecoder } from './build-log.ts';
import { BUILDER } from './image.ts';
import { keepCommand } from './recipes.ts';

/** What the making of images needs of machines. */
export type BuilderMachines = Pick<Machines, 'start' | 'run' | 'destroy' | 'requireDisk'>;

const LIMITS = { vcpus: 2, memoryMb: 2_048, diskGb: 40, pids: 2_048 };
export const BUILD_TIMEOUT_MS = 30 * MINUTE;
/** The machine is taken away soon after its build must have ended, whatever became of who made it. */
const LEASE_MS = BUILD_TIMEOUT_MS + 5 * MINUTE;

/** A command of the workshop did not do what it was to do; what it said last. */
export class WorkFailed extends Error {
  readonly said: string;

  constructor(command: Command, how: string, said: string) {
    super(`${command.slice(0, 3).join(' ')} …: ${how}`);
    this.name = 'WorkFailed';
    this.said = said;
  }
}

/** A machine in which one image is made. Nothing that it says is trusted. */
export type Workshop = {
  /** Runs a command that must succeed; what it says is told. */
  work(command: Command): Promise<void>;
  /** The same for a command that is asked something; its answer is no longer than that. */
  ask(command: Command, maxBytes: number): Promise<string>;
  /** Writes a file. */
  put(path: string, content: AsyncIterable<Uint8Array>): Promise<void>;
  /** What a command prints, as it comes. Throws at its end where it failed. */
  take(command: Command): AsyncIterable<Uint8Array>;
};

type Site = {
  machines: BuilderMachines;
  op: Op;
  id: MachineId;
  tell: (text: string) => void;
};

const SAID_CHARACTERS = 4_000;

export async function openWorkshop(
  site: Site,
  { accountId, imageId }: { accountId: AccountId; imageId: ImageId },
): Promise<Workshop> {
  await site.machines.start(site.op, {
    id: site.id,
    accountId,
    purpose: `image:${imageId}`,
    image: BUILDER,
    limits: LIMITS,
    network: 'egress',
    leaseMs: LEASE_MS,
  });
  const drain = async (output: AsyncIterable<Uint8Array>) => {
    const decoded = textDecoder();
    for await (const chunk of output) site.tell(decoded(chunk));
  };
  return {
    work: (command) => drain(outputOf(site, command)),
    async ask(command, maxBytes) {
      const chunks: Uint8Array[] = [];
      let bytes = 0;
      for await (const chunk of outputOf(site, command)) {
        bytes += chunk.length;
        if (bytes > maxBytes) throw new WorkFailed(command, `answered more than ${maxBytes} bytes`, '');
        chunks.push(chunk);
      }
      return Buffer.concat(chunks).toString();
    },
    put: (path, content) => drain(outputOf(site, keepCommand(path), content)),
    take: (command) => outputOf(site, command),
  };
}

/** Runs a command as root and gives its output; its remarks are told. */
async function* outputOf(
  { machines, op, id, tell }: Site,
  command: Command,
  input?: AsyncIterable<Uint8Array>,
): AsyncIterable<Uint8Array> {
  const stream = await machines.run(op, id, {
    command,
    user: 'root',
    cwd: '/',
    env: { TMPDIR: '/var/tmp' },
    stdin: input !== undefined,
    timeoutMs: BUILD_TIMEOUT_MS,
    onDisconnect: 'kill',
  });
  // A command may end without having read its input, and then its exit code tells the story.
  const feeding = input && failureOf(feed(stream, input));
  const decoded = textDecoder();
  let said = '';
  try {
    for await (const event of stream) {
      if (event.kind === 'exit') {
        const { exitCode, signal, timedOut } = event.exit;
        if (exitCode === 0) break;
        throw new WorkFailed(command, timedOut ? 'timed out' : `exit ${exitCode ?? `by signal ${signal}`}`, said);
      }
      if (event.stream === 'stderr') {
        const text = decoded(event.data);
        said = (said + text).slice(-SAID_CHARACTERS);
        tell(text);
      } else yield event.data;
    }
    const failure = await feeding;
    if (failure) throw failure;
  } finally {
    stream.close();
  }
}

type Fed = { write(data: Uint8Array): Promise<void>; closeInput(): Promise<void> };

async function feed(stream: Fed, input: AsyncIterable<Uint8Array>): Promise<void> {
  try {
    for await (const chunk of input) await stream.write(chunk);
  } finally {
    await stream.closeInput();
  }
}

const failureOf = (work: Promise<void>): Promise<Error | undefined> =>
  work.then(
    () => undefined,
    (error: Error) => error,
  );
