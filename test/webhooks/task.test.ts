import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually, request } from '../harness/agent.ts';
import { testServer, type TestServer } from '../harness/server.ts';
import { startReceiver, type Receiver } from './receiver.ts';

let server: TestServer;
let receiver: Receiver;
beforeAll(async () => {
  server = await testServer({ FREEHOLD_ALLOW_PRIVATE_WEBHOOKS: 'on' });
  receiver = await startReceiver((reply) => void reply.writeHead(204).end());
});
afterAll(async () => {
  await server?.stop();
  await receiver?.close();
});

test('whoever gave a task is told its result, signed, in the words of GET /v1/tasks/:id', async () => {
  const agent = await server.agent(500);
  const order = {
    prompt: 'Count.\n\n```sh\nseq 3\n```',
    budget_cents: 50,
    model_slug: 'script',
    webhook_url: `${receiver.url}/told?by=freehold`,
  };
  const { body: taken } = await request(agent.url, 'POST', '/v1/tasks', { key: agent.key, body: order });
  const [arrival] = await eventually(
    async () => receiver.arrivals,
    (arrivals) => arrivals.length > 0,
  );
  const { body: task } = await request(agent.url, 'GET', taken.status_url, { key: agent.key });
  const { body: signing } = await request(agent.url, 'GET', '/v1/account/webhook-secret', { key: agent.key });
  const told = new Webhook(signing.secret).verify(arrival?.body ?? '', arrival?.headers as Record<string, string>);
  expect(told).toEqual(task);
  expect(task).toMatchObject({ status: 'succeeded', result: { text: '1\n2\n3' } });
  expect(arrival?.path).toBe('/told?by=freehold');
  const { body: log } = await request(agent.url, 'GET', '/v1/account/webhook-deliveries', { key: agent.key });
  expect(log.deliveries).toMatchObject([
    { id: arrival?.id, type: 'task.completed', subject: task.id, status: 'delivered' },
  ]);
});
