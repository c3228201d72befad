import { readFile, rename, writeFile } from 'node:fs/promises';

/** How to know a machine's first process again: a number alone may by now be another process, or of another boot. */
export type MachineRecord = { pid: number; startedAtTicks: string; bootId: string; link: string | undefined };

export const bootId = async (): Promise<string> => (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();

export async function writeRecord(path: string, pid: number, link: string | undefined): Promise<void> {
  const process = await processAt(pid);
  if (!process) throw new Error("The machine's first process ended at once.");
  const record: MachineRecord = { pid, startedAtTicks: process.startedAtTicks, bootId: await bootId(), link };
  // Whole or not at all: a half-written record would make a running machine look like remains.
  await writeFile(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
  await rename(`${path}.new`, path);
}

export async function readRecord(path: string): Promise<MachineRecord | undefined> {
  const text = await readFile(path, 'utf8').catch(absent);
  return text === undefined ? undefined : (JSON.parse(text) as MachineRecord);
}

export async function isAlive(record: MachineRecord): Promise<boolean> {
  const process = await processAt(record.pid);
  return (
    process !== undefined && process.startedAtTicks === record.startedAtTicks && (await bootId()) === record.bootId
  );
}

const FLAGS_FIELD = 6;
const START_TIME_FIELD = 19;
/** Set in a process's flags from the moment it begins to end. */
const PF_EXITING = 0x4;

/** A process that still lives; one that is ending, or waits to be reaped, does not. */
async function processAt(pid: number): Promise<{ startedAtTicks: string } | undefined> {
  const fields = await statOf(pid);
  const startedAtTicks = fields?.[START_TIME_FIELD];
  const isEnding = (Number(fields?.[FLAGS_FIELD]) & PF_EXITING) !== 0;
  return isEnding || fields?.[0] === 'Z' || startedAtTicks === undefined ? undefined : { startedAtTicks };
}

/** Fields of /proc/PID/stat from the state on; the name before it may contain anything. */
async function statOf(pid: number): Promise<string[] | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(absent);
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT' && error.code !== 'ESRCH') throw error;
  return undefined;
}
