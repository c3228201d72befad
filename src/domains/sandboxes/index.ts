import type { AppError } from '../../kernel/errors.ts';
import type { AccountOp, Op } from '../../kernel/op.ts';
import { pageOf, type Page } from '../../kernel/page.ts';
import type { Clock } from '../../kernel/time.ts';
import type { Database } from '../../platform/db.ts';
import { defineSweep, type Jobs, type SweepDefinition } from '../../platform/jobs/index.ts';
import type { Log } from '../../platform/log.ts';
import type { Ledger } from '../ledger/index.ts';
import { factsAbout, type Fact, type FactSpan } from '../../platform/outbox.ts';
import type { CommandRequest, ExecOutcome, Images, LimitsRequest, Machines, Snapshot } from '../machines/index.ts';
import { create } from './begin.ts';
import { createInterpreter, type Interpreter } from './code/index.ts';
import { destroy } from './end.ts';
import { exec, working } from './exec.ts';
import { shownOf } from './kept.ts';
import { byAccessToken, byCode } from './look.ts';
import { byHostLabel, expose, ports, unexpose, type Addressed, type Exposure } from './ports.ts';
import { ownSandbox } from './policy.ts';
import { awake, pause } from './rest.ts';
import type { ExposedPort, Lifecycle, Network, Origin, Outward, Sandbox } from './sandbox.ts';
import { setNetwork } from './set-network.ts';
import { fork, snapshot } from './snapshots.ts';
import { listSandboxes } from './store.ts';
import { tick } from './tick.ts';
import { keepAlive, setEnd } from './time.ts';
import { createTokens } from './tokens.ts';
import type { SandboxesWorld } from './world.ts';

export {
  DEFAULT_LANGUAGE,
  defaultId,
  INTERPRETER_PORT,
  languageNamed,
  type Cell,
  type CodeContext,
  type CodePlace,
  type Execution,
  type ExecutionNews,
  type Interpreter,
  type Language,
} from './code/index.ts';
export { MAX_TIMEOUT_MS, shortId } from './sandbox.ts';
export type {
  EndReason,
  ExposedPort,
  Lifecycle,
  Network,
  Origin,
  Outward,
  PauseReason,
  Sandbox,
  SandboxState,
  Visibility,
} from './sandbox.ts';
export { hourlyPrice, SIZES } from './money.ts';
export { DEFAULT_LIMITS } from './plan.ts';

export type NewSandbox = {
  name?: string | undefined;
  origin: Origin;
  /** `base` where left out; an image, or a snapshot by its id or name. */
  template?: string | undefined;
  /** Of the snapshot, or those of the machines that are kept ready, where left out. */
  limits?: Omit<LimitsRequest, 'pids'> | undefined;
  /** Lives until it is destroyed or cannot be paid for where left out. */
  timeoutMs?: number | undefined;
  metadata?: Readonly<Record<string, string>> | undefined;
  env?: Readonly<Record<string, string>> | undefined;
  lifecycle?: Partial<Lifecycle> | undefined;
  network?: Partial<Network> | undefined;
};

export type ListFilter = {
  /** Both where left out. */
  states?: readonly ('running' | 'paused')[] | undefined;
  /** All of these pairs. */
  metadata?: Readonly<Record<string, string>> | undefined;
  template?: string | undefined;
  /** At this time or later. */
  startedAfter?: Date | undefined;
  order: 'asc' | 'desc';
  limit: number;
  after?: ListCursor | undefined;
};
export type ListCursor = { startedAt: Date; seq: bigint };

export type Forked = { sandbox: Sandbox } | { error: AppError };

/**
 * Sandboxes. A reference is an id, a code or `sbx-` and the code; what is not the caller's or is destroyed is
 * `not_found`. Every verb may throw `conflict` where the sandbox is in another state than the verb needs.
 */
