import { ConfigError, readConfig } from '../src/config.ts';
import { prepareHost, type HostOptions } from '../src/domains/machines/index.ts';
import { AppError } from '../src/kernel/errors.ts';

/** What a command wants on its host beside what a server does. */
export type Wants = Pick<HostOptions, 'runtimes' | 'programs'>;

/**
 * Brings what this host lacks to run machines, with a line for each step. Safe to interrupt and to repeat; takes a
 * moment where nothing is missing. Answers false, and has said why in one sentence, where something cannot be brought.
 */
export async function setUp(wants: Wants = {}): Promise<boolean> {
  try {
    const { cacheDir } = readConfig(process.env);
    await prepareHost({ cacheDir, installPackages: true, progress: progressLines(), ...wants });
    return true;
  } catch (error) {
    if (!(error instanceof ConfigError || error instanceof AppError)) throw error;
    console.error(error instanceof ConfigError ? `These settings are wrong:\n${error.message}` : error.message);
    if (error instanceof AppError && error.cause instanceof Error) console.error(error.cause.message);
    return false;
  }
}

/** Writes lines with the seconds since the set-up began. */
function progressLines(): (line: string) => void {
  const began = performance.now();
  return (line) => console.error(`${((performance.now() - began) / 1_000).toFixed(1).padStart(6)} s  ${line}`);
}
