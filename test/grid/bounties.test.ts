import { afterAll, describe, expect, test } from 'vitest';
import { bounty as bountyAccount, VAULT } from '../../src/domains/ledger/index.ts';
import { DAY, MINUTE } from '../../src/kernel/time.ts';
import { ADMIN_KEY, startApis, statusesOf, type Reply } from '../harness/apis.ts';
import { systemOp } from '../harness/op.ts';
import { balanceOf, expectSound, give, has } from './money.ts';
import { registerNode, type TestNode } from './node.ts';

const world = await startApis();
afterAll(() => world.close());

const WISH = { title: 'Summarise papers', description: 'A table with one row for each paper.', reward_tck: 50 };
const UNKNOWN = '01890000-0000-7000-8000-000000000000';

const richNode = async (amount = 1_000): Promise<TestNode> => {
  const node = await registerNode(world);
  await give(world, node, amount);
  return node;
};
const offer = async (creator: TestNode, wish: object = {}): Promise<string> => {
  const { status, body } = await creator.call('POST', '/v1/bounties', { ...WISH, ...wish });
  expect(status).toBe(200);
  return body.bounty_id;
};
const handIn = (solver: TestNode, bounty: string, content = 'Here is the table.'): Promise<Reply> =>
  solver.call('POST', `/v1/bounties/${bounty}/submissions`, { content });
const award = (creator: TestNode, bounty: string, submission: string): Promise<Reply> =>
  creator.call('POST', `/v1/bounties/${bounty}/award`, { submission_id: submission });
const cancel = (creator: TestNode, bounty: string) => creator.call('POST', `/v1/bounties/${bounty}/cancel`);
const held = (bounty: string) => has(world, bountyAccount(bounty));
const look = async (bounty: string, headers = {}) =>
  (await world.call('GET', `/v1/bounties/${bounty}`, { headers })).body;
const expire = () => world.grid.bounties.expireDue(systemOp(world.clock.now()));

describe('a bounty', () => {
  test('puts its reward aside, and shows what it is about to everybody', async () => {
    const creator = await richNode();
    const { status, body } = await creator.call('POST', '/v1/bounties', { ...WISH, tags: ['ai'], deadline_days: 7 });
    expect([status, body]).toEqual([
      200,
      {
        bounty_id: expect.any(String),
        title: WISH.title,
        reward_tck: '50.00',
        category: 'general',
        status: 'open',
        deadline_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/),
        escrow_reference: `ESCROW:BOUNTY:${body.bounty_id}`,
        created_at: expect.stringMatching(/\.\d{6}$/),
      },
    ]);
    expect([await balanceOf(world, creator), await held(body.bounty_id)]).toEqual([1_050, 50]);
    expect(await look(body.bounty_id)).toMatchObject({
      description: WISH.description,
      tags: ['ai'],
      creator_node_id: creator.id,
      creator_cri: 30,
      winner_node_id: null,
      winner_submission_id: null,
      awarded_at: null,
      submissions: [],
      submission_count: 0,
    });
  });

  test('that its creator cannot pay is answered 402, and none is made', async () => {
    const poor = await registerNode(world);
    const reply = await poor.call('POST', '/v1/bounties', { ...WISH, reward_tck: 100.01 });
    expect([reply.status, reply.body]).toEqual([402, { detail: 'Insufficient funds' }]);
    expect(await balanceOf(world, poor)).toBe(100);
    const { body } = await world.call('GET', '/v1/bounties?limit=100');
    expect(body.bounties.filter((one: { creator_node_id: string }) => one.creator_node_id === poor.id)).toEqual([]);
  });

  test.each([
    [{ reward_tck: 9.99 }, 'reward_tck'],
    [{ title: 'Four' }, 'title'],
    [{ description: 'Too short' }, 'description'],
    [{ category: 'cooking' }, 'category'],
    [{ deadline_days: 91 }, 'deadline_days'],
    [{ deadline_days: 0 }, 'deadline_days'],
  ])('with %j is refused with the field named', async (wrong, field) => {
    const creator = await registerNode(world);
    const { status, body } = await creator.call('POST', '/v1/bounties', { ...WISH, ...wrong });
    expect([status, body.detail[0].field]).toEqual([422, field]);
  });

  test('is made once by a request that is repeated under its key', async () => {
    const creator = await richNode();
    const headers = { 'idempotency-key': 'once' };
    const first = await creator.call('POST', '/v1/bounties', WISH, headers);
    // Also where the reply was lost with the process that made it.
    await world.db.query('delete from idempotency_records');
    const second = await creator.call('POST', '/v1/bounties', WISH, headers);
    expect(second.body).toEqual(first.body);
    expect(await balanceOf(world, creator)).toBe(1_050);
  });

  test('keeps to the cap of its creator', async () => {
    const creator = await richNode();
    await world.db.query(`update grid_nodes set canary_task = 400000 where id = $1`, [creator.id]);
    const reply = await creator.call('POST', '/v1/bounties', WISH);
    expect([reply.status, reply.body.detail]).toEqual([400, expect.stringContaining('exceeds your per-task cap')]);
    expect(await balanceOf(world, creator)).toBe(1_100);
  });
});

