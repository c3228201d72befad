import { expect, test } from 'vitest';
import { createMetrics } from '../../src/platform/metrics.ts';

test('requests, jobs and figures that are looked up are told in the text format', async () => {
  const metrics = createMetrics({ version: '1.2.3' });
  metrics.answered({ method: 'GET', route: '/v1/tasks/{id}', status: 200, seconds: 0.02 });
  metrics.answered({ method: 'GET', route: '/v1/tasks/{id}', status: 200 });
  metrics.proxied({ kind: 'request', outcome: 'passed' });
  metrics.proxied({ kind: 'tunnel', outcome: 'refused' });
  metrics.jobRan({ job: 'tasks.run', outcome: 'done', seconds: 2 });
  metrics.gauge('freehold_machines', 'Machines that run.', async () => 7);
  const text = await metrics.text();
  expect(text).toContain('freehold_http_requests_total{method="GET",route="/v1/tasks/{id}",status="200"} 2');
  expect(text).toContain('freehold_http_request_seconds_count{method="GET",route="/v1/tasks/{id}"} 1');
  expect(text).toContain('freehold_proxied_requests_total{kind="request",outcome="passed"} 1');
  expect(text).toContain('freehold_proxied_requests_total{kind="tunnel",outcome="refused"} 1');
  expect(text).toContain('freehold_job_seconds_count{job="tasks.run",outcome="done"} 1');
  expect(text).toContain('freehold_machines 7');
  expect(text).toContain('freehold_info{version="1.2.3"} 1');
});

test('two servers in one process count apart', async () => {
  const [one, other] = [createMetrics({ version: '1' }), createMetrics({ version: '1' })];
  one.answered({ method: 'GET', route: '/', status: 200 });
  expect(await other.text()).not.toContain('freehold_http_requests_total{');
});
