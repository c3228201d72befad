import { Duplex } from 'node:stream';
import { duplexPair } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { createInit, type Init, MachineLost } from '../../src/domains/machines/init/index.ts';
import { FRAME } from '../../src/domains/machines/init/protocol.ts';
import { all, collect, collectContent, shell } from './machine.ts';

const user = 'user';

function frame(type: number, payload: string | Buffer = '', length = Buffer.byteLength(payload)): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(length);
  head.writeUInt8(type, 4);
  return Buffer.concat([head, Buffer.from(payload)]);
}
const pairs = (fields: Record<string, string | number>): string =>
  Object.entries(fields)
    .map(([key, value]) => `${key}\0${value}\0`)
    .join('');

/** A machine that says these bytes to whatever it is asked, and then closes or goes silent. */
function saying(bytes: Buffer, then: 'close' | 'silence' = 'close'): Init {
  return createInit(async () => {
    const [ours, theirs] = duplexPair();
    theirs.once('data', () => {
      if (then === 'close') theirs.end(bytes);
      else theirs.write(bytes);
    });
    theirs.on('error', () => {});
    return ours;
  });
}

const ENTRY = {
  path: '/a',
  name: 'a',
  kind: 'file',
  size: 3,
  mode: '644',
  uid: 0,
  gid: 0,
  owner: 'root',
  group: 'root',
  modified: '1.000000000',
};
const entry = (changes: Record<string, string | number>): Buffer => frame(FRAME.entry, pairs({ ...ENTRY, ...changes }));

/** Every way of asking, to the end of what is answered. */
const ASKING: Record<string, (init: Init) => Promise<unknown>> = {
  start: async (init) => collect(await init.start(shell('true'))),
  attach: async (init) => collect(await init.attach({ pid: 7 })),
  runs: (init) => init.runs(),
  signal: (init) => init.signal({ tag: 'x' }, 9, 'tree'),
  input: (init) => init.input({ tag: 'x' }, Buffer.alloc(200_000)),
  stat: (init) => init.stat('/a', { user, follow: true }),
  list: (init) => init.list('/a', { user, depth: 1, limit: 2 }),
  read: async (init) => collectContent(await init.read('/a', { user })),
  write: (init) => init.write('/a', endless(), { user }),
  makeDirectory: (init) => init.makeDirectory('/a', { user }),
  move: (init) => init.move('/a', '/b', { user }),
  remove: (init) => init.remove('/a', { user }),
  watch: async (init) => all(await init.watch('/a', { user, recursive: true })),
  dial: (init) => init.dial(80),
  home: (init) => init.home('root'),
};

async function* endless(): AsyncGenerator<Uint8Array> {
  for (;;) yield Buffer.alloc(65_536);
}

describe("nonsense from a machine's init is the loss of the machine", () => {
  const NONSENSE: Record<string, Buffer> = {
    nothing: Buffer.alloc(0),
    'half a head': Buffer.alloc(3),
    'a frame without end': Buffer.alloc(50, 0xff),
    'half a frame': frame(FRAME.done, 'x', 1_000),
    'a type that is none': frame(250),
    'an error without a name': frame(FRAME.error, pairs({ errno: 'oh no' })),
    'strings without an end': frame(FRAME.error, 'errno'),
    'a page': Buffer.from('HTTP/1.1 200 OK\r\n\r\n'),
  };

  test.each(Object.entries(ASKING))('%s', async (_, asking) => {
    for (const bytes of Object.values(NONSENSE)) await expect(asking(saying(bytes))).rejects.toThrow(MachineLost);
  });

  const started = frame(FRAME.done, pairs({ pid: 7 }));
  const output = (stream: number, offset: bigint): Buffer => {
    const head = Buffer.alloc(9);
    head.writeUInt8(stream);
    head.writeBigUInt64BE(offset, 1);
    return frame(FRAME.output, head);
  };
  const LATER: [string, string, Buffer][] = [
    ['start', 'a process without a number', frame(FRAME.done, pairs({ pid: '-7' }))],
    ['start', 'output of no stream', Buffer.concat([started, output(3, 0n)])],
    ['start', 'output at no offset', Buffer.concat([started, output(0, 2n ** 60n)])],
    ['start', 'output that is too short', Buffer.concat([started, frame(FRAME.output, 'abc')])],
    ['start', 'an exit that is none', Buffer.concat([started, frame(FRAME.exit, pairs({ timedOut: 0 }))])],
    ['start', 'an exit code out of range', Buffer.concat([started, frame(FRAME.exit, pairs({ code: 256 }))])],
    ['start', 'no exit', Buffer.concat([started, output(0, 0n)])],
    ['runs', 'a run without a number', frame(FRAME.run, pairs({ startedAt: 1 }))],
    ['runs', 'a run of no time', frame(FRAME.run, pairs({ pid: 1, startedAt: '9'.repeat(20) }))],
    [
      'runs',
      'runs without end',
      Buffer.concat(Array.from({ length: 5_000 }, () => frame(FRAME.run, pairs({ pid: 1, startedAt: 1 })))),
    ],
    ['stat', 'a file of no kind', entry({ kind: 'door' })],
    ['stat', 'a file of no size', entry({ size: '-1' })],
    ['stat', 'a file of no mode', entry({ mode: '99' })],
    ['stat', 'a file of no time', entry({ modified: 'yesterday' })],
    [
      'list',
      'more entries than asked for',
      Buffer.concat([entry({}), entry({}), entry({}), frame(FRAME.done, pairs({ truncated: 0 }))]),
    ],
    ['read', 'more of a file than it has', Buffer.concat([entry({}), frame(FRAME.data, 'more'), frame(FRAME.done)])],
    ['read', 'less of a file than was begun', Buffer.concat([entry({}), frame(FRAME.data, 'mo')])],
    ['write', 'a file before it was written', Buffer.concat([frame(FRAME.ready), entry({})])],
    ['write', 'an end in the middle', frame(FRAME.ready)],
    [
      'watch',
      'a change of no kind',
      Buffer.concat([frame(FRAME.ready), frame(FRAME.event, pairs({ path: 'a', type: 'eaten' }))]),
    ],
    ['home', 'a user without a home', frame(FRAME.done, pairs({ uid: 0 }))],
    ['home', 'a user of no number', frame(FRAME.done, pairs({ home: '/', shell: '/', uid: 'x', gid: 0 }))],
  ];

  test.each(LATER)('%s: %s', async (name, _, bytes) => {
    await expect(ASKING[name]!(saying(bytes))).rejects.toThrow(MachineLost);
  });
});