describe('the list of bounties', () => {
  test('has those that are asked for, in the order that is asked for, page by page', async () => {
    const creator = await richNode();
    const made: string[] = [];
    for (const reward_tck of [20, 40, 40, 30])
      made.push(await offer(creator, { reward_tck, category: 'monitoring', deadline_days: reward_tck === 30 ? 1 : 5 }));
    const idsOf = async (query: string) =>
      (await world.call('GET', `/v1/bounties?category=monitoring&${query}`)).body.bounties.map(
        (one: { bounty_id: string }) => one.bounty_id,
      );
    const [a, b, c, d] = made;
    expect(await idsOf('')).toEqual([d, c, b, a]);
    expect(await idsOf('sort=reward')).toEqual([c, b, d, a]);
    expect((await idsOf('sort=deadline'))[0]).toBe(d);
    expect(await idsOf('sort=reward&limit=2&offset=1')).toEqual([b, d]);
    expect(await idsOf('min_reward=30.5')).toEqual([c, b]);
    await cancel(creator, a ?? '');
    expect(await idsOf('status=cancelled')).toEqual([a]);
    expect(await idsOf('status=all')).toHaveLength(4);
    const { body } = await world.call('GET', '/v1/bounties?category=monitoring&limit=1');
    expect(body).toMatchObject({ total: 3, limit: 1, offset: 0 });
  });

  test.each(['limit=101', 'limit=0', 'status=lost', 'sort=size', 'min_reward=-1', 'offset=-1'])(
    'refuses %s with 422',
    async (query) => expect((await world.call('GET', `/v1/bounties?${query}`)).status).toBe(422),
  );
});

describe('a submission', () => {
  test('is handed in, accepted, and paid less 3 % tax; the others are rejected', async () => {
    const [creator, winner, loser] = [await richNode(), await registerNode(world), await registerNode(world)];
    const bounty = await offer(creator);
    const made = await handIn(winner, bounty);
    expect([made.status, made.body]).toEqual([
      200,
      { submission_id: expect.any(String), bounty_id: bounty, status: 'pending', created_at: expect.any(String) },
    ]);
    await handIn(loser, bounty);
    const vault = await has(world, VAULT);
    const awarded = await award(creator, bounty, made.body.submission_id);
    expect([awarded.status, awarded.body]).toEqual([
      200,
      {
        bounty_id: bounty,
        status: 'awarded',
        winner_node_id: winner.id,
        payout: '48.5000',
        tax: '1.5000',
        awarded_at: expect.any(String),
      },
    ]);
    expect([await balanceOf(world, winner), await held(bounty), (await has(world, VAULT)) - vault]).toEqual([
      148.5, 0, 1.5,
    ]);
    expect(await look(bounty)).toMatchObject({
      status: 'awarded',
      winner_node_id: winner.id,
      winner_submission_id: made.body.submission_id,
      submissions: [
        { solver_node_id: loser.id, status: 'rejected' },
        { solver_node_id: winner.id, status: 'accepted', content: 'Here is the table.' },
      ],
    });
    await expectSound(world);
  });

  test('is one at a time for each solver, also when it is handed in twice at once', async () => {
    const [creator, solver] = [await richNode(), await registerNode(world)];
    const bounty = await offer(creator);
    const replies = await Promise.all(Array.from({ length: 4 }, () => handIn(solver, bounty)));
    expect(statusesOf(replies)).toEqual([200, 400, 400, 400]);
    expect(await handIn(solver, bounty)).toMatchObject({
      status: 400,
      body: { detail: 'You already have a pending submission for this bounty' },
    });
  });

  test('is not for one’s own bounty, nor for one that is over, past its deadline or unknown', async () => {
    const [creator, solver] = [await richNode(), await registerNode(world)];
    const bounty = await offer(creator, { deadline_days: 1 });
    expect(await handIn(creator, bounty)).toMatchObject({
      status: 400,
      body: { detail: 'Cannot submit to your own bounty' },
    });
    expect((await handIn(solver, UNKNOWN)).status).toBe(404);
    expect((await handIn(solver, 'nonsense')).status).toBe(404);
    const unknownSkill = { content: 'With a skill.', skill_id: UNKNOWN };
    expect((await solver.call('POST', `/v1/bounties/${bounty}/submissions`, unknownSkill)).status).toBe(404);
    world.clock.advance(DAY);
    expect((await handIn(solver, bounty)).status).toBe(400);
    await cancel(creator, bounty);
    expect(await handIn(solver, bounty)).toMatchObject({ status: 400, body: { detail: 'Bounty is not open' } });
  });

  test('that is sealed is read by its creator and its solver, and by all once it is awarded', async () => {
    const [creator, solver, other] = [await richNode(), await registerNode(world), await registerNode(world)];
    const bounty = await offer(creator, { sealed: true });
    const { body } = await handIn(solver, bounty, 'My secret.');
    const seenBy = async (node?: TestNode) =>
      (await look(bounty, node && { 'x-api-key': node.key })).submissions[0].content;
    expect(await Promise.all([seenBy(creator), seenBy(solver), seenBy(other), seenBy()])).toEqual([
      'My secret.',
      'My secret.',
      null,
      null,
    ]);
    await award(creator, bounty, body.submission_id);
    expect(await seenBy()).toBe('My secret.');
  });
});

