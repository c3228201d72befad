import type { MachineId } from '../../kernel/ids.ts';
import type { Db, Tx } from '../../platform/db.ts';
import type { Usage } from './drivers/driver.ts';
import { presentMachine, type MachineRow } from './store.ts';
import type { Machine } from './machine.ts';

type SampleRow = {
  at: Date;
  cpu_seconds: number;
  memory_bytes: bigint;
  memory_cache_bytes: bigint;
  disk_bytes: bigint;
  disk_used_bytes: bigint;
  disk_total_bytes: bigint;
  processes: number;
  network_received_bytes: bigint;
  network_sent_bytes: bigint;
};

const present = (row: SampleRow): Usage & { at: Date } => ({
  at: row.at,
  cpuSeconds: row.cpu_seconds,
  memoryBytes: Number(row.memory_bytes),
  memoryCacheBytes: Number(row.memory_cache_bytes),
  diskBytes: Number(row.disk_bytes),
  diskUsedBytes: Number(row.disk_used_bytes),
  diskTotalBytes: Number(row.disk_total_bytes),
  processes: row.processes,
  networkReceivedBytes: Number(row.network_received_bytes),
  networkSentBytes: Number(row.network_sent_bytes),
});

/** Machines that run and were not looked at since. */
export const machinesToSample = async (db: Db, place: string, since: Date): Promise<Machine[]> =>
  (
    await db.query<MachineRow>(
      `select * from machines
        where place = $1 and state = 'running'
          and not exists (select from machine_samples where machine_id = machines.id and at > $2)`,
      [place, since],
    )
  ).map(presentMachine);

export async function insertSamples(
  tx: Tx,
  samples: readonly { machineId: MachineId; at: Date; usage: Usage }[],
): Promise<void> {
  const column = (of: (usage: Usage) => number) => samples.map(({ usage }) => Math.round(of(usage)));
  await tx.query(
    `insert into machine_samples (machine_id, at, cpu_seconds, memory_bytes, memory_cache_bytes, disk_bytes,
                                  disk_used_bytes, disk_total_bytes, processes, network_received_bytes,
                                  network_sent_bytes)
     select * from unnest($1::text[], $2::timestamptz[], $3::double precision[], $4::bigint[], $5::bigint[],
                          $6::bigint[], $7::bigint[], $8::bigint[], $9::integer[], $10::bigint[], $11::bigint[])
     on conflict (machine_id, at) do nothing`,
    [
      samples.map(({ machineId }) => machineId),
      samples.map(({ at }) => at),
      samples.map(({ usage }) => usage.cpuSeconds),
      column((usage) => usage.memoryBytes),
      column((usage) => usage.memoryCacheBytes),
      column((usage) => usage.diskBytes),
      column((usage) => usage.diskUsedBytes),
      column((usage) => usage.diskTotalBytes),
      column((usage) => usage.processes),
      column((usage) => usage.networkReceivedBytes),
      column((usage) => usage.networkSentBytes),
    ],
  );
}

/** Oldest first, from the last one before the span on, against which the first in it is measured. */
export const samplesOf = async (
  db: Db,
  id: MachineId,
  { start, end }: { start: Date; end: Date },
): Promise<(Usage & { at: Date })[]> =>
  (
    await db.query<SampleRow>(
      `select * from machine_samples
        where machine_id = $1 and at <= $3
          and at >= coalesce((select max(at) from machine_samples where machine_id = $1 and at < $2), $2)
        order by at`,
      [id, start, end],
    )
  ).map(present);

/** The last time that it was looked at while it ran, and what it had used by then. */
export async function lastSampleOf(db: Db, id: MachineId): Promise<(Usage & { at: Date }) | undefined> {
  const [row] = await db.query<SampleRow>(
    `select * from machine_samples where machine_id = $1 order by at desc limit 1`,
    [id],
  );
  return row && present(row);
}

/** The last one of a machine that runs stays: should it be lost, it tells until when it ran. */
export async function forgetSamples(tx: Tx, before: Date): Promise<void> {
  await tx.query(
    `delete from machine_samples s
      where at < $1
        and (exists (select from machine_samples later where later.machine_id = s.machine_id and later.at > s.at)
             or not exists (select from machines m where m.id = s.machine_id and m.state in ('running', 'destroying')))`,
    [before],
  );
}
