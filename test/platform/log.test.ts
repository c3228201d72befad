import { expect, test } from 'vitest';
import { createLog } from '../../src/platform/log.ts';

function written(write: (log: ReturnType<typeof createLog>) => void): string {
  const lines: string[] = [];
  write(createLog({ level: 'info', destination: { write: (line: string) => void lines.push(line) } }));
  return lines.join('');
}

test('no secret that is named as one is written, at the top or two levels deep', () => {
  const secret = 'sk-do-not-write-me';
  const text = written((log) => {
    log.info({ authorization: `Bearer ${secret}` }, 'one');
    log.info({ headers: { authorization: secret, 'x-api-key': secret, cookie: secret } }, 'two');
    log.info({ request: { body: { password: secret, client_secret: secret, api_key: secret } } }, 'three');
  });
  expect(text).not.toContain(secret);
  expect(text).toContain('[redacted]');
});

test('a database address in an error loses its password', () => {
  const text = written((log) =>
    log.error({ err: new Error('cannot reach postgresql://freehold:hunter2@db/x') }, 'away'),
  );
  expect(text).not.toContain('hunter2');
  expect(text).toContain('postgresql://freehold:[redacted]@db/x');
});

test('every line is one JSON object with time, level and message, whatever is in it', () => {
  const text = written((log) => log.info({ note: 'two\nlines' }, 'said'));
  expect(text.trimEnd().split('\n')).toHaveLength(1);
  expect(JSON.parse(text)).toMatchObject({
    level: 'info',
    msg: 'said',
    note: 'two\nlines',
    time: expect.stringMatching(/^\d{4}-/),
  });
});
