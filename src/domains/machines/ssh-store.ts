import type { MachineId } from '../../kernel/ids.ts';
import type { Db, Tx } from '../../platform/db.ts';

/** A machine that takes SSH. */
export type SshDoor = {
  machineId: MachineId;
  /** The server's port that leads to it. */
  port: number;
  authorizedKeys: string[];
  /** Who comes in. */
  login: SshLogin;
  /** Whether a password does instead of a key. */
  password: boolean;
  /** The machine's own address, where it has one. */
  address: string | undefined;
  /** Whether the machine has these keys. */
  settled: boolean;
};

/** `user`: of a machine for a while. The others' machines are computers, with users and keys of their own beside. */
export type SshLogin = 'user' | 'root' | 'agent';

/** Who is let in, and how. */
export type SshEntry = Pick<SshDoor, 'login' | 'password'> & { authorizedKeys: readonly string[] };

type DoorRow = {
  machine_id: MachineId;
  port: number;
  authorized_keys: string[];
  login: SshLogin;
  password: boolean;
  address: string | null;
  settled: boolean;
};

const present = (row: DoorRow): SshDoor => ({
  machineId: row.machine_id,
  port: row.port,
  authorizedKeys: row.authorized_keys,
  login: row.login,
  password: row.password,
  address: row.address ?? undefined,
  settled: row.settled,
});

const COLUMNS = `machine_id, port, authorized_keys, login, password, settled,
  (select address from machines where machines.id = machine_id) as address`;

export async function findDoor(db: Db, id: MachineId): Promise<SshDoor | undefined> {
  const [row] = await db.query<DoorRow>(`select ${COLUMNS} from machine_ssh where machine_id = $1`, [id]);
  return row && present(row);
}

/** The doors of a place's machines that have not ended. */
export const livingDoors = async (db: Db, place: string): Promise<Pick<SshDoor, 'machineId' | 'port'>[]> =>
  (
    await db.query<Pick<DoorRow, 'machine_id' | 'port'>>(
      `select machine_id, machine_ssh.port
         from machine_ssh join machines on machines.id = machine_id
        where machine_ssh.place = $1 and state not in ('destroying', 'destroyed')`,
      [place],
    )
  ).map((row) => ({ machineId: row.machine_id, port: row.port }));

/** Takes the lowest port that no living machine of the place has and that is not among `taken`; undefined where none is. */
export async function openDoor(
  tx: Tx,
  door: SshEntry & { machineId: MachineId; place: string; at: Date },
  ports: { first: number; last: number; taken: readonly number[] },
): Promise<SshDoor | undefined> {
  // One at a time, so that two do not see the same port free.
  await tx.query(`select pg_advisory_xact_lock(hashtextextended('ssh ports at ' || $1, 0))`, [door.place]);
  await tx.query(
    `delete from machine_ssh using machines
      where machines.id = machine_id and machine_ssh.place = $1 and state = 'destroyed'`,
    [door.place],
  );
  const [row] = await tx.query<DoorRow>(
    `insert into machine_ssh (machine_id, place, port, authorized_keys, opened_at, login, password)
     select $1, $2, port, $3, $4, $8, $9 from generate_series($5::integer, $6::integer) as port
      where port <> all($7::integer[]) and port not in (select port from machine_ssh where place = $2)
      order by port limit 1
     on conflict (machine_id) do nothing
     returning ${COLUMNS}`,
    [
      door.machineId,
      door.place,
      door.authorizedKeys,
      door.at,
      ports.first,
      ports.last,
      ports.taken,
      door.login,
      door.password,
    ],
  );
  return row && present(row);
}

/** Undefined where the machine takes no SSH. */
export async function changeEntry(tx: Tx, id: MachineId, entry: SshEntry): Promise<SshDoor | undefined> {
  const [row] = await tx.query<DoorRow>(
    `update machine_ssh set authorized_keys = $2, login = $3, password = $4, settled = false
      where machine_id = $1 returning ${COLUMNS}`,
    [id, entry.authorizedKeys, entry.login, entry.password],
  );
  return row && present(row);
}

/** Notes that the machine knows who is let in, unless that has been changed meanwhile. */
export async function markSettled(tx: Tx, id: MachineId, entry: SshEntry): Promise<void> {
  await tx.query(
    `update machine_ssh set settled = true
      where machine_id = $1 and authorized_keys = $2 and login = $3 and password = $4`,
    [id, entry.authorizedKeys, entry.login, entry.password],
  );
}

export async function closeDoor(tx: Tx, id: MachineId): Promise<void> {
  await tx.query(`delete from machine_ssh where machine_id = $1`, [id]);
}
