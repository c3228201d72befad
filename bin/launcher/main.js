/**
 * What `npm start`, `npm test` and `npx freehold` run first. It has no dependencies and runs on any Node from 20 on:
 * it installs the dependencies where they are missing, and hands over to the runtime that came with them.
 */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureDependencies } from './dependencies.js';
import { handOver } from './runtime.js';

const REPOSITORY = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

/** What runs or tests a server; everything else is a client of one. */
const SERVER_COMMANDS = new Set(['start', 'test', 'check', 'demo', 'bench']);

/** @param {string[]} args */
export async function main(args) {
  try {
    await ensureDependencies(REPOSITORY);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
    return;
  }
  if (SERVER_COMMANDS.has(args[0] ?? '') && !isQuestion(args))
    await handOver(path.join(REPOSITORY, 'bin', 'prepared.ts'), args, 'server');
  else await handOver(path.join(REPOSITORY, 'src', 'cli', 'main.ts'), args, 'client');
}

/**
 * A server takes its settings from the environment: what stands behind `start` asks for help, or is wrong.
 *
 * @param {string[]} args
 */
const isQuestion = ([command, ...more]) => command === 'start' && more.length > 0;
