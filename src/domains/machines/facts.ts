import type { Op } from '../../kernel/op.ts';
import type { Tx } from '../../platform/db.ts';
import { recordFact, recordFacts, type NewFact } from '../../platform/outbox.ts';
import { runningMs, type Machine, type MachineState } from './machine.ts';
import { shownRules } from './rules.ts';
import type { Snapshot } from './snapshot.ts';
import type { Used } from './store.ts';

const ofMachine = (machine: Machine) => ({ subject: machine.id, accountId: machine.accountId });

const requestedFact = (machine: Machine): NewFact => ({
  type: 'machine.requested',
  ...ofMachine(machine),
  data: {
    purpose: machine.purpose,
    driver: machine.driver,
    tier: machine.tier,
    image: machine.image,
    limits: machine.limits,
    network: machine.network,
    snapshotId: machine.snapshotId ?? null,
  },
});

const startedFact = (machine: Machine): NewFact => ({
  type: 'machine.started',
  ...ofMachine(machine),
  data: { purpose: machine.purpose },
});

export const requested = (tx: Tx, op: Op, machine: Machine): Promise<void> =>
  recordFact(tx, op, requestedFact(machine));

export const started = (tx: Tx, op: Op, machine: Machine): Promise<void> => recordFact(tx, op, startedFact(machine));

/** It waited ready-made: for somebody it was asked for and started at once. */
export const taken = (tx: Tx, op: Op, machine: Machine): Promise<void> =>
  recordFacts(tx, op, [requestedFact(machine), startedFact(machine)]);

/** It waits ready-made for somebody. */
export const pooled = (tx: Tx, op: Op, machine: Machine): Promise<void> =>
  recordFact(tx, op, { type: 'machine.pooled', subject: machine.id, data: {} });

export const ending = (tx: Tx, op: Op, machine: Machine): Promise<void> =>
  recordFact(tx, op, { type: 'machine.destroying', ...ofMachine(machine), data: { reason: machine.endReason } });

/** `seenAt`: when one that was lost was last seen running. */
export const destroyed = (tx: Tx, op: Op, machine: Machine, seenAt: Date | undefined): Promise<void> =>
  recordFact(tx, op, {
    type: 'machine.destroyed',
    ...ofMachine(machine),
    data: {
      reason: machine.endReason,
      seenAt: seenAt ?? null,
      ...meter(machine, { ...machine.usedBefore, cpuSeconds: machine.cpuSeconds ?? 0 }, machine.endedAt ?? op.now),
    },
  });

/** It rests, or runs again, and what it used and how long it ran by then. */
export const changed = (tx: Tx, op: Op, machine: Machine, from: MachineState, used: Used): Promise<void> =>
  recordFact(tx, op, {
    type: nameOfChange(machine.state, from),
    ...ofMachine(machine),
    data: meter(machine, used, machine.stateAt),
  });

function nameOfChange(state: MachineState, from: MachineState): string {
  if (state !== 'running') return `machine.${state}`;
  return from === 'stopped' ? 'machine.booted' : 'machine.resumed';
}

/** It is frozen for now because its host has too little disk left. */
export const heldBack = (tx: Tx, op: Op, machine: Machine, used: Used): Promise<void> =>
  recordFact(tx, op, {
    type: 'machine.held_back',
    ...ofMachine(machine),
    data: meter(machine, used, machine.stateAt),
  });

/** It was lost while it ran, with its host or by itself, and was started again from its disk. */
export const recovered = (tx: Tx, op: Op, machine: Machine): Promise<void> =>
  recordFact(tx, op, { type: 'machine.recovered', ...ofMachine(machine), data: { purpose: machine.purpose } });

export const ruled = (tx: Tx, op: Op, machine: Machine): Promise<void> =>
  recordFact(tx, op, { type: 'machine.ruled', ...ofMachine(machine), data: { rules: shownRules(machine.rules) } });

export const snapshotted = (tx: Tx, op: Op, machine: Machine, snapshot: Snapshot, used: Used): Promise<void> =>
  recordFact(tx, op, {
    type: 'machine.snapshotted',
    ...ofMachine(machine),
    data: {
      snapshotId: snapshot.id,
      name: snapshot.name ?? null,
      bytes: snapshot.bytes,
      ...meter(machine, used, op.now),
    },
  });

export const snapshotImported = (tx: Tx, op: Op, { id, accountId, machineId, bytes }: Snapshot): Promise<void> =>
  recordFact(tx, op, { type: 'snapshot.imported', subject: id, accountId, data: { machineId, bytes } });

export const snapshotRemoved = (tx: Tx, op: Op, { id, accountId, machineId, bytes }: Snapshot): Promise<void> =>
  recordFact(tx, op, { type: 'snapshot.removed', subject: id, accountId, data: { machineId, bytes } });

/** The figures that a bill is made of. */
const meter = (machine: Machine, used: Used, at: Date) => ({ runningMs: runningMs(machine, at), ...used });
