import { assert } from '../../kernel/errors.ts';
import { cents, type Usd } from '../../kernel/money.ts';
import type { Limits } from '../machines/index.ts';

/** The price list. Whatever has another size costs what the cheapest of these costs that contains it. */
export const SIZES = [
  { name: '1vcpu_512mb', vcpus: 1, memoryMb: 512, hourly: cents(5) },
  { name: '2vcpu_2gb', vcpus: 2, memoryMb: 2_048, hourly: cents(15) },
  { name: '4vcpu_8gb', vcpus: 4, memoryMb: 8_192, hourly: cents(45) },
] as const satisfies readonly Size[];
export type Size = { name: string; vcpus: number; memoryMb: number; hourly: Usd };

/** Undefined for what is larger than everything on the list. */
export const sizeOf = ({ vcpus, memoryMb }: Pick<Limits, 'vcpus' | 'memoryMb'>): Size | undefined =>
  SIZES.find((size) => vcpus <= size.vcpus && memoryMb <= size.memoryMb);

/** What an hour of a sandbox costs. Only what has a price is ever made. */
export function hourlyPrice({ limits }: { limits: Limits }): Usd {
  const size = sizeOf(limits);
  assert(size, 'every sandbox has a price');
  return size.hourly;
}
