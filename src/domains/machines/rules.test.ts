import { expect, test } from 'vitest';
import { checkRules, driverRulesOf, permitsAddress, permitsName, shownRules, transformFor } from './rules.ts';

const wall = { allow: ['192.0.2.0/24'], deny: ['0.0.0.0/0'] };

test('what is allowed beats what is denied, and nothing said allows all', () => {
  expect([permitsAddress(wall, '192.0.2.9'), permitsAddress(wall, '192.0.3.9')]).toEqual([true, false]);
  expect(permitsAddress({ allow: [], deny: [] }, '192.0.3.9')).toBe(true);
});

test('a wildcard is for every name below it and not for its own', () => {
  const rules = { ...wall, names: ['*.example.com', 'example.org'] };
  const names = ['a.example.com', 'b.a.example.com', 'example.com', 'aexample.com', '.example.com', 'x.example.org'];
  expect(names.filter((name) => permitsName(rules, name))).toEqual(['a.example.com', 'b.a.example.com']);
  expect(permitsName(rules, 'example.org')).toBe(true);
});

test('of headers for several hosts, the exact one counts, then the longest wildcard', () => {
  const transforms = ['*.com', '*.a.example.com', 'b.a.example.com', '*.example.com'].map((host) => ({
    host,
    headers: {},
  }));
  const hostFor = (name: string) => transformFor({ ...wall, transforms }, name)?.host;
  expect(['b.a.example.com', 'c.a.example.com', 'a.example.com', 'x.com', 'x.org'].map(hostFor)).toEqual([
    'b.a.example.com',
    '*.a.example.com',
    '*.example.com',
    '*.com',
    undefined,
  ]);
});

test('the driver and facts are told no secret', () => {
  const rules = {
    ...wall,
    names: ['a.example'],
    transforms: [{ host: 'a.example', headers: { authorization: 'secret' } }],
    proxy: { host: 'proxy.example', port: 1_080, username: 'me', password: 'secret' },
  };
  checkRules(rules);
  expect(driverRulesOf(rules)).toEqual({ ...wall, gate: 'tcp', resolves: true });
  expect(JSON.stringify([driverRulesOf(rules), shownRules(rules)])).not.toMatch(/secret|me"/);
});

test.each(['*', '*.', 'a..b', '*.*.b', 'a b', '-a.b', 'a.b/c', 'a:1', '1.2.3.4.5', ''])('%s is no host', (name) =>
  expect(() => checkRules({ ...wall, names: [name] })).toThrow(/Hosts are names/),
);
