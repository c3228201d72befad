import type { Command } from '../../../../platform/run.ts';
import type { IdRange } from './bundle.ts';
import type { Places } from './layout.ts';

export type RuntimeName = 'crun' | 'runc';

/** The runtime's program and where it keeps its state. */
export type Runtime = {
  name: RuntimeName;
  root: string;
  /** Where the cgroup tree is a hybrid one; crun refuses to work while it can see the unified half. */
  unifiedMount: string | undefined;
};

const runtimeCommand = (runtime: Runtime, ...args: string[]): Command => [
  runtime.name,
  '--root',
  runtime.root,
  ...args,
];

export type CreateOptions = {
  runtime: Runtime;
  id: string;
  places: Places;
  ids: IdRange;
  /** The program that is the machine's first process, and on the host makes the socket that it listens on. */
  init: string;
};

/**
 * Makes a machine's container, up to the moment before its first process runs, which has the socket as descriptor 3. Its
 * mounts are its own and end with it: `machine-init/host.h` says how.
 */
export function createCommand({ runtime, id, places, ids, init }: CreateOptions): Command {
  const hidden = runtime.name === 'crun' ? (runtime.unifiedMount ?? '') : '';
  const create = ['create', '--preserve-fds', '1', '--bundle', places.dir, '--pid-file', places.pidFile, id];
  return [
    init,
    'assemble',
    hidden,
    places.dir,
    places.disk,
    String(ids.first),
    'listen',
    places.socket,
    '--',
    ...runtimeCommand(runtime, ...create),
  ];
}

/** Gives the machine that has the process `pid` its network, and then runs `next`, where that is not nothing. */
export const linkCommand = (init: string, pid: number, onHost: string, inMachine: string, next: Command): Command => {
  const link = [init, 'link', String(pid), onHost, inMachine];
  // What our own program does first it does in one go.
  return next[0] === init ? [...link, ...next.slice(1)] : [...link, '--', ...next];
};

/** Lets the machine whose first process is `pid` run, with limits of its own on file watches and a boot id of its own. */
export const startCommand = (runtime: Runtime, init: string, id: string, pid: number): Command => [
  init,
  'bound',
  String(pid),
  'boot',
  String(pid),
  '--',
  ...runtimeCommand(runtime, 'start', id),
];
