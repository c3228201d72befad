import { usd, type Usd } from '../../kernel/money.ts';

/** A size of the servers contract, and what it costs. */
export type Plan = {
  id: PlanId;
  name: string;
  vcpus: number;
  memoryMb: number;
  diskGb: number;
  monthly: Usd;
  hourly: Usd;
};
export type PlanId = keyof typeof SIZES;

const MIB_PER_GIB = 1_024;
const MICROS_PER_USD = 1_000_000n;
/** Hours of a month by which providers count, and the digits that an hourly price is rounded to. */
const HOURS_PER_MONTH = 730n;
const PRICE_STEP_MICROS = 100n;

const SIZES = {
  'vc2-1c-1gb': { name: 'Micro', vcpus: 1, memoryGb: 1, diskGb: 25, monthlyUsd: 10n },
  'vc2-1c-2gb': { name: 'Starter', vcpus: 1, memoryGb: 2, diskGb: 55, monthlyUsd: 18n },
  'vc2-2c-4gb': { name: 'Standard', vcpus: 2, memoryGb: 4, diskGb: 80, monthlyUsd: 34n },
  'vc2-4c-8gb': { name: 'Pro', vcpus: 4, memoryGb: 8, diskGb: 160, monthlyUsd: 62n },
  'vc2-6c-16gb': { name: 'Beast', vcpus: 6, memoryGb: 16, diskGb: 320, monthlyUsd: 120n },
} as const;

/** A month's price by the hour, to the nearest four digits: $10 are $0.0137. */
function hourlyOf(monthly: bigint): Usd {
  const steps = (monthly * 2n + HOURS_PER_MONTH * PRICE_STEP_MICROS) / (2n * HOURS_PER_MONTH * PRICE_STEP_MICROS);
  return usd(steps * PRICE_STEP_MICROS);
}

export const PLANS: readonly Plan[] = Object.entries(SIZES).map(([id, { memoryGb, monthlyUsd, ...size }]) => {
  const monthly = usd(monthlyUsd * MICROS_PER_USD);
  return { ...size, id: id as PlanId, memoryMb: memoryGb * MIB_PER_GIB, monthly, hourly: hourlyOf(monthly) };
});
export const PLAN_IDS = Object.keys(SIZES) as [PlanId, ...PlanId[]];

/** Undefined where there is no such plan. */
export const planOf = (id: string): Plan | undefined => PLANS.find((plan) => plan.id === id);

/** Where servers can be asked for, by the names of the contract. */
const PLACES = {
  ams: { city: 'Amsterdam', country: 'NL', continent: 'Europe' },
  fra: { city: 'Frankfurt', country: 'DE', continent: 'Europe' },
  par: { city: 'Paris', country: 'FR', continent: 'Europe' },
  lon: { city: 'London', country: 'GB', continent: 'Europe' },
  mad: { city: 'Madrid', country: 'ES', continent: 'Europe' },
  waw: { city: 'Warsaw', country: 'PL', continent: 'Europe' },
  sto: { city: 'Stockholm', country: 'SE', continent: 'Europe' },
  ewr: { city: 'New Jersey', country: 'US', continent: 'North America' },
  ord: { city: 'Chicago', country: 'US', continent: 'North America' },
  dfw: { city: 'Dallas', country: 'US', continent: 'North America' },
  atl: { city: 'Atlanta', country: 'US', continent: 'North America' },
  mia: { city: 'Miami', country: 'US', continent: 'North America' },
  sea: { city: 'Seattle', country: 'US', continent: 'North America' },
  lax: { city: 'Los Angeles', country: 'US', continent: 'North America' },
  sjc: { city: 'Silicon Valley', country: 'US', continent: 'North America' },
  yto: { city: 'Toronto', country: 'CA', continent: 'North America' },
  mex: { city: 'Mexico City', country: 'MX', continent: 'North America' },
  sao: { city: 'São Paulo', country: 'BR', continent: 'South America' },
  scl: { city: 'Santiago', country: 'CL', continent: 'South America' },
  nrt: { city: 'Tokyo', country: 'JP', continent: 'Asia' },
  icn: { city: 'Seoul', country: 'KR', continent: 'Asia' },
  sgp: { city: 'Singapore', country: 'SG', continent: 'Asia' },
  blr: { city: 'Bangalore', country: 'IN', continent: 'Asia' },
  bom: { city: 'Mumbai', country: 'IN', continent: 'Asia' },
  del: { city: 'Delhi', country: 'IN', continent: 'Asia' },
  syd: { city: 'Sydney', country: 'AU', continent: 'Australia' },
  mel: { city: 'Melbourne', country: 'AU', continent: 'Australia' },
  jnb: { city: 'Johannesburg', country: 'ZA', continent: 'Africa' },
  tlv: { city: 'Tel Aviv', country: 'IL', continent: 'Asia' },
} as const;

export type RegionId = keyof typeof PLACES;
export const REGION_IDS = Object.keys(PLACES) as [RegionId, ...RegionId[]];

export type Region = {
  id: RegionId;
  city: string;
  country: string;
  continent: string;
  /** Whether machines of this region stand there. The others are taken, and stand where `host` is. */
  real: boolean;
  /** The place whose machines serve it. */
  host: string;
};

/** All of them stand on this installation's one host; real is the one that its operator says it stands in. */
export const regionsAt = (host: string, home: RegionId | undefined): Region[] =>
  REGION_IDS.map((id) => ({ id, ...PLACES[id], real: id === home, host }));
