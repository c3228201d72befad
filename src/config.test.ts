import { describe, expect, test } from 'vitest';
import { ConfigError, readConfig } from './config.ts';

const problemsOf = (env: Record<string, string>): string[] => {
  try {
    readConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split('\n');
    throw error;
  }
  return [];
};

describe('settings', () => {
  test('no variable at all is a complete configuration on loopback', () => {
    expect(readConfig({})).toMatchObject({
      host: '127.0.0.1',
      port: 8080,
      roles: { api: true, worker: true },
      testClock: 'off',
    });
  });

  test('an empty variable is an unset one', () => {
    expect(readConfig({ FREEHOLD_PORT: '', FREEHOLD_DATABASE_URL: '' }).port).toBe(8080);
  });

  test('every problem is listed at once, by the name of its variable', () => {
    const problems = problemsOf({
      FREEHOLD_PORT: '70000',
      FREEHOLD_RATE_LIMITS: 'maybe',
      FREEHOLD_DATABASE_URL: 'mysql://x',
    });
    expect(new Set(problems.map((line) => line.split(' ', 1)[0]))).toEqual(
      new Set(['FREEHOLD_DATABASE_URL', 'FREEHOLD_PORT', 'FREEHOLD_RATE_LIMITS']),
    );
  });

  test('a choice that there is not is told with those that there are', () => {
    expect(problemsOf({ FREEHOLD_ROLES: 'api,cook,maid', FREEHOLD_RATE_LIMITS: 'maybe' })).toEqual([
      'FREEHOLD_ROLES must be a comma list of api and worker, or all',
      'FREEHOLD_RATE_LIMITS must be one of on, off',
    ]);
  });

  test('a setting that this version does not know is reported, so that a typing error does not pass unseen', () => {
    expect(readConfig({ FREEHOLD_PROT: '1' }).unknown).toEqual(['FREEHOLD_PROT']);
  });

  test('where stable-coins are taken is told whole, and a slip in it stops the start', () => {
    const url = 'https://rpc.example.com/key';
    const token = '0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48';
    const evm = { FREEHOLD_EVM_RPC_URL: url, FREEHOLD_EVM_TOKEN: token };
    expect(readConfig({}).evm).toBeUndefined();
    expect(readConfig(evm).evm).toEqual({ rpcUrl: url, token, confirmations: 12, formerCoins: 'credited' });
    expect(readConfig({ ...evm, FREEHOLD_EVM_TOKEN: token.toLowerCase() }).evm).toBeDefined();
    const wrong: Record<string, string>[] = [
      { FREEHOLD_EVM_TOKEN: token.replace('A0b8', 'a0b8') },
      { FREEHOLD_EVM_TOKEN: 'USDC' },
      { FREEHOLD_EVM_TOKEN: '' },
      { FREEHOLD_EVM_RPC_URL: 'ws://127.0.0.1:8545' },
      { FREEHOLD_EVM_RPC_URL: 'https://me:secret@rpc.example.com' },
      { FREEHOLD_EVM_CONFIRMATIONS: '0' },
      { FREEHOLD_EVM_CONFIRMATIONS: '1001' },
      { FREEHOLD_EVM_CONFIRMATIONS: 'many' },
    ];
    for (const slip of wrong)
      expect([slip, problemsOf({ ...evm, ...slip })]).toEqual([
        slip,
        [expect.stringMatching(new RegExp(`^${Object.keys(slip)[0]} must be`))],
      ]);
  });

  test('a search engine is named without a login, which would never be sent', () =>
    expect(problemsOf({ FREEHOLD_SEARCH_URL: 'https://me:secret@search.example.com' })).toEqual([
      'FREEHOLD_SEARCH_URL must be without a user name or password',
    ]));

  test('the domain of apps is a name beside the server’s own, never one that holds it', () => {
    expect(readConfig({ FREEHOLD_APPS_DOMAIN: 'Apps.Example.COM' }).appsDomain).toBe('apps.example.com');
    for (const domain of ['localhost', '127.0.0.1', 'a..b', '-a.com', 'a b', '*.a.com'])
      expect(problemsOf({ FREEHOLD_APPS_DOMAIN: domain })).toEqual([
        expect.stringMatching(/^FREEHOLD_APPS_DOMAIN must /),
      ]);
    const publicUrl = 'https://cloud.example.com';
    for (const domain of ['cloud.example.com', 'example.com'])
      expect(problemsOf({ FREEHOLD_APPS_DOMAIN: domain, FREEHOLD_PUBLIC_URL: publicUrl })).toHaveLength(1);
    expect(problemsOf({ FREEHOLD_APPS_DOMAIN: 'apps.cloud.example.com', FREEHOLD_PUBLIC_URL: publicUrl })).toEqual([]);
  });

  test('the ports for SSH are a range', () => {
    expect(readConfig({ FREEHOLD_HOST: '10.0.0.1', FREEHOLD_SSH_PORTS: '3000-3000' }).ssh).toEqual({
      host: '10.0.0.1',
      ports: { first: 3_000, last: 3_000 },
    });
    for (const range of ['3000', '3001-3000', '22-30', '3000-70000', '3000-', 'a-b', '1-2-3'])
      expect(problemsOf({ FREEHOLD_SSH_PORTS: range })).toEqual([expect.stringMatching(/^FREEHOLD_SSH_PORTS must /)]);
  });

  test('the test clock is refused on an address that others can reach', () => {
    expect(problemsOf({ FREEHOLD_TEST_CLOCK: 'on', FREEHOLD_HOST: '0.0.0.0' })).toEqual([
      'FREEHOLD_TEST_CLOCK must be off unless FREEHOLD_HOST is a loopback address',
    ]);
    expect(readConfig({ FREEHOLD_TEST_CLOCK: 'on', FREEHOLD_HOST: '127.0.0.1' }).testClock).toBe('on');
  });

  test('GitHub is set up by an id with its secret; its addresses are GitHub’s own, or those of an Enterprise server', () => {
    const app = { GITHUB_CLIENT_ID: 'id', GITHUB_CLIENT_SECRET: 'secret' };
    const github = (more: Record<string, string> = {}) => readConfig({ ...app, ...more }).github;
    expect(readConfig({ FREEHOLD_GITHUB_URL: 'https://ghe.test' }).github).toBeUndefined();
    expect(github()).toEqual({
      clientId: 'id',
      clientSecret: 'secret',
      url: 'https://github.com',
      apiUrl: 'https://api.github.com',
    });
    expect(github({ FREEHOLD_GITHUB_URL: 'https://ghe.test/' })).toMatchObject({
      url: 'https://ghe.test',
      apiUrl: 'https://ghe.test/api/v3',
    });
    expect(github({ FREEHOLD_GITHUB_API_URL: 'http://127.0.0.1:9/' })?.apiUrl).toBe('http://127.0.0.1:9');
    for (const name of Object.keys(app))
      expect(problemsOf({ [name]: 'x' })).toEqual(['GITHUB_CLIENT_SECRET must be set together with GITHUB_CLIENT_ID']);
  });
});
