import { lookup } from 'node:dns/promises';
import { isIPv4 } from 'node:net';
import { MINUTE } from '../kernel/time.ts';
import { stopwatch } from './clock.ts';

/** A name may be moved to another address; so long an old one may be told. */
const KEPT_MS = MINUTE;

/** The IPv4 address of a name, asked for once a minute at the most; undefined where it has none that can be found. */
export function addressFinder(): (name: string) => Promise<string | undefined> {
  const found = new Map<string, { address: string | undefined; ageMs: () => number }>();
  return async (name) => {
    if (isIPv4(name)) return name;
    const known = found.get(name);
    if (known && known.ageMs() < KEPT_MS) return known.address;
    const address = await lookup(name, { family: 4 }).then(
      (answer) => answer.address,
      () => undefined, // a name without an address is no failure of ours
    );
    found.set(name, { address, ageMs: stopwatch() });
    return address;
  };
}
