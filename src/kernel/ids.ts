import { randomBytes } from 'node:crypto';

declare const kind: unique symbol;

/**
 * Every kind of id there is. An empty prefix means that a public contract shows the id as a bare UUID; the others
 * carry their kind where a person can see it.
 */
const PREFIX = {
  account: '',
  key: '',
  login: 'lgn_',
  task: '',
  step: 'stp_',
  machine: 'mch_',
  sample: '',
  session: '',
  interaction: '',
  verification: '',
  image: 'img_',
  snapshot: 'snp_',
  sandbox: '',
  server: '',
  backup: '',
  fact: 'fct_',
  subscription: 'sub_',
  delivery: 'msg_',
  transfer: '',
  topup: '',
  listing: '',
  escrow: '',
  gridTask: '',
  report: '',
  bounty: '',
  submission: '',
  benchmark: 'bench_',
  request: 'req_',
} as const;

export type Kind = keyof typeof PREFIX;
/** An id of one kind; an id of another kind does not fit in its place. */
export type Id<K extends Kind> = string & { readonly [kind]: K };
export type AccountId = Id<'account'>;
export type KeyId = Id<'key'>;
export type LoginId = Id<'login'>;
export type TaskId = Id<'task'>;
export type MachineId = Id<'machine'>;
export type ImageId = Id<'image'>;
export type BackupId = Id<'backup'>;
export type SnapshotId = Id<'snapshot'>;
export type SandboxId = Id<'sandbox'>;
export type ServerId = Id<'server'>;
export type TransferId = Id<'transfer'>;
export type TopupId = Id<'topup'>;
export type ListingId = Id<'listing'>;
export type EscrowId = Id<'escrow'>;
export type GridTaskId = Id<'gridTask'>;
export type BountyId = Id<'bounty'>;
export type SubmissionId = Id<'submission'>;
export type BenchmarkId = Id<'benchmark'>;

declare const node: unique symbol;
/** The name of a node of the grid, which its owner has chosen. */
export type NodeId = string & { readonly [node]: true };

const NODE_ID = /^[A-Za-z0-9_-]{3,100}$/;
/** Reads a node's name from outside; undefined where it cannot be one. */
export const parseNodeId = (text: string): NodeId | undefined => (NODE_ID.test(text) ? (text as NodeId) : undefined);

/** UUIDv7 (RFC 9562 §5.7): the first 48 bits are the time, so ids made later sort later and indexes stay compact. */
export function uuidv7(now: Date, random: Uint8Array = randomBytes(16)): string {
  const bytes = Buffer.from(random.subarray(0, 16));
  bytes.writeUIntBE(now.getTime(), 0, 6);
  return layOut(bytes, 7);
}

/** A UUID (version 8: custom content, RFC 9562 §5.8) made of given bytes: the same bytes give the same id. */
export const uuidFrom = (bytes: Uint8Array): string => layOut(Buffer.from(bytes.subarray(0, 16)), 8);

function layOut(bytes: Buffer, version: number): string {
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | (version << 4), 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** Gives an id its kind: a bare UUID, or the kind's prefix and 32 hex digits. */
export function idOf<K extends Kind>(of: K, uuid: string): Id<K> {
  const prefix: string = PREFIX[of];
  return (prefix === '' ? uuid : prefix + uuid.replaceAll('-', '')) as Id<K>;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
export const isUuid = (text: string): boolean => UUID.test(text);

/** Reads an id from outside; undefined where it cannot be one of that kind, so that callers answer "not found". */
export function parseId<K extends Kind>(of: K, text: string): Id<K> | undefined {
  const prefix: string = PREFIX[of];
  if (prefix === '') return isUuid(text.toLowerCase()) ? (text.toLowerCase() as Id<K>) : undefined;
  return text.startsWith(prefix) && /^[0-9a-f]{32}$/.test(text.slice(prefix.length)) ? (text as Id<K>) : undefined;
}
