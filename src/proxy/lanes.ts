import type { Duplex } from 'node:stream';
import { isRefused, type Machines } from '../domains/machines/index.ts';
import type { MachineId } from '../kernel/ids.ts';
import type { Op } from '../kernel/op.ts';
import { MINUTE, SECOND, type Clock } from '../kernel/time.ts';
import { within } from '../platform/deadline.ts';
import { secured } from '../platform/egress/outward.ts';
import { createTarget, type Target } from '../platform/forward.ts';
import { createPlaces } from './places.ts';

/** Requests and tunnels that are open at a time, in one process; a machine has its own over all its ports. */
export const MAX_OPEN = { each: 1_024, all: 16_384, network: 256 };
/** A connection on which nothing passes for so long is cut. */
const IDLE_MS = 15 * MINUTE;
/** A machine that runs takes a connection or refuses it at once. */
const DIAL_TIMEOUT_MS = 10 * SECOND;
/** What has just been woken may not listen yet: it is asked again so often, with this pause between. */
const WAKING_ATTEMPTS = 20;
const WAKING_PAUSE_MS = 50;
/** A target that has not been used for so long is forgotten. */
const FORGET_MS = 10 * SECOND;

/** The way to one port of one machine. */
export type Place = { machineId: MachineId; port: number; tls: boolean };

export type Lanes = {
  /** Uses the way to a port. Undefined where the machine, or who visits it, has as many open as it may have. */
  use<Result>(
    place: Place,
    options: { woken: boolean; network: string },
    work: (target: Target) => Promise<Result>,
  ): Promise<Result | undefined>;
  /** Cuts every connection to every machine. */
  close(): void;
};

type Lane = { target: Target; open: number; wokenLately: boolean };

/** Keeps connections to machines' ports, of each port by itself, and counts what is open. */
export function createLanes({ machines, clock }: { machines: Pick<Machines, 'dial'>; clock: Clock }): Lanes {
  const lanes = new Map<string, Lane>();
  const open = createPlaces(MAX_OPEN);
  const closing = new AbortController();

  const laneTo = ({ machineId, port, tls }: Place): { key: string; lane: Lane } => {
    const key = `${machineId}:${port}:${tls}`;
    const known = lanes.get(key);
    if (known) return { key, lane: known };
    const dial = () => patiently(() => dialOnce({ machineId, port, tls }), lane);
    const lane: Lane = { target: createTarget(dial, { idleMs: IDLE_MS }), open: 0, wokenLately: false };
    lanes.set(key, lane);
    return { key, lane };
  };

  const dialOnce = async ({ machineId, port, tls }: Place): Promise<Duplex> => {
    const stream = await within(DIAL_TIMEOUT_MS, closing.signal, (signal) =>
      machines.dial(proxyOp(clock, signal), machineId, port),
    );
    // It is known to be the machine; who its certificate says that it is, adds nothing.
    return tls ? secured(stream, { verified: false }) : stream;
  };

  const forgetSoon = (key: string, lane: Lane) =>
    setTimeout(() => {
      if (lane.open === 0 && lane.target.isIdle() && lanes.get(key) === lane) lanes.delete(key);
    }, FORGET_MS).unref();

  return {
    async use(place, { woken, network }, work) {
      if (!open.take(place.machineId, network)) return undefined;
      const { key, lane } = laneTo(place);
      lane.open += 1;
      lane.wokenLately ||= woken;
      try {
        return await work(lane.target);
      } finally {
        lane.open -= 1;
        open.give(place.machineId, network);
        if (lane.open === 0) forgetSoon(key, lane);
      }
    },
    close: () => closing.abort(new Error('The server is stopping')),
  };
}

/** Asks what has just been woken again for a moment. What refuses otherwise refuses at once. */
async function patiently(dial: () => Promise<Duplex>, lane: Lane): Promise<Duplex> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const stream = await dial();
      lane.wokenLately = false;
      return stream;
    } catch (error) {
      if (!lane.wokenLately || !isRefused(error) || attempt >= WAKING_ATTEMPTS) {
        lane.wokenLately = false;
        throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, WAKING_PAUSE_MS));
    }
  }
}

/** What the proxy asks of machines it asks for everybody who visits them. */
export const proxyOp = (clock: Clock, signal: AbortSignal): Op => ({
  actor: { kind: 'system', name: 'proxy' },
  requestId: 'proxy',
  now: clock.now(),
  signal,
});
