import ipaddr from 'ipaddr.js';
import { AppError } from '../../kernel/errors.ts';
import type { NetworkRules } from './drivers/driver.ts';

const MAX_RULES = 1_000;

/** Throws `invalid` for what is no list of IPv4 addresses and ranges. */
export function checkRules({ allow, deny }: NetworkRules): void {
  if (allow.length + deny.length > MAX_RULES) throw new AppError('invalid', `There can be ${MAX_RULES} network rules.`);
  const strange = [...allow, ...deny].find((rule) => !isRange(rule));
  if (strange !== undefined) throw new AppError('invalid', 'Network rules are IPv4 addresses and ranges.');
}

const isRange = (rule: string): boolean =>
  ipaddr.IPv4.isValidFourPartDecimal(rule) ||
  (/^[\d.]+\/(0|[1-9]\d?)$/.test(rule) && ipaddr.IPv4.isValidCIDRFourPartDecimal(rule));
