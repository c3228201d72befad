import type { AccountId, Id } from '../../kernel/ids.ts';
import { DAY } from '../../kernel/time.ts';

/**
 * An address that an account has named to be told of kinds of events.
 *
 *     active ⇄ disabled     (after days in vain; its account takes it up again)
 *        ╲        ╱
 *         removed
 */
export type EndpointId = Id<'subscription'>;

export type Endpoint = {
  id: EndpointId;
  accountId: AccountId;
  url: string;
  /** The types of events it is told of. */
  events: string[];
  /** Since when every attempt has failed; null where the last one succeeded or none was made. */
  failingSince: Date | null;
  /** When and why nothing is sent any more; null where it is active. */
  disabled: { at: Date; reason: string } | null;
  createdAt: Date;
};

/** What an endpoint verifies messages with. */
export type EndpointSecret = { secret: string; previousUntil: Date | null };

/** Something that happened, in the words of a contract: endpoints of these accounts that want its type are told. */
export type Publication = {
  accountIds: readonly AccountId[];
  type: string;
  /** The id of what it is about. */
  subject: string;
  /** The same for all receivers and in every attempt, so that a receiver knows what it has seen. */
  eventId: string;
  payload: unknown;
};

/** The fact that an endpoint has been disabled: its owner is to be told elsewhere. */
export const WEBHOOK_DISABLED = 'webhook.disabled';
export const MAX_ENDPOINTS = 5;
/** An endpoint that has failed for so long is disabled. */
export const DISABLED_AFTER = 3 * DAY;
export const FAILED_FOR_DAYS = `every delivery has failed for ${DISABLED_AFTER / DAY} days`;

const SECRET_PREFIX = 'whsec_';

/**
 * The form in which receivers know an endpoint's secret. It is used as text by those who sign with all of it; for the
 * libraries of Standard Webhooks the digits happen to be base64 of 48 bytes.
 */
export const presentEndpointSecret = (key: Uint8Array): string => SECRET_PREFIX + Buffer.from(key).toString('hex');
