import { AppError, isAppError } from '../../kernel/errors.ts';
import { newId, type AccountOp, type Op } from '../../kernel/op.ts';
import { SECOND } from '../../kernel/time.ts';
import type { RunOffsets, RunStream } from '../machines/index.ts';
import { findSample } from './dataset-store.ts';
import {
  ENDS,
  KEEP_MS,
  MAX_COMMAND_LENGTH,
  MAX_COMMAND_SECONDS,
  MAX_PENDING,
  SIGNAL_BASE,
  type End,
  type Interaction,
  type InteractionId,
} from './interaction.ts';
import {
  countPending,
  findInteraction,
  insertInteraction,
  noteStarted,
  writeInteractionEnd,
} from './interaction-store.ts';
import { EXEC } from './job-names.ts';
import { recorderOf, type Recorder } from './output.ts';
import { checkReady, readySession } from './policy.ts';
import { hasEnded, type Session } from './session.ts';
import { findSession, lockSession, noteActivity } from './session-store.ts';
import { recordOp, type EnvironmentsWorld } from './world.ts';

export type CommandRequest = { command: string; timeoutSeconds: number };

/** Takes on a command; a job runs it. Throws `conflict` where the session is not ready or runs too many already. */
export async function exec(
  { db, jobs }: EnvironmentsWorld,
  op: AccountOp,
  sessionId: string,
  request: CommandRequest,
): Promise<Interaction> {
  check(request);
  const { id } = await readySession(db, op, sessionId);
  const wanted = { ...request, id: newId(op, 'interaction'), sessionId: id, createdAt: op.now };
  return db.transact(async (tx) => {
    const session = await lockSession(tx, id);
    checkReady(session ?? { state: 'closed' });
    if ((await countPending(tx, id)) >= MAX_PENDING)
      throw new AppError('conflict', `A session runs ${MAX_PENDING} commands at a time`);
    if (await insertInteraction(tx, wanted)) await jobs.enqueue(tx, EXEC, { interactionId: wanted.id });
    await noteActivity(tx, id, op.now);
    const interaction = await findInteraction(tx, wanted.id);
    if (!interaction) throw new Error('an interaction that was just made is not there');
    return interaction;
  });
}

function check({ command, timeoutSeconds }: CommandRequest): void {
  if (command.trim() === '' || command.length > MAX_COMMAND_LENGTH)
    throw new AppError('invalid', `command must be 1 to ${MAX_COMMAND_LENGTH} characters`);
  if (!Number.isInteger(timeoutSeconds) || timeoutSeconds < 1 || timeoutSeconds > MAX_COMMAND_SECONDS)
    throw new AppError('invalid', `command_timeout must be a whole number from 1 to ${MAX_COMMAND_SECONDS}`);
}

/**
 * Runs a command to its end and keeps what it prints as it comes. Where a process that had it died or stopped, the
 * command went on in its machine, and the next one joins it where the other left off.
 */
export async function carryOut(world: EnvironmentsWorld, op: Op, id: InteractionId): Promise<void> {
  const interaction = await findInteraction(world.db, id);
  const session = interaction && (await findSession(world.db, interaction.sessionId));
  if (interaction?.state !== 'pending' || !session) return;
  const recorder = recorderOf(world, interaction);
  const ended = await runIt(world, op, { interaction, session, recorder }).finally(() => recorder.flush());
  const now = world.clock.now();
  await world.db.transact(async (tx) => {
    await writeInteractionEnd(tx, id, ended, now);
    await noteActivity(tx, session.id, now);
  });
}

type Work = { interaction: Interaction; session: Session; recorder: Recorder };

async function runIt(world: EnvironmentsWorld, op: Op, work: Work): Promise<End> {
  try {
    const stream = await joined(world, op, work);
    return stream ? await follow(stream, work) : ENDS.lost('The command was cut off by a failure of the platform');
  } catch (error) {
    // A server that stops leaves the command to run, and another takes it up.
    if (op.signal.aborted) throw error;
    return await endOf(world, op, work, error);
  }
}

/** The command's stream: of a new one, or of the one that another process has begun. */
async function joined(world: EnvironmentsWorld, op: Op, work: Work): Promise<RunStream | undefined> {
  const { interaction, session } = work;
  const { now } = recordOp(world, op);
  if (await world.db.transact((tx) => noteStarted(tx, interaction.id, now))) return begin(world, op, work);
  const from: RunOffsets = { stdout: interaction.stdout.bytes, stderr: interaction.stderr.bytes, pty: 0 };
  return await world.machines.attach(op, session.machineId, { tag: interaction.id }, from).catch((error: unknown) => {
    if (isAppError(error, 'not_found')) return undefined;
    throw error;
  });
}

async function begin(world: EnvironmentsWorld, op: Op, { interaction, session }: Work): Promise<RunStream> {
  const sample = await findSample(world.db, session.sample);
  return world.machines.run(op, session.machineId, {
    command: interaction.command,
    cwd: sample?.recipe.workdir,
    tag: interaction.id,
    timeoutMs: interaction.timeoutSeconds * SECOND,
    onDisconnect: 'keep',
    keepMs: KEEP_MS,
  });
}

async function follow(stream: RunStream, { interaction, recorder }: Work): Promise<End> {
  try {
    for await (const event of stream) {
      if (event.kind === 'output') {
        await recorder.take(event.stream === 'stderr' ? 'stderr' : 'stdout', event.offset, event.data);
        continue;
      }
      const { exitCode, signal, timedOut } = event.exit;
      if (timedOut) return ENDS.timedOut(interaction.timeoutSeconds);
      return ENDS.exited(exitCode ?? SIGNAL_BASE + (signal ?? 0));
    }
    return ENDS.lost('The machine ended while the command was running');
  } finally {
    stream.close();
  }
}

/** What went wrong is the command's fault where its session still has its machine, and else the platform's. */
async function endOf(world: EnvironmentsWorld, op: Op, { session }: Work, error: unknown): Promise<End> {
  const now = await findSession(world.db, session.id);
  if (!now || hasEnded(now)) return ENDS.sessionOver();
  if (!isAppError(error)) throw error;
  const { state } = await world.machines.get(recordOp(world, op), session.machineId);
  return state === 'running' ? ENDS.notRun(error.message) : ENDS.lost('The machine of the session has ended');
}
