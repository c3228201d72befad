import type { NodeId } from '../../../kernel/ids.ts';
import type { Db, Tx } from '../../../platform/db.ts';
import type { Validator, ValidatorType } from './validators.ts';

type Row = {
  id: string;
  node_id: NodeId;
  name: string;
  type: ValidatorType;
  config: Record<string, unknown>;
  created_at: Date;
};

const COLUMNS = 'id, node_id, name, type, config, created_at';

/** False where the node has as many as it may. Its row is locked, so that two do not both become the last. */
export async function insertValidator(tx: Tx, validator: Validator, max: number): Promise<boolean> {
  await tx.query(`select 1 from grid_nodes where id = $1 for no key update`, [validator.nodeId]);
  const rows = await tx.query(
    `insert into grid_validators (id, node_id, name, type, config, created_at)
     select $1, $2, $3, $4, $5, $6
      where (select count(*) from grid_validators where node_id = $2) < $7
     returning 1`,
    [
      validator.id,
      validator.nodeId,
      validator.name,
      validator.type,
      JSON.stringify(validator.config),
      validator.createdAt,
      max,
    ],
  );
  return rows.length === 1;
}

export async function validatorsOf(db: Db, node: NodeId): Promise<Validator[]> {
  const rows = await db.query<Row>(`select ${COLUMNS} from grid_validators where node_id = $1 order by seq`, [node]);
  return rows.map(validatorOf);
}

export async function findValidators(db: Db, ids: readonly string[]): Promise<Map<string, Validator>> {
  if (ids.length === 0) return new Map();
  const rows = await db.query<Row>(`select ${COLUMNS} from grid_validators where id = any ($1)`, [ids]);
  return new Map(rows.map((row) => [row.id, validatorOf(row)]));
}

const validatorOf = (row: Row): Validator => ({
  id: row.id,
  nodeId: row.node_id,
  name: row.name,
  type: row.type,
  config: row.config,
  createdAt: row.created_at,
});
