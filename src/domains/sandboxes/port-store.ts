import type { SandboxId } from '../../kernel/ids.ts';
import type { Db, Tx } from '../../platform/db.ts';
import type { ExposedPort, Visibility } from './sandbox.ts';

type PortRow = { sandbox_id: SandboxId; port: number; subdomain: string | null; visibility: Visibility };

const portOf = ({ port, subdomain, visibility }: PortRow): ExposedPort => ({
  port,
  subdomain: subdomain ?? undefined,
  visibility,
});

export const portsOf = async (db: Db, id: SandboxId): Promise<ExposedPort[]> =>
  (await db.query<PortRow>(`select * from sandbox_ports where sandbox_id = $1 order by port`, [id])).map(portOf);

/** Whose subdomain it is. */
export async function findSubdomain(
  db: Db,
  subdomain: string,
): Promise<(ExposedPort & { sandboxId: SandboxId }) | undefined> {
  const [row] = await db.query<PortRow>(`select * from sandbox_ports where subdomain = $1`, [subdomain]);
  return row && { ...portOf(row), sandboxId: row.sandbox_id };
}

/** False where the subdomain is another sandbox's. One that the sandbox had for another port is let go. */
export async function savePort(tx: Tx, id: SandboxId, { port, subdomain, visibility }: ExposedPort): Promise<boolean> {
  if (subdomain !== undefined)
    await tx.query(`update sandbox_ports set subdomain = null where sandbox_id = $1 and port <> $2`, [id, port]);
  const saved = await tx.query(
    `insert into sandbox_ports (sandbox_id, port, subdomain, visibility)
     select $1, $2, $3, $4
      where not exists (select from sandbox_ports where subdomain = $3 and sandbox_id <> $1)
     on conflict (sandbox_id, port) do update
        set subdomain = coalesce(excluded.subdomain, sandbox_ports.subdomain), visibility = excluded.visibility
     returning 1`,
    [id, port, subdomain ?? null, visibility],
  );
  return saved.length === 1;
}

/** Lets one transaction at a time decide whose a subdomain is, until it ends. */
export async function lockSubdomain(tx: Tx, subdomain: string): Promise<void> {
  await tx.query(`select pg_advisory_xact_lock(hashtextextended('subdomain ' || $1, 0))`, [subdomain]);
}

export async function removePort(tx: Tx, id: SandboxId, port: number): Promise<boolean> {
  const rows = await tx.query(`delete from sandbox_ports where sandbox_id = $1 and port = $2 returning 1`, [id, port]);
  return rows.length === 1;
}

export async function removePorts(tx: Tx, id: SandboxId): Promise<void> {
  await tx.query(`delete from sandbox_ports where sandbox_id = $1`, [id]);
}
