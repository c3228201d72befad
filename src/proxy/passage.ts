import { WEB_PORT, type Compute } from '../domains/compute/index.ts';
import { isRefused, type Machines } from '../domains/machines/index.ts';
import type { Sandbox, Sandboxes } from '../domains/sandboxes/index.ts';
import { AppError } from '../kernel/errors.ts';
import { sameSecret } from '../platform/crypto.ts';
import type { Outcome } from '../platform/forward.ts';
import { partsOf, type Address } from './address.ts';
import type { Place } from './lanes.ts';
import * as refusal from './refusal.ts';
import type { Refusal } from './refusal.ts';

export type SandboxesBehind = Pick<Sandboxes, 'awake' | 'byCode' | 'byHostLabel' | 'trafficToken'>;
export type ComputersBehind = Pick<Compute, 'bySubdomain'>;
export type MachinesBehind = Pick<Machines, 'dial'>;

/** What a visitor may go through to. */
export type Passage = {
  place: Place;
  sandboxId: string;
  /** It was asleep until this visit. */
  woken: boolean;
  /** The `Host` that its programs see instead of the real one. */
  maskHost: string | undefined;
};

/** The addresses that lead to a tenant's port, and those that lead nowhere. */
export type Wanted = Exclude<Address, { kind: 'own' | 'envd' }>;

/** Finds what a visitor wants to see, and wakes it, but only for those who may see it. */
export async function passageTo(
  { sandboxes, compute }: { sandboxes: SandboxesBehind; compute: ComputersBehind },
  wanted: Wanted,
  token: string | undefined,
): Promise<Passage | Refusal> {
  if (wanted.kind === 'invalid') return refusal.malformed(wanted.why);
  if (wanted.kind === 'nowhere') return refusal.nobodys(wanted.host);
  const label = wanted.kind === 'pair' ? `${wanted.port}-${wanted.code}` : wanted.label;
  const found = await sandboxes.byHostLabel(label);
  if (!found) return (await passageToComputer(compute, label)) ?? unknown(wanted, label);
  const { sandbox, port, visibility } = found;
  const isPrivate = visibility === 'private' || !sandbox.network.publicTraffic;
  if (isPrivate && !opens(sandboxes.trafficToken(sandbox), token)) return refusal.locked(sandbox.code);
  const awake = await sandboxes.awake(sandbox);
  if (awake.state !== 'running') return refusal.asleep(sandbox.code);
  return {
    place: { machineId: awake.machineId, port, tls: sandbox.network.httpsPorts.includes(port) },
    sandboxId: sandbox.code,
    woken: sandbox.state !== 'running',
    maskHost: masked(sandbox, port),
  };
}

/** The web server of a rented computer that has a name. */
async function passageToComputer(compute: ComputersBehind, label: string): Promise<Passage | Refusal | undefined> {
  const computer = await compute.bySubdomain(label);
  if (!computer) return undefined;
  if (computer.state !== 'active' || computer.power === 'off') return refusal.switchedOff();
  const place = { machineId: computer.machineId, port: WEB_PORT, tls: false };
  return { place, sandboxId: label, woken: false, maskHost: undefined };
}

function unknown(wanted: Exclude<Wanted, { kind: 'invalid' }>, label: string): Refusal {
  const code = partsOf(label)?.code;
  if (code !== undefined) return refusal.noSandbox(code);
  return refusal.nobodys(wanted.kind === 'pair' ? label : wanted.host);
}

const opens = (secret: string, given: string | undefined): boolean => given !== undefined && sameSecret(secret, given);

const masked = ({ network }: Sandbox, port: number): string | undefined =>
  network.maskRequestHost?.replaceAll('${PORT}', String(port));

/** Why nothing came back; undefined where something did. */
export function refusalOf(outcome: Outcome, { sandboxId, place: { port } }: Passage): Refusal | undefined {
  if (outcome.kind === 'answered') return undefined;
  if (outcome.kind === 'silent') return refusal.tooSlow(sandboxId, port);
  if (outcome.kind === 'broken') return refusal.noHttp(sandboxId, port);
  return isRefused(outcome.cause) ? refusal.closedPort(sandboxId, port) : refusal.noSandbox(sandboxId);
}

/** Why a sandbox could not be looked at or woken. */
export function refusalFor(error: unknown, sandboxId: string | undefined): Refusal | undefined {
  if (!(error instanceof AppError) || error.code === 'internal') return undefined;
  if (error.code === 'at_capacity') return refusal.unwell();
  return sandboxId === undefined ? refusal.unwell() : refusal.asleep(sandboxId);
}