describe('only its creator', () => {
  test('awards and cancels a bounty', async () => {
    const [creator, solver] = [await richNode(), await registerNode(world)];
    const bounty = await offer(creator);
    const { body } = await handIn(solver, bounty);
    expect(await award(solver, bounty, body.submission_id)).toMatchObject({
      status: 403,
      body: { detail: 'Only the bounty creator can award' },
    });
    expect(await cancel(solver, bounty)).toMatchObject({
      status: 403,
      body: { detail: 'Only the bounty creator can cancel' },
    });
    expect((await award(creator, bounty, UNKNOWN)).status).toBe(404);
    expect((await cancel(creator, UNKNOWN)).status).toBe(404);
    const elsewhere = await offer(creator);
    expect((await award(creator, elsewhere, body.submission_id)).status).toBe(404);
  });

  test('has the reward again after cancelling, and cancels once', async () => {
    const [creator, solver] = [await richNode(), await registerNode(world)];
    const bounty = await offer(creator);
    const { body } = await handIn(solver, bounty);
    expect(await cancel(creator, bounty)).toMatchObject({
      status: 200,
      body: { bounty_id: bounty, status: 'cancelled', refunded_tck: '50.00', cancelled_at: expect.any(String) },
    });
    expect([await balanceOf(world, creator), await held(bounty)]).toEqual([1_100, 0]);
    expect(await cancel(creator, bounty)).toMatchObject({ status: 400, body: { detail: 'Bounty is not open' } });
    expect((await award(creator, bounty, body.submission_id)).status).toBe(400);
    expect((await look(bounty)).submissions[0].status).toBe('rejected');
  });

  test('may repeat an award or a cancellation under its key, whose reply was lost', async () => {
    const [creator, solver] = [await richNode(), await registerNode(world)];
    const [first, second] = [await offer(creator), await offer(creator)];
    const { body } = await handIn(solver, first);
    const headers = { 'idempotency-key': 'again' };
    const paths: [string, object?][] = [
      [`/v1/bounties/${first}/award`, { submission_id: body.submission_id }],
      [`/v1/bounties/${second}/cancel`],
    ];
    for (const [path, given] of paths) {
      const once = await creator.call('POST', path, given, headers);
      await world.db.query('delete from idempotency_records');
      const again = await creator.call('POST', path, given, headers);
      expect([again.status, again.body]).toEqual([200, once.body]);
      await world.db.query('delete from idempotency_records');
    }
    expect([await balanceOf(world, solver), await balanceOf(world, creator)]).toEqual([148.5, 1_050]);
  });
});

