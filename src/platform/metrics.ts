import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { RunReport } from './jobs/index.ts';

/** One answered request, by the pattern of its route: a path with ids in it would make a new series for each. */
export type AnsweredRequest = { route: string; method: string; status: number; seconds?: number };

/** By kinds only: a tenant's names and its programs' statuses would make a new series for each. */
export type ProxiedRequest = { kind: 'request' | 'tunnel'; outcome: 'passed' | 'refused' | 'failed' };

export type Metrics = {
  answered(request: AnsweredRequest): void;
  /** A request to a tenant's port. */
  proxied(visit: ProxiedRequest): void;
  jobRan(run: RunReport): void;
  /** A figure that is looked up when somebody asks, such as how many machines run. */
  gauge(name: string, help: string, look: () => Promise<number> | number): void;
  /** Everything in the text format of Prometheus. */
  text(): Promise<string>;
  readonly contentType: string;
};

const REQUEST_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const JOB_SECONDS = [0.01, 0.05, 0.25, 1, 5, 30, 120, 600, 3600];

/** The figures of one server. Each has its own registry, so that several can live in one process. */
export function createMetrics({ version }: { version: string }): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  new Gauge({ name: 'freehold_info', help: 'The running version.', labelNames: ['version'], registers }).set(
    { version },
    1,
  );
  const requests = new Counter({
    name: 'freehold_http_requests_total',
    help: 'Answered requests.',
    labelNames: ['method', 'route', 'status'],
    registers,
  });
  const requestSeconds = new Histogram({
    name: 'freehold_http_request_seconds',
    help: 'Time from the request to its answer.',
    labelNames: ['method', 'route'],
    buckets: REQUEST_SECONDS,
    registers,
  });
  const visits = new Counter({
    name: 'freehold_proxied_requests_total',
    help: "Requests to tenants' ports: passed on, refused because nobody may or nothing listens, or failed here.",
    labelNames: ['kind', 'outcome'],
    registers,
  });
  const jobSeconds = new Histogram({
    name: 'freehold_job_seconds',
    help: 'Runs of jobs, by what became of them.',
    labelNames: ['job', 'outcome'],
    buckets: JOB_SECONDS,
    registers,
  });
  return {
    answered({ method, route, status, seconds }) {
      requests.inc({ method, route, status });
      if (seconds !== undefined) requestSeconds.observe({ method, route }, seconds);
    },
    proxied: (visit) => visits.inc(visit),
    jobRan: ({ job, outcome, seconds }) => jobSeconds.observe({ job, outcome }, seconds),
    gauge(name, help, look) {
      const collect = async function (this: Gauge) {
        this.set(await look());
      };
      registry.registerMetric(new Gauge({ name, help, registers: [], collect }));
    },
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}
