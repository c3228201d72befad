import { describe, expect, test } from 'vitest';
import { CommandFailed, must, mustTake, outputOf, run } from './run.ts';

const sh = (script: string, options: Parameters<typeof run>[1] = {}) => run(['/bin/sh', '-c', script], options);

describe('a command of ours', () => {
  test('gets its input and answers with its output and exit code', async () => {
    const result = await sh('cat; echo err >&2; exit 3', { stdin: 'in' });
    expect(result).toMatchObject({ kind: 'exited', exitCode: 3, stdoutTruncated: false });
    expect([result.stdout.toString(), result.stderr.toString()]).toEqual(['in', 'err\n']);
  });

  test('gets no environment but the one that it is given', async () => {
    process.env['FREEHOLD_SECRET_OF_THE_TEST'] = 'x';
    const names = (await sh('env', { env: { GIVEN: 'y' } })).stdout.toString().match(/^\w+(?==)/gm);
    expect(names?.filter((name) => name !== 'PWD').toSorted()).toEqual(['GIVEN', 'LC_ALL', 'PATH']);
  });

  test('is told in full when it had to succeed and did not', async () => {
    const failure = await must(['/bin/sh', '-c', 'echo why >&2; exit 4']).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(CommandFailed);
    expect(String(failure)).toMatch(/exit code 4: why/);
    await expect(must(['/no/such/program'])).rejects.toThrow('ENOENT');
  });

  test('keeps output up to the limit, and reads the rest', async () => {
    const result = await sh('head -c 3000000 /dev/zero; echo end >&2', { maxOutputBytes: 10 });
    expect(result).toMatchObject({ kind: 'exited', exitCode: 0, stdoutTruncated: true, stderrTruncated: false });
    expect([result.stdout.length, result.stderr.toString()]).toEqual([10, 'end\n']);
  });

  test('loses nothing that was written before its end, much or little', async () => {
    for (const size of [1, 65_536, 65_537, 1_000_000]) {
      const options = { maxOutputBytes: 2_000_000 };
      expect((await sh(`head -c ${size} /dev/zero`, options)).stdout.length).toBe(size);
      expect((await sh(`head -c ${size} /dev/zero; sleep 2 &`, options)).stdout.length).toBe(size);
    }
  });

  test('is over when it ends, whoever else holds its output', async () => {
    const result = await sh('sleep 2 & echo begun');
    expect(result).toMatchObject({ kind: 'exited', exitCode: 0 });
    expect(result.stdout.toString()).toBe('begun\n');
  });

  test('dies at its timeout and on abort, with its children, and its output so far is kept', async () => {
    const result = await sh("trap '' TERM; echo begun; sleep 61 & sleep 62", { timeoutMs: 300 });
    expect([result.kind, result.stdout.toString()]).toEqual(['timeout', 'begun\n']);
    const wanted = new AbortController();
    const aborted = await sh('echo begun; sleep 61', { signal: wanted.signal, onOutput: () => wanted.abort() });
    expect(aborted.kind).toBe('aborted');
    expect((await sh('echo never', { signal: AbortSignal.abort() })).kind).toBe('aborted');
    expect((await sh("ps -eo args | grep -c '^sleep 6[12]'")).stdout.toString().trim()).toBe('0');
  });

  test('whose listener fails is ended, and the failure is told', async () => {
    const failing = sh('echo x; sleep 30', {
      onOutput: () => {
        throw new Error('the listener failed');
      },
    });
    await expect(failing).rejects.toThrow('the listener failed');
  });
});

describe('a command with a long input or output', () => {
  const signal = AbortSignal.timeout(30_000);
  const CHUNK = Buffer.alloc(100_000);

  async function* input(atTheEnd?: Error): AsyncGenerator<Buffer> {
    for (let n = 0; n < 50; n++) yield CHUNK;
    if (atTheEnd) throw atTheEnd;
  }
  const premature = Object.assign(new Error('it broke off'), { code: 'ERR_STREAM_PREMATURE_CLOSE' });

  test('takes all of it, or has failed, also where it says that it has not', async () => {
    const shell = (script: string, given = input()) => mustTake(['/bin/sh', '-c', script], given, { signal });
    await expect(shell('test "$(wc -c)" = 5000000')).resolves.toBeUndefined();
    await expect(shell('head -c 10 > /dev/null')).rejects.toThrow(/to the end/);
    await expect(shell('cat > /dev/null; exit 3')).rejects.toBeInstanceOf(CommandFailed);
    await expect(shell('cat > /dev/null', input(new Error('found wrong')))).rejects.toThrow('found wrong');
    await expect(shell('cat > /dev/null', input(premature))).rejects.toThrow();
  });

  test('gives all of it, or ends with an error', async () => {
    const length = async (script: string) => {
      let bytes = 0;
      for await (const chunk of outputOf(['/bin/sh', '-c', script], { signal })) bytes += chunk.length;
      return bytes;
    };
    expect(await length('head -c 5000000 /dev/zero')).toBe(5_000_000);
    await expect(length('head -c 5000 /dev/zero; exit 3')).rejects.toBeInstanceOf(CommandFailed);
  });
});