describe('when the deadline of a bounty has come', () => {
  test('its creator has the reward again', async () => {
    const [creator, solver] = [await richNode(), await registerNode(world)];
    const bounty = await offer(creator, { deadline_days: 3 });
    const kept = await offer(creator);
    await handIn(solver, bounty);
    await expire();
    expect((await look(bounty)).status).toBe('open');
    world.clock.advance(3 * DAY);
    const reply = await world.call('POST', '/v1/admin/bounties/expire', { key: ADMIN_KEY });
    expect([reply.status, reply.body]).toEqual([
      200,
      { status: 'OK', expired: expect.any(Number), failed: 0, timestamp: expect.any(String) },
    ]);
    expect(reply.body.expired).toBeGreaterThanOrEqual(1);
    expect((await look(bounty)).status).toBe('expired');
    expect((await look(kept)).status).toBe('open');
    expect([await balanceOf(world, creator), await held(bounty)]).toEqual([1_050, 0]);
    expect((await award(creator, bounty, (await look(bounty)).submissions[0].id)).status).toBe(400);
  });

  test('a hundred that cannot be ended do not stand in the way of those behind them', async () => {
    const bounty = await offer(await richNode(), { deadline_days: 1 });
    // Without an account in the ledger: there is nothing to give back.
    const broken = await world.db.query<{ id: string }>(
      `insert into grid_bounties (id, creator_id, sandbox, title, description, reward, category, tags, sealed, deadline_at, ends_at, created_at)
       select gen_random_uuid(), creator_id, sandbox, title, description, reward, category, tags, sealed,
              deadline_at - interval '1 hour', ends_at - interval '1 hour', created_at
         from grid_bounties, generate_series(1, 100) where id = $1 returning id`,
      [bounty],
    );
    world.clock.advance(DAY);
    expect(await expire()).toMatchObject({ failed: 100 });
    expect((await look(bounty)).status).toBe('expired');
    expect(await expire()).toEqual({ expired: 0, failed: 0 });
    world.clock.advance(5 * MINUTE);
    expect(await expire()).toMatchObject({ failed: 100 });
    await world.db.query(`delete from grid_bounties where id = any ($1)`, [broken.map(({ id }) => id)]);
  });

  test('it is expired by the operator alone', async () => {
    const node = await registerNode(world);
    expect((await node.call('POST', '/v1/admin/bounties/expire')).status).toBe(401);
    expect((await world.call('POST', '/v1/admin/bounties/expire')).status).toBe(401);
  });
});

describe('of two that end a bounty at once exactly one wins, and the money is where it says', () => {
  const race = async (
    ...ends: ((of: { creator: TestNode; bounty: string; submissions: string[] }) => Promise<unknown>)[]
  ) => {
    const [creator, ...solvers] = [await richNode(), await registerNode(world), await registerNode(world)];
    const bounty = await offer(creator, { deadline_days: 1 });
    const submissions: string[] = [];
    for (const solver of solvers) submissions.push((await handIn(solver, bounty)).body.submission_id);
    world.clock.advance(DAY);
    await Promise.all(ends.map((end) => end({ creator, bounty, submissions })));
    const { status, winner_node_id: winner } = await look(bounty);
    const paid = await Promise.all(solvers.map((solver) => balanceOf(world, solver)));
    expect(await held(bounty)).toBe(0);
    expect(await balanceOf(world, creator)).toBe(status === 'awarded' ? 1_050 : 1_100);
    expect(paid.toSorted((a, b) => a - b)).toEqual(status === 'awarded' ? [100, 148.5] : [100, 100]);
    expect(winner === null).toBe(status !== 'awarded');
    const facts = await world.db.query<{ type: string }>(
      `select type from facts where subject = $1 and type = any ('{bounty.awarded,bounty.cancelled,bounty.expired}')`,
      [bounty],
    );
    expect(facts).toEqual([{ type: `bounty.${status}` }]);
    await expectSound(world);
  };
  type Of = { creator: TestNode; bounty: string; submissions: string[] };
  const first = ({ creator, bounty, submissions: [a = ''] }: Of) => award(creator, bounty, a);
  const second = ({ creator, bounty, submissions: [, b = ''] }: Of) => award(creator, bounty, b);
  const takeBack = ({ creator, bounty }: Of) => cancel(creator, bounty);

  test('award against award', () => race(first, second));
  test('award against cancel', () => race(first, takeBack));
  test('award against expiry', () => race(first, expire));
  test('cancel against expiry', () => race(takeBack, expire));
  test('cancel against cancel', () => race(takeBack, takeBack));
  test('expiry against expiry', () => race(expire, expire));
  test('all of them', () => race(first, second, takeBack, expire, expire, takeBack));

  test('what is handed in meanwhile is pending of none that is over', async () => {
    const [creator, solver, late] = [await richNode(), await registerNode(world), await registerNode(world)];
    const bounty = await offer(creator);
    const { body } = await handIn(solver, bounty);
    await Promise.all([handIn(late, bounty), award(creator, bounty, body.submission_id), handIn(late, bounty)]);
    const { submissions } = await look(bounty);
    expect(submissions.filter((one: { status: string }) => one.status === 'pending')).toEqual([]);
  });
});

test('what a bounty is worth is the reward to the last unit, whatever it is', async () => {
  const [creator, solver] = [await richNode(), await registerNode(world)];
  for (const reward_tck of [10.0001, 10.0033, 33.3333, 99.9999]) {
    const bounty = await offer(creator, { reward_tck });
    const { body } = await handIn(solver, bounty);
    const { payout, tax } = (await award(creator, bounty, body.submission_id)).body;
    expect(Math.round((Number(payout) + Number(tax)) * 10_000)).toBe(Math.round(reward_tck * 10_000));
    expect(await held(bounty)).toBe(0);
  }
  await expectSound(world);
});
