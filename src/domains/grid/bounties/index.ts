import { parseId, type NodeId } from '../../../kernel/ids.ts';
import type { Op } from '../../../kernel/op.ts';
import { defineSweep } from '../../../platform/jobs/index.ts';
import { findNodeOf } from '../nodes/store.ts';
import type { Reputation } from '../reputation/index.ts';
import type { GridWorld, NodeOp } from '../world.ts';
import { mayRead, type Bounty, type Submission } from './bounty.ts';
import { create, type BountyWish } from './create.ts';
import { award, cancel, expireDue, type Expiry } from './end.ts';
import { bountyMissing } from './policy.ts';
import { findBounty, searchBounties, submissionsOf, type BountySearch } from './store.ts';
import { submit, type SubmissionWish } from './submit.ts';

/** What was handed in, as somebody may see it: without its content where that is sealed. */
export type ShownSubmission = Omit<Submission, 'content' | 'proofUrl'> & {
  content: string | undefined;
  proofUrl: string | undefined;
};

type Page = { limit: number; offset: number };

export type Bounties = ReturnType<typeof createBounties>;

/** Bounties: rewards that nodes put aside for whoever solves something. */
export function createBounties(gridWorld: GridWorld, reputation: Reputation) {
  const world = { ...gridWorld, reputation };
  const { db } = world;
  return {
    create: (op: NodeOp, wish: BountyWish) => create(world, op, wish),
    search: (search: BountySearch) => searchBounties(db, search),
    /** A bounty with a page of what was handed in for it, as the caller may see it. Throws `not_found`. */
    describe: (op: Op, reference: string, page: Page) => describe(world, op, reference, page),
    submit: (op: NodeOp, reference: string, wish: SubmissionWish) => submit(world, op, reference, wish),
    award: (op: NodeOp, reference: string, submissionId: string) => award(world, op, reference, submissionId),
    cancel: (op: NodeOp, reference: string) => cancel(world, op, reference),
    /** All that is due, now. */
    expireDue: (op: Op) => expireEverything(world, op),
    sweeps: [
      defineSweep({
        name: 'grid.expire-bounties',
        everySeconds: 30,
        runDue: async (op) => {
          const { expired, failed } = await expireDue(world, op);
          return expired + failed;
        },
      }),
    ],
  };
}

async function expireEverything(world: GridWorld, op: Op): Promise<Expiry> {
  const all = { expired: 0, failed: 0 };
  for (let done = -1; done !== 0 && !op.signal.aborted;) {
    const { expired, failed } = await expireDue(world, op);
    all.expired += expired;
    all.failed += failed;
    // What fails is not found again before its time.
    done = expired + failed;
  }
  return all;
}

async function describe(
  { db }: GridWorld,
  op: Op,
  reference: string,
  page: Page,
): Promise<{ bounty: Bounty; submissions: ShownSubmission[] }> {
  const id = parseId('bounty', reference);
  const bounty = id && (await findBounty(db, id));
  if (!bounty) throw bountyMissing();
  const reader = op.actor.kind === 'account' ? await findNodeOf(db, op.actor.accountId) : undefined;
  const submissions = (await submissionsOf(db, bounty.id, page)).map((one) => shownTo(bounty, one, reader?.id));
  return { bounty, submissions };
}

const shownTo = (bounty: Bounty, submission: Submission, reader: NodeId | undefined): ShownSubmission =>
  mayRead(bounty, submission, reader) ? submission : { ...submission, content: undefined, proofUrl: undefined };
