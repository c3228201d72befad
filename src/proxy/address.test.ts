import { describe, expect, test } from 'vitest';
import { addressOf, partsOf, type Head } from './address.ts';

const APPS = 'apps.example.com';
const to = (host: string, changes: Partial<Head> = {}) =>
  addressOf(
    { url: '/x', hosts: [host], transferEncoding: undefined, sandboxId: undefined, sandboxPort: undefined, ...changes },
    APPS,
  );

describe('a host leads', () => {
  test.each([
    ['example.com', { kind: 'own' }],
    ['apps.example.com.evil.com', { kind: 'own' }],
    ['myapps.example.com', { kind: 'own' }],
    ['[::1]:8080', { kind: 'own' }],
    ['', { kind: 'own' }],
    ['shop.apps.example.com', { kind: 'label', label: 'shop', host: 'shop.apps.example.com', path: '/x' }],
    ['SHOP.Apps.Example.com.:443', { kind: 'label', label: 'shop', host: 'shop.apps.example.com', path: '/x' }],
    ['3000-abc.apps.example.com', { kind: 'label', label: '3000-abc', host: '3000-abc.apps.example.com', path: '/x' }],
    ['49983-abc.apps.example.com', { kind: 'envd', code: 'abc', path: '/e2b/envd/x' }],
    ['apps.example.com', { kind: 'nowhere', host: 'apps.example.com' }],
    ['a.b.apps.example.com', { kind: 'nowhere', host: 'a.b.apps.example.com' }],
    ['-a.apps.example.com', { kind: 'nowhere', host: '-a.apps.example.com' }],
    ['a_b.apps.example.com', { kind: 'nowhere', host: 'a_b.apps.example.com' }],
    ['x@shop.apps.example.com', { kind: 'nowhere', host: 'x@shop.apps.example.com' }],
    ['..apps.example.com', { kind: 'nowhere', host: '..apps.example.com' }],
  ])('%s', (host, address) => expect(to(host)).toEqual(address));

  test('nowhere in time that grows with its length alone', () => {
    for (const host of ['.'.repeat(30_000), `${'.'.repeat(30_000)}x`, `${':1'.repeat(15_000)}x`])
      expect(to(host)).toEqual({ kind: 'own' });
  });
});

test('a pair of headers leads to a port of a sandbox, with the shared prefix or without', () => {
  const pair = (url: string, port: string) => to('example.com', { url, sandboxId: 'ABC', sandboxPort: port });
  expect(pair('/y?z', '80')).toEqual({ kind: 'pair', code: 'abc', port: 80, path: '/y?z' });
  expect(pair('/e2b/envd', '80')).toEqual({ kind: 'pair', code: 'abc', port: 80, path: '/' });
  expect(pair('/e2b/envd?z', '80')).toEqual({ kind: 'pair', code: 'abc', port: 80, path: '/?z' });
  expect(pair('/e2b/envdx', '80')).toEqual({ kind: 'pair', code: 'abc', port: 80, path: '/e2b/envdx' });
  expect(pair('/e2b/envd/y', '49983')).toEqual({ kind: 'envd', code: 'abc', path: '/e2b/envd/y' });
  for (const port of ['', '0', '65536', '080000', '-1', '1e3', ' 80']) expect(pair('/', port).kind).toBe('invalid');
});

test('a label names a port only where there can be one', () => {
  expect(partsOf('3000-abc')).toEqual({ port: 3_000, code: 'abc' });
  for (const label of ['0-abc', '65536-abc', '3000-', '3000-a-b', 'abc-3000', '3000'])
    expect(partsOf(label)).toBeUndefined();
});