export type Sandboxes = {
  /**
   * Answers when it takes commands, with its first minute paid. Throws `unaffordable`, `rate_limited` (the account has
   * MAX_SANDBOXES), `at_capacity`, `not_found` (the template), `invalid`, or `internal` where its machine could not be
   * made; then nothing is left and nothing is paid.
   */
  create(op: AccountOp, request: NewSandbox): Promise<Sandbox>;
  get(op: Op, reference: string): Promise<Sandbox>;
  list(op: AccountOp, filter: ListFilter): Promise<Page<Sandbox, ListCursor>>;
  /** Whatever its state; what of the last minute was not used is given back. */
  destroy(op: Op, reference: string): Promise<void>;
  /** From now; may shorten. 0 ends it at once. Throws `conflict` while it is paused. */
  setTimeout(op: Op, reference: string, timeoutMs: number): Promise<Sandbox>;
  /**
   * Lets it live at least so long from now, and wakes it where it is paused. `keepMemory: false` starts a paused one
   * from its disk even if its processes were kept.
   */
  keepAlive(
    op: Op,
    reference: string,
    timeoutMs: number | undefined,
    options?: { keepMemory?: boolean },
  ): Promise<{ sandbox: Sandbox; resumed: boolean }>;
  /**
   * Throws `conflict` where it is paused already, `rate_limited` where the account has as much paused as it may,
   * `at_capacity` where the host has. Nothing is charged while it is paused; after 30 days it is ended.
   */
  pause(op: Op, reference: string, options: { keepMemory: boolean }): Promise<Sandbox>;
  /** Ready to work: woken where it may be. Throws `conflict` where it stays paused. */
  working(op: Op, reference: string): Promise<Sandbox>;
  /** Runs a command with its variables, to its end; under an idempotency seed once. */
  exec(op: Op, reference: string, request: CommandRequest): Promise<ExecOutcome>;
  /** Of its disk, running or paused. It outlives the sandbox. */
  snapshot(op: AccountOp, reference: string, options: { name?: string | undefined }): Promise<Snapshot>;
  /** New sandboxes whose disk begins as a copy of this one's; each is there or says why not. */
  fork(op: AccountOp, reference: string, options: { count: number; timeoutMs?: number | undefined }): Promise<Forked[]>;
  /** Replaces what it may reach. Throws `conflict` unless it runs. */
  setNetwork(op: Op, reference: string, network: Outward): Promise<Sandbox>;
  /** A second subdomain replaces the first. Throws `conflict` where the subdomain is taken or reserved. */
  expose(op: Op, reference: string, request: Exposure): Promise<ExposedPort>;
  unexpose(op: Op, reference: string, port: number): Promise<void>;
  ports(op: Op, reference: string): Promise<ExposedPort[]>;
  /** Opens envd; made of the installation's secret and never stored. 40 characters. */
  accessToken(sandbox: Sandbox): string;
  /** Opens private ports; made in the same way. Any port of any sandbox may be exposed as private. */
  trafficToken(sandbox: Sandbox): string;
  /**
   * For the proxy: whose name this is, which port, and whether it is private; undefined where nobody's. The sandbox
   * may be paused.
   */
  byHostLabel(label: string): Promise<Addressed | undefined>;
  /** Running or paused, without authorisation: for envd and the proxy, which check tokens. */
  byCode(code: string): Promise<Sandbox | undefined>;
  /** The living sandbox whose access token fits: for signed URLs that name no sandbox. Newest first. */
  byAccessToken(fits: (accessToken: string) => boolean): Promise<Sandbox | undefined>;
  /**
   * Ready to take traffic: woken where it paused itself and may be woken. Answers it as it then is; one that stays
   * paused is `paused`.
   */
  awake(sandbox: Sandbox): Promise<Sandbox>;
  /** Runs code in the machines of sandboxes that are awake; whoever calls it has let the caller in. */
  interpreter: Interpreter;
  /** What happened to it: its own facts, not what was done in it. */
  history(op: Op, reference: string, span: FactSpan): Promise<Fact[]>;
  /** Does what is due: money, timeouts, lost machines, what a crash left half-done. Answers how much it did. */
  tick(op: Op): Promise<number>;
  sweeps: readonly SweepDefinition[];
};

export type SandboxesOptions = {
  db: Database;
  clock: Clock;
  log: Log;
  ledger: Ledger;
  machines: Machines;
  /** What a template's name means, where it is no snapshot's. */
  images: Pick<Images, 'resolve'>;
  jobs: Pick<Jobs, 'nudge'>;
  /** Master secret of this installation. */
  secret: Uint8Array;
};

const TICK = { name: 'sandboxes.tick' };

export function createSandboxes({ jobs, secret, ...rest }: SandboxesOptions): Sandboxes {
  const world: SandboxesWorld = { ...rest, nudge: (tx) => jobs.nudge(tx, TICK) };
  const { db } = world;
  const tokens = createTokens(secret);
  const accessToken = (sandbox: Sandbox) => tokens.accessToken(sandbox);
  return {
    create: (op, request) => create(world, op, request),
    get: async (op, reference) => shownOf(await ownSandbox(db, op, reference)),
    list: async (op, filter) => {
      const found = await listSandboxes(db, op.actor.accountId, filter);
      return pageOf(found.map(shownOf), filter.limit, ({ startedAt, seq }) => ({ startedAt, seq }));
    },
    destroy: (op, reference) => destroy(world, op, reference),
    setTimeout: (op, reference, timeoutMs) => setEnd(world, op, reference, timeoutMs),
    keepAlive: (op, reference, timeoutMs, options = {}) => keepAlive(world, op, reference, { timeoutMs, ...options }),
    pause: (op, reference, options) => pause(world, op, reference, options),
    working: (op, reference) => working(world, op, reference),
    exec: (op, reference, request) => exec(world, op, reference, request),
    snapshot: (op, reference, options) => snapshot(world, op, reference, options),
    fork: (op, reference, options) => fork(world, op, reference, options),
    setNetwork: (op, reference, network) => setNetwork(world, op, reference, network),
    expose: (op, reference, request) => expose(world, op, reference, request),
    unexpose: (op, reference, port) => unexpose(world, op, reference, port),
    ports: (op, reference) => ports(world, op, reference),
    accessToken,
    trafficToken: (sandbox) => tokens.trafficToken(sandbox),
    byHostLabel: (label) => byHostLabel(world, label),
    byCode: (code) => byCode(world, code),
    byAccessToken: (fits) => byAccessToken(world, (sandbox) => fits(tokens.accessToken(sandbox))),
    awake: (sandbox) => awake(world, sandbox),
    interpreter: createInterpreter(world.machines),
    history: async (op, reference, span) => factsAbout(db, (await ownSandbox(db, op, reference)).id, span),
    tick: (op) => tick(world, op),
    sweeps: [defineSweep({ ...TICK, everySeconds: 1, runDue: (op) => tick(world, op) })],
  };
}
