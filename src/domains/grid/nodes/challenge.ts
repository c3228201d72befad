import { secretBytes, type Op } from '../../../kernel/op.ts';
import { SECOND } from '../../../kernel/time.ts';

/** How long a node has to solve its challenge. */
export const CHALLENGE_MS = 30 * SECOND;
/** Answers to one challenge; after that it is spent. */
export const MAX_TRIES = 3;
/** The right answer to these is worth a key of an account that was there before. */
export const MAX_TRIES_FOR_AN_ACCOUNT = 1;
/** Solutions are halves of whole numbers, and clients compute them in floating point. */
const TOLERANCE = 0.01;

const LEAST_OF_A_KIND = 3;
const MOST_OF_A_KIND = 7;
const PRIMES = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97];
const LARGEST = 99;
const isPrime = (value: number): boolean => PRIMES.includes(value);
const COMPOSITES = Array.from({ length: LARGEST - 3 }, (_, index) => index + 4).filter((value) => !isPrime(value));

/** Three to seven different primes and as many other numbers, in any order. */
export function newPayload(op: Op): number[] {
  const random = randomNumbers(op);
  const some = (of: readonly number[]) =>
    shuffled(of, random).slice(0, LEAST_OF_A_KIND + random(MOST_OF_A_KIND - LEAST_OF_A_KIND + 1));
  return shuffled([...some(PRIMES), ...some(COMPOSITES)], random);
}

/** Half the sum of the primes. */
export const isSolution = (payload: readonly number[], answer: number): boolean =>
  Math.abs(payload.filter(isPrime).reduce((sum, value) => sum + value, 0) / 2 - answer) <= TOLERANCE;

/** Numbers below a bound; the same ones again where the request is carried out again under its seed. */
function randomNumbers(op: Op): (below: number) => number {
  let drawn = 0;
  return (below) => secretBytes(op, `challenge:${drawn++}`).readUInt32BE(0) % below;
}

function shuffled(values: readonly number[], random: (below: number) => number): number[] {
  const order = [...values];
  for (let last = order.length - 1; last > 0; last--) {
    const other = random(last + 1);
    [order[last], order[other]] = [order[other] ?? 0, order[last] ?? 0];
  }
  return order;
}
