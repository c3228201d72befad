import { Agent } from 'node:http';
import type { Duplex } from 'node:stream';

/** Opens a new connection. Rejects where nobody answers. */
export type Dial = () => Promise<Duplex>;

/** Kept connections of one target; more are closed when they have served. */
const MAX_IDLE = 16;
/** Shorter than the five seconds after which many servers close an idle connection by themselves. */
const KEEP_IDLE_MS = 4_000;

/** Nobody answers at the target: what `dial` rejected with is the cause. */
export class Unreached extends Error {}

/** HTTP connections over whatever streams a dial gives; with `keep` they serve again. */
export class DialledAgent extends Agent {
  readonly #dial: Dial;
  readonly #idle = new WeakMap<Duplex, NodeJS.Timeout>();

  constructor(dial: Dial, options: { keep: boolean }) {
    super({ keepAlive: options.keep, maxFreeSockets: MAX_IDLE });
    this.#dial = dial;
  }

  override createConnection(_options: unknown, opened?: (error: Error | null, stream: Duplex) => void): undefined {
    this.#dial().then(
      (stream) => opened?.(null, 'ref' in stream ? stream : Object.assign(stream, { ref: () => {} })),
      // Node takes an error alone; its types insist on a stream beside it.
      (cause: unknown) => (opened as (error: Error) => void)(new Unreached('Nobody answers', { cause })),
    );
  }

  /** All go to one target. */
  override getName(): string {
    return 'target';
  }

  override keepSocketAlive(stream: Duplex): boolean {
    this.#idle.set(stream, setTimeout(() => stream.destroy(), KEEP_IDLE_MS).unref());
    return true;
  }

  override reuseSocket(stream: Duplex, request: Parameters<Agent['reuseSocket']>[1]): void {
    clearTimeout(this.#idle.get(stream));
    super.reuseSocket(stream, request);
  }

  /** Whether it holds no connection. */
  isIdle(): boolean {
    return Object.keys(this.sockets).length === 0 && Object.keys(this.freeSockets).length === 0;
  }
}
