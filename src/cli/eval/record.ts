import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure } from '../failure.ts';

/** What a run is about: written once, and the same whenever the run is taken up again. */
export type Plan = {
  run_id: string;
  server: string;
  dataset: string;
  agent: string;
  in_session: boolean;
  timeout_seconds: number;
  started_at: string;
  samples: { sample_id: string; version: number; language: string }[];
};

/** How far an attempt has come; each is written down before its work begins. */
export type Stage = 'opening' | 'ready' | 'agent' | 'worked' | 'verifying' | 'ended';

export type AgentEnd = { exit_code: number | null; timed_out: boolean; seconds: number };
export type Grade = { is_success: boolean; total: number; passed: number; failed: number; skipped: number };

/** One session that was opened for a sample. */
export type Attempt = {
  number: number;
  stage: Stage;
  session_id: string | null;
  agent: AgentEnd | null;
  job_id: string | null;
  grade: Grade | null;
  /** Why it came to nothing. */
  failure: string | null;
  /** What its session has cost, once that is over. */
  cost_microcents: number;
  session_seconds: number;
};

export type Outcome = 'waiting' | 'solved' | 'unsolved' | 'error';
export type SampleRecord = { sample_id: string; outcome: Outcome; attempts: Attempt[] };

export const newAttempt = (number: number): Attempt => ({
  number,
  stage: 'opening',
  session_id: null,
  agent: null,
  job_id: null,
  grade: null,
  failure: null,
  cost_microcents: 0,
  session_seconds: 0,
});

/**
 * The folder of a run: `run.json`, and for each sample a folder with its record, its problem and what its agent said.
 * Every file is replaced as a whole, so that whatever ends the program leaves one state or the next.
 */
export type Folder = {
  dir: string;
  sampleDir(sampleId: string): string;
  readPlan(): Promise<Plan | undefined>;
  writePlan(plan: Plan): Promise<void>;
  record(sampleId: string): Promise<SampleRecord>;
  save(record: SampleRecord): Promise<void>;
  write(name: string, text: string, mode?: number): Promise<void>;
  /** Gives the folder back to whoever comes next. */
  leave(): Promise<void>;
};

const RUN = 'run.json';
const LOCK = 'lock';
const RECORD = 'record.json';
const FILE_MODE = 0o644;

export async function openFolder(dir: string): Promise<Folder> {
  await mkdir(join(dir, 'samples'), { recursive: true }).catch((cause: NodeJS.ErrnoException) => {
    throw new Failure(`${dir} cannot be made (${cause.code}).`, { cause });
  });
  await lock(dir);
  const write = async (name: string, text: string, mode = FILE_MODE): Promise<void> => {
    const path = join(dir, name);
    const draft = `${path}.${randomUUID()}`;
    await mkdir(join(path, '..'), { recursive: true });
    await writeFile(draft, text, { mode, flush: true });
    await rename(draft, path);
  };
  const read = async <Content>(name: string): Promise<Content | undefined> => {
    const text = await readFile(join(dir, name), 'utf8').catch(absent);
    return text === undefined ? undefined : (parse(join(dir, name), text) as Content);
  };
  const recordOf = (sampleId: string): string => join('samples', sampleId, RECORD);
  return {
    dir,
    sampleDir: (sampleId) => join(dir, 'samples', sampleId),
    readPlan: () => read<Plan>(RUN),
    writePlan: (plan) => write(RUN, pretty(plan)),
    record: async (sampleId) =>
      (await read<SampleRecord>(recordOf(sampleId))) ?? { sample_id: sampleId, outcome: 'waiting', attempts: [] },
    save: (record) => write(recordOf(record.sample_id), pretty(record)),
    write,
    leave: () => rm(join(dir, LOCK), { force: true }),
  };
}

export const pretty = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`;

/** One program at a time works in a folder. A lock whose holder is gone is taken over. */
async function lock(dir: string): Promise<void> {
  const path = join(dir, LOCK);
  for (let tries = 0; tries < 2; tries++) {
    try {
      return await writeFile(path, String(process.pid), { flag: 'wx' });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const holder = Number(await readFile(path, 'utf8').catch(absent));
    if (isAlive(holder)) throw new Failure(`Process ${holder} works in ${dir}: name another folder with --out.`);
    await rm(path, { force: true });
  }
  throw new Failure(`Another process works in ${dir}: name another folder with --out.`);
}

function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function parse(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Failure(`${path} is damaged: mend it, or name another folder with --out.`, { cause });
  }
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw new Failure(`A file cannot be read (${error.code}).`, { cause: error });
  return undefined;
}
