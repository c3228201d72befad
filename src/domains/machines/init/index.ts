import type { Duplex, Readable } from 'node:stream';
import * as files from './files.ts';
import {
  ask,
  call,
  CALL,
  decodePairs,
  FRAME,
  inTime,
  LONG_ANSWER_MS,
  nonsense,
  numberIn,
  type Connect,
} from './protocol.ts';
import * as runs from './runs.ts';

export { InitError, MachineLost, type Connect } from './protocol.ts';
export type { FileKind, FileStat, ReadOptions, Watch, WatchEvent, WriteOptions } from './files.ts';
export type {
  RunEvent,
  RunExit,
  RunInfo,
  RunOffsets,
  RunOutputStream,
  RunRequest,
  RunSelector,
  RunStream,
  TerminalSize,
} from './runs.ts';

export type Identity = { hostname: string; machineId: string; hosts: string; resolvConf: string };
export type Home = { home: string; uid: number; gid: number; shell: string };

/**
 * A machine's own first process, as the server sees it. Every verb is one connection. They throw `InitError` where the
 * machine says no, and `MachineLost` where there is no machine to say anything, or what it says makes no sense.
 */
export type Init = {
  /** Writes its name, number, hosts and resolvers into its /etc, and names it where it may. */
  identify(identity: Identity): Promise<void>;
  start(request: runs.RunRequest): Promise<runs.RunStream>;
  attach(selector: runs.RunSelector, from?: runs.RunOffsets): Promise<runs.RunStream>;
  runs(hold?: (bytes: number) => void): Promise<runs.RunInfo[]>;
  signal(selector: runs.RunSelector, signal: number, scope: 'process' | 'tree'): Promise<void>;
  input(selector: runs.RunSelector, data: Uint8Array): Promise<void>;
  closeInput(selector: runs.RunSelector): Promise<void>;
  resize(selector: runs.RunSelector, size: runs.TerminalSize): Promise<void>;
  stat(path: string, as: { user: string; follow: boolean }): Promise<files.FileStat>;
  /** Each directory before what is in it, by name, without the first. */
  list(path: string, as: files.ListOptions): Promise<{ entries: files.FileStat[]; truncated: boolean }>;
  read(path: string, as: files.ReadOptions): Promise<{ stat: files.FileStat; content: Readable }>;
  /** Beside the target and then in its place; missing parents are made. */
  write(path: string, content: AsyncIterable<Uint8Array>, as: files.WriteOptions): Promise<files.FileStat>;
  makeDirectory(path: string, as: { user: string }): Promise<files.FileStat>;
  move(source: string, destination: string, as: { user: string }): Promise<files.FileStat>;
  remove(path: string, as: { user: string }): Promise<void>;
  watch(path: string, as: { user: string; recursive: boolean }): Promise<files.Watch>;
  /** TCP to what listens on the machine's loopback. */
  dial(port: number): Promise<Duplex>;
  home(user: string): Promise<Home>;
  /** Asks every process to end, ends what does not, and then the machine. */
  shutdown(): Promise<void>;
};

const MAX_ID = 2 ** 32 - 1;

export const createInit = (connect: Connect): Init => ({
  identify: (identity) => done(connect, CALL.identify, Object.entries(identity)),
  start: (request) => runs.start(connect, request),
  attach: (selector, from) => runs.attach(connect, selector, from),
  runs: (hold) => runs.runs(connect, hold),
  signal: (selector, signal, scope) => runs.signal(connect, selector, signal, scope),
  input: (selector, data) => runs.input(connect, selector, data),
  closeInput: (selector) => runs.closeInput(connect, selector),
  resize: (selector, size) => runs.resize(connect, selector, size),
  stat: (path, as) => files.stat(connect, path, as),
  list: (path, as) => files.list(connect, path, as),
  read: (path, as) => files.read(connect, path, as),
  write: (path, content, as) => files.write(connect, path, content, as),
  makeDirectory: (path, as) => files.makeDirectory(connect, path, as),
  move: (source, destination, as) => files.move(connect, source, destination, as),
  remove: (path, as) => files.remove(connect, path, as),
  watch: (path, as) => files.watch(connect, path, as),
  dial: (port) => dial(connect, port),
  home: (user) => home(connect, user),
  shutdown: () => done(connect, CALL.shutdown, []),
});

async function done(connect: Connect, type: number, pairs: [string, string][]): Promise<void> {
  await ask(connect, type, pairs, LONG_ANSWER_MS);
}

async function dial(connect: Connect, port: number): Promise<Duplex> {
  const wire = await call(connect, CALL.dial, [['port', port]]);
  await inTime(wire, wire.expect(FRAME.done));
  return wire.release();
}

async function home(connect: Connect, user: string): Promise<Home> {
  const { payload } = await ask(connect, CALL.home, [['user', user]]);
  const fields = new Map(decodePairs(payload));
  const [directory, shell] = [fields.get('home'), fields.get('shell')];
  if (directory === undefined || shell === undefined) throw nonsense('a user without a home');
  return {
    home: directory,
    uid: numberIn(fields.get('uid'), 0, MAX_ID),
    gid: numberIn(fields.get('gid'), 0, MAX_ID),
    shell,
  };
}
