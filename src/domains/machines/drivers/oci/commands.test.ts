import { describe, expect, test } from 'vitest';
import { createCommand, linkCommand, startCommand, type Runtime } from './commands.ts';
import { layoutOf, placesOf } from './layout.ts';

const layout = layoutOf({ instance: 'abc', dataDir: '/data' });
const places = placesOf(layout, 'mch_1');
const crun: Runtime = { name: 'crun', root: layout.runtimeRoot, unifiedMount: '/sys/fs/cgroup/unified' };
const runc: Runtime = { ...crun, name: 'runc' };

const created = (runtime: Runtime) =>
  createCommand({
    runtime,
    id: 'mch_1',
    places,
    ids: { first: 7_000_000, count: 65_536 },
    init: '/cache/init/.freehold/init',
  });

describe('the commands of the oci driver', () => {
  test('make a machine in mounts of its own, with crun out of sight of the unified cgroup tree', () => {
    const command = created(crun);
    expect(command).toEqual([
      '/cache/init/.freehold/init',
      'assemble',
      '/sys/fs/cgroup/unified',
      '/run/freehold-machines/abc/machines/mch_1',
      '/data/machines/mch_1.ext4',
      '7000000',
      'listen',
      '/run/freehold-machines/abc/machines/mch_1/socket',
      '--',
      'crun',
      '--root',
      '/run/freehold-machines/abc/runtime',
      'create',
      '--preserve-fds',
      '1',
      '--bundle',
      '/run/freehold-machines/abc/machines/mch_1',
      '--pid-file',
      '/run/freehold-machines/abc/machines/mch_1/pid',
      'mch_1',
    ]);
    expect(created(runc)[2]).toBe('');
    expect(created({ ...crun, unifiedMount: undefined })[2]).toBe('');
  });

  test('start it', () => {
    const root = ['--root', '/run/freehold-machines/abc/runtime'];
    const init = '/cache/init/.freehold/init';
    const prepared = [init, 'bound', '42', 'boot', '42', '--'];
    expect(startCommand(crun, init, 'mch_1', 42)).toEqual([...prepared, 'crun', ...root, 'start', 'mch_1']);
  });

  test('link it in the same go in which our own program does what comes next, or before another command', () => {
    const init = '/cache/init/.freehold/init';
    const start = startCommand(crun, init, 'mch_1', 42);
    const link = [init, 'link', '42', 'on host', 'in machine'];
    expect(linkCommand(init, 42, 'on host', 'in machine', start)).toEqual([...link, ...start.slice(1)]);
    expect(linkCommand(init, 42, 'on host', 'in machine', ['true'])).toEqual([...link, '--', 'true']);
  });

  test('take no name that is not safe in a path', () => {
    for (const name of ['../x', 'a/b', '', '.', '-x', 'a b', 'x'.repeat(100)]) {
      expect(() => placesOf(layout, name)).toThrow('Assertion failed');
      expect(() => layoutOf({ instance: name, dataDir: '/data' })).toThrow('Assertion failed');
    }
  });
});
