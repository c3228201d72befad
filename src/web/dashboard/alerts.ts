import type { Desk } from '../../domains/grid/index.ts';
import type { DeliveryTally } from '../../domains/webhooks/index.ts';
import { elapsedMs, MINUTE } from '../../kernel/time.ts';
import { html, type Html } from '../html.ts';
import { counted, plainTck, spanShown } from './format.ts';

/** What sweeps have not done after this time they may not be doing at all. */
export const OVERDUE_AFTER = 5 * MINUTE;

export type Alert = { kind: 'bad' | 'warn'; title: string; text: Html };

/** What waits for the operator. */
export function alertsOf(desk: Desk, deliveries: DeliveryTally): Alert[] {
  return [
    overdue(desk, 'settle', 'to be settled', 'auto-settle'),
    overdue(desk, 'refund', 'to be given back', 'auto-refund'),
    disputes(desk),
    lateDeliveries(desk.at, deliveries),
    disabledEndpoints(deliveries),
  ].filter((alert) => alert !== undefined);
}

function overdue({ at, due }: Desk, kind: 'settle' | 'refund', what: string, route: string): Alert | undefined {
  const { count, amount, since } = due[kind];
  if (!since || elapsedMs(since, at) < OVERDUE_AFTER) return undefined;
  return {
    kind: 'bad',
    title: `${counted(count, 'escrow')} overdue ${what}`,
    text: html`${plainTck(amount)}, the first for ${spanShown(since, at)}. Is a worker running?
      <code>POST /v1/admin/escrows/${route}</code> does it now.`,
  };
}

function disputes({ at, escrows, disputedSince }: Desk): Alert | undefined {
  const disputed = escrows.get('DISPUTED');
  if (!disputed || disputed.count === 0) return undefined;
  return {
    kind: 'warn',
    title: `${counted(disputed.count, 'dispute')} to decide`,
    text: html`${plainTck(disputed.amount)} frozen${disputedSince && `, the first for ${spanShown(disputedSince, at)}`}.
      <code>POST /v1/admin/disputes/resolve</code> decides.`,
  };
}

function lateDeliveries(at: Date, { waitingSince }: DeliveryTally): Alert | undefined {
  if (!waitingSince || elapsedMs(waitingSince, at) < OVERDUE_AFTER) return undefined;
  return {
    kind: 'bad',
    title: 'Webhooks are late',
    text: html`The first has been due for ${spanShown(waitingSince, at)}. Is a worker running?`,
  };
}

function disabledEndpoints({ disabledEndpoints: count }: DeliveryTally): Alert | undefined {
  if (count === 0) return undefined;
  return {
    kind: 'warn',
    title: `${counted(count, 'webhook endpoint')} disabled`,
    text: html`They failed for days, and their owners have been told.`,
  };
}

export const alertList = (alerts: readonly Alert[]): Html =>
  alerts.length === 0
    ? html`<p class="calm">Nothing waits for you.</p>`
    : html`<ul class="alerts">
        ${alerts.map(
          ({ kind, title, text }) =>
            html`<li class="${kind}">
              <strong>${title}</strong>
              <span>${text}</span>
            </li>`,
        )}
      </ul>`;
