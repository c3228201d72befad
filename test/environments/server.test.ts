import { afterAll, expect, test } from 'vitest';
import { startFakeGithub } from '../fakes/github.ts';
import { credit, request } from '../harness/agent.ts';
import { testServer } from '../harness/server.ts';

const github = await startFakeGithub();
const { clientId, clientSecret } = github.app();
const server = await testServer({
  GITHUB_CLIENT_ID: clientId,
  GITHUB_CLIENT_SECRET: clientSecret,
  FREEHOLD_GITHUB_URL: github.url,
  FREEHOLD_SIGNUP_BONUS_CENTS: '25',
});
afterAll(async () => {
  await server.stop();
  await github.close();
});

test('the server as it is started logs people in with the OAuth app of its settings, and they pay with its ledger', async () => {
  const { body: start } = await request(server.url, 'GET', '/auth/github');
  const came = github.authorize(start.authorization_url, { id: 1, login: 'ada', email: 'ada@example.com' });
  const { body: login } = await request(server.url, 'POST', '/auth/github', { body: came });
  expect(login).toMatchObject({ is_new_user: true, token_type: 'Bearer' });
  await credit(server.url, server.adminKey, login.user_id, 100);
  const { body: made } = await request(server.url, 'POST', '/users/me/api-keys', { key: login.access_token, body: {} });
  const balance = await request(server.url, 'GET', '/billing/balance', { key: made.key });
  expect(balance.body).toMatchObject({ user_id: login.user_id, balance: 125, total_deposited: 125, total_spent: 0 });
  const { body: usage } = await request(server.url, 'GET', '/api/v1/billing/usage', { key: login.access_token });
  expect(usage.transactions.map(({ description }: { description: string }) => description)).toEqual([
    'Admin top-up',
    'Welcome',
  ]);
});
