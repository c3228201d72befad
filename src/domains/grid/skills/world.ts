import type { Op } from '../../../kernel/op.ts';
import type { Clock } from '../../../kernel/time.ts';
import type { Database } from '../../../platform/db.ts';
import type { OutgoingFetch } from '../../../platform/fetch.ts';
import type { Log } from '../../../platform/log.ts';
import type { Machines } from '../../machines/index.ts';
import type { Shipment } from './programs.ts';
import type { HouseSkill } from './skill.ts';

/** The operator's search engine, which speaks as SearXNG does. */
export type SearchEngine = { url: string; send: OutgoingFetch['send'] };

/** What the server's own skills stand on. */
export type SkillsWorld = {
  db: Database;
  clock: Clock;
  log: Log;
  machines: Pick<Machines, 'start' | 'destroy' | 'get' | 'extendLease' | 'writeFile' | 'run' | 'dial'>;
  /** Where this server's machines are. */
  place: string;
  search: SearchEngine | undefined;
  /** What a skill's machine is given. */
  shipment: (skill: HouseSkill) => Promise<Shipment>;
  skills: readonly HouseSkill[];
  /** How long one run may take. */
  runLimitMs: number;
};

/** Machines of the house are for all who call: whoever happened to come first is none of their business. */
export const houseOp = ({ clock }: Pick<SkillsWorld, 'clock'>, { requestId }: Op, signal: AbortSignal): Op => ({
  actor: { kind: 'system', name: 'skills' },
  requestId,
  now: clock.now(),
  signal,
});
