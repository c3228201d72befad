import { once } from 'node:events';
import { openOciDriver, type OciOptions } from '../../src/domains/machines/drivers/oci/index.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { openDatabase, type Database } from '../../src/platform/db.ts';
import { plantOf } from './plant.ts';

/**
 * A worker process of its own, to be killed. It dies by its own hand right before or right after a commit of its
 * choice, which is where a crash makes a difference; transactions that wrote nothing are not counted.
 */
export type Doom = {
  url: string;
  providerUrl: string;
  host: OciOptions;
  /** 0: never. */
  commit: number;
  moment: 'before' | 'after';
};

// It does not outlive the test, however that ends.
process.stdin.resume().once('end', () => process.kill(process.pid, 'SIGKILL'));

const doom = JSON.parse(process.argv[2] ?? '') as Doom;
let commits = 0;
const die = () => process.kill(process.pid, 'SIGKILL');

function dying(db: Database): Database {
  return {
    ...db,
    transact: async (work) => {
      let mine = 0;
      const result = await db.transact(async (tx) => {
        const done = await work(tx);
        const [row] = await tx.query<{ xid: string | null }>(`select pg_current_xact_id_if_assigned()::text as xid`);
        mine = row?.xid ? ++commits : 0;
        if (mine > 0 && mine === doom.commit && doom.moment === 'before') die();
        return done;
      });
      if (mine > 0 && mine === doom.commit) die();
      return result;
    },
  };
}

const db = dying(openDatabase({ url: doom.url, onError: () => {} }));
const driver = await openOciDriver(doom.host);
const plant = await plantOf({ db, url: doom.url, driver, clock: systemClock, providerUrl: doom.providerUrl });
await plant.start('all');
process.stdout.write('working\n');
await once(process, 'SIGTERM');
await plant.stop();
process.stdout.write(`${commits} commits\n`);
process.exit(0);