describe('a client', () => {
  test('that cannot connect has lost the machine, and says why to the log', async () => {
    const init = createInit(() => Promise.reject(new Error('refused')));
    for (const asking of Object.values(ASKING))
      await expect(asking(init)).rejects.toMatchObject({ name: 'MachineLost', cause: { message: 'refused' } });
  });

  test('that finds the machine busy for a moment tries again', async () => {
    let attempts = 0;
    const [ours, theirs] = duplexPair();
    theirs.once('data', () => theirs.end(frame(FRAME.done)));
    const init = createInit(async () => {
      if (++attempts < 3) throw Object.assign(new Error('busy'), { code: 'EAGAIN' });
      return ours;
    });
    await init.closeInput({ pid: 1 });
    expect(attempts).toBe(3);
  });

  test('takes no more of a list than fits into a part of the server’s memory', async () => {
    const large = entry({ target: 'x'.repeat(1_000_000) });
    const init = saying(Buffer.concat(Array.from({ length: 50 }, () => large)));
    const { entries, truncated } = await init.list('/a', { user, depth: 1, limit: 100 });
    expect([entries.length, truncated]).toEqual([33, true]);
  });

  test('hears a refusal in the middle of what it sends, and stops asking for more', async () => {
    const refusal = Buffer.concat([frame(FRAME.ready), frame(FRAME.error, pairs({ errno: 'ENOSPC' }))]);
    await expect(saying(refusal, 'silence').write('/a', endless(), { user })).rejects.toMatchObject({
      errno: 'ENOSPC',
    });
  });

  test('sends no more than the machine takes', async () => {
    let sent = 0;
    async function* counted() {
      for (;;) {
        sent += 65_536;
        yield Buffer.alloc(65_536);
      }
    }
    const init = createInit(async () => {
      const [ours, theirs] = duplexPair();
      // Reads the request, and nothing after it.
      theirs.once('readable', () => {
        theirs.read();
        theirs.write(frame(FRAME.ready));
      });
      setTimeout(() => theirs.destroy(new Error('gone')), 300);
      theirs.on('error', () => {});
      return ours;
    });
    await expect(init.write('/a', counted(), { user })).rejects.toThrow(MachineLost);
    expect(sent).toBeLessThan(1_000_000);
  });

  test('understands frames however they are cut', async () => {
    const bytes = Buffer.concat([
      frame(FRAME.done, pairs({ pid: 7 })),
      frame(FRAME.exit, pairs({ code: 3, timedOut: 0 })),
    ]);
    const init = createInit(async () => {
      const left = [...bytes];
      return new Duplex({
        read() {
          const next = left.shift();
          setImmediate(() => this.push(next === undefined ? null : Buffer.of(next)));
        },
        write: (_chunk, _encoding, taken) => taken(),
      });
    });
    expect(await collect(await init.start(shell('true')))).toMatchObject({ exitCode: 3, timedOut: false });
  });
});
