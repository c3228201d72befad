import { BACKUP_KEPT_MS, GRACE_MS, MAX_BACKUPS, MAX_SERVERS, PLANS } from '../domains/compute/index.ts';
import {
  LEAST_USD,
  MAX_OPEN,
  MAX_OPEN_UNPAID,
  MOST_USD,
  OPEN_MS,
  UNPAID_WATCHED_MS,
  WATCHED_MS,
} from '../domains/payments/index.ts';
import { toDecimal, type Usd } from '../kernel/money.ts';
import { DAY, HOUR } from '../kernel/time.ts';
import { list, shell, table, text, type Section } from './prose.ts';

const MIB_PER_GIB = 1_024;
const GRACE_DAYS = GRACE_MS / DAY;
const KEPT_DAYS = BACKUP_KEPT_MS / DAY;

const dollars = (amount: Usd): string => `$${toDecimal(amount, 'USD').replace(/\.?0+$/, '')}`;

/** What an agent must know to rent computers, in the order in which it does it. */
export const serverSections = (url: string): Section[] => [
  servers(url),
  topups(url),
  care(url),
  backups(url),
  instances(url),
  customRequests(),
];

const servers = (url: string): Section => ({
  id: 'servers',
  title: 'Rent a server by the hour',
  blocks: [
    text(
      'A server is a Linux computer that stays: root by SSH, a disk of its own, every port. An e-mail address and a password',
      'are enough for an account; the key of an agent’s account opens the same routes.',
    ),
    shell(
      `curl -s ${url}/auth/register -H 'Content-Type: application/json' \\`,
      `  -d '{"email": "me@example.com", "password": "at least 8 characters"}'`,
    ),
    text(
      'The reply is `{"accessToken", "user": {"id", "email", "balance"}}`. Send the token with every other request as',
      '`Authorization: Bearer TOKEN`. It holds for 15 minutes: on any 401, log in again with `POST /auth/login` and repeat',
      'the request once. The balance must cover the first hour, else it is a 402; `POST /billing/topups` (below), or whoever runs',
      'this server, brings money in:',
    ),
    shell(
      `curl -s ${url}/billing -H "Authorization: Bearer $TOKEN"`,
      `curl -s ${url}/servers -H "Authorization: Bearer $TOKEN" \\`,
      `  -H 'Content-Type: application/json' \\`,
      `  -d '{"label": "my-bot", "planId": "vc2-1c-1gb", "regionId": "ams",`,
      `       "sshKey": "ssh-ed25519 AAAA… me@home"}'`,
      `curl -s ${url}/servers/$SERVER_ID -H "Authorization: Bearer $TOKEN"`,
    ),
    text(
      'The answer is 202: it is accepted and not there yet. Ask for it every 5 seconds until its status is `ACTIVE`, which it is',
      'when SSH answers, or `ERROR`, which costs nothing. Without `sshKey` the 202 has a `rootPassword`, shown only this once.',
      '`ssh.knownHosts` is a line for your known_hosts file, so that strict checking works at the first connection:',
    ),
    shell(
      `curl -s ${url}/servers/$SERVER_ID -H "Authorization: Bearer $TOKEN" |`,
      `  jq -r .server.ssh.knownHosts >> ~/.ssh/known_hosts`,
      `ssh -p $PORT -o StrictHostKeyChecking=yes root@$HOST`,
    ),
    table(
      ['plan', 'CPUs', 'memory', 'disk', 'a month', 'an hour'],
      ...PLANS.map(({ id, vcpus, memoryMb, diskGb, monthly, hourly }) => [
        `\`${id}\``,
        String(vcpus),
        `${memoryMb / MIB_PER_GIB} GB`,
        `${diskGb} GB`,
        dollars(monthly),
        dollars(hourly),
      ]),
    ),
    text(
      '`GET /regions` lists the 29 regions and says which of them is real here; all are taken. Destroy what you no longer need:',
    ),
    shell(`curl -s -X DELETE ${url}/servers/$SERVER_ID -H "Authorization: Bearer $TOKEN"`),
  ],
});

const topups = (url: string): Section => ({
  id: 'topups',
  title: 'Top up with a stable-coin',
  blocks: [
    text(
      'Where whoever runs this server takes a stable-coin, you bring money in by yourself: `accepts` says which coin, by the',
      'address of its contract (`token`) on which chain (`chainId`); null says that none is taken, and then the `POST` is a 503.',
      'Ask for a top-up and send the coin to its address, as many coins as dollars, from any wallet on that chain:',
    ),
    shell(
      `curl -s ${url}/billing/topups -H "Authorization: Bearer $TOKEN"`,
      `curl -s ${url}/billing/topups -H "Authorization: Bearer $TOKEN" \\`,
      `  -H 'Content-Type: application/json' \\`,
      `  -d '{"amountUsd": "25.00", "coin": "USDC"}'`,
      `curl -s ${url}/billing/topups/$TOPUP_ID -H "Authorization: Bearer $TOKEN"`,
    ),
    text(
      'The reply is `{"id", "address", "amount", "expiresAt", "status", …}`. The status is `pending` until a payment is on the chain,',
      '`confirming` until `confirmationsNeeded` blocks stand on it, and `paid` when it is credited; `expired` when none has come',
      'in time. Ask every 15 seconds. Servers that were suspended for want of money come back by themselves.',
    ),
    list(
      `From ${LEAST_USD} to ${MOST_USD} dollars at a time, with at most two decimals; another coin or amount is a 400.`,
      '`receivedUsd` is what was credited: what arrives, a dollar for a coin, whether it is less, more, or comes in parts.',
      `A payment is waited for ${OPEN_MS / HOUR} hours. A later one is credited too, up to ${WATCHED_MS / DAY} days after that. Until your account has brought in a dollar it comes by itself only for ${UNPAID_WATCHED_MS / HOUR} hours, after that within a minute of your \`GET /billing/topups/ID\`. Another coin, or the same coin on another chain, is not credited.`,
      `An address belongs to one top-up. ${MAX_OPEN} may wait for a payment at a time, ${MAX_OPEN_UNPAID} until your account has brought in a dollar, else it is a 409.`,
    ),
  ],
});

const care = (url: string): Section => ({
  id: 'server-care',
  title: 'What servers cost and how they live',
  blocks: [
    list(
      'Each hour is paid when it begins, from the moment it is `ACTIVE`, at the price of its deployment, which never changes. The hour of the `DELETE` is the last.',
      `Where the next hour is not there, the server is \`SUSPENDED\`: it is off within seconds, its disk is kept, and it costs nothing. A top-up starts it again by itself; after ${GRACE_DAYS} days it is destroyed.`,
      'Money is decimal text: parse it as decimal, never as a float.',
      `An account may have ${MAX_SERVERS.hourly} servers, unless whoever runs this server has set another number for it: then it is a 403; \`/docs/custom-requests\` says whom to ask for more. \`POST /servers/bulk\` deploys up to 10, all or none.`,
      'What is installed stays, over reboots, and over restarts of this platform and of its host. `/etc/rc.local`, where there is one that may be executed, runs at each start; what it prints is in `GET /servers/ID/console`.',
      '`POST /servers/ID/reboot`, `stop` and `start` do what they say. A server that you have stopped is paid for, because its disk and its address stay yours.',
      '`PUT /servers/ID/ssh-key` changes the key that root comes in by; a password opens it no more after that.',
      'An error is `{"error": "a sentence"}`; with 400 there are `details`. 100 requests a minute, 10 for `/auth/register`, `/auth/login` and `/auth/me` together; on 429 wait, longer each time.',
    ),
    shell(`curl -s -X POST ${url}/servers/$SERVER_ID/reboot -H "Authorization: Bearer $TOKEN"`),
  ],
});

const backups = (url: string): Section => ({
  id: 'backups',
  title: 'Back up a server and restore it',
  blocks: [
    text(
      'A backup is all of a server’s disk at one moment, taken while the server runs: it stands still for that moment only.',
      `It is compressed and kept for ${KEPT_DAYS} days, also when the server is gone. It costs nothing; an account may have ${MAX_BACKUPS}.`,
    ),
    shell(
      `curl -s ${url}/backups -H "Authorization: Bearer $TOKEN" \\`,
      `  -H 'Content-Type: application/json' \\`,
      `  -d "{\\"serverId\\": \\"$SERVER_ID\\"}"`,
      `curl -s ${url}/backups -H "Authorization: Bearer $TOKEN"`,
    ),
    text(
      'The answer is 202 and `PENDING`: list the backups every few seconds until it is `AVAILABLE`, or `ERROR`, which says why.',
      'Then restore it onto a new server, as often as you like. That is deployed and paid like any other, with the same plan in',
      'the same region, an address and host keys of its own, and the disk as it was, to the byte:',
    ),
    shell(
      `curl -s ${url}/backups/$BACKUP_ID/restore -H "Authorization: Bearer $TOKEN" \\`,
      `  -H 'Content-Type: application/json' \\`,
      `  -d '{"sshKey": "ssh-ed25519 AAAA… me@home"}'`,
      `curl -s -X DELETE ${url}/backups/$BACKUP_ID -H "Authorization: Bearer $TOKEN"`,
    ),
    list(
      'The server must be `ACTIVE`, and one backup of it is made at a time, else it is a 409. What programs have not written to their files is not in it.',
      'Without `sshKey` the 202 has a new `rootPassword`. Keys that you had put into `/root/.ssh/authorized_keys` yourself are on the disk and open the new server too.',
      'A backup that is not, to the byte, what was kept is never restored: the server ends in `ERROR` and its money is given back.',
      '`PUT /servers/ID/backup-schedule` with `{"everyHours": 24, "keep": 3}` has a server backed up by itself; `GET` shows when next, and why the last one was left out; `DELETE` ends it.',
      `A backup that was deleted, or is older than ${KEPT_DAYS} days, is \`EXPIRED\`.`,
    ),
  ],
});

/** Has a page of its own too, which the contract's document names. */
export const customRequests = (): Section => ({
  id: 'custom-requests',
  title: 'Ask for more',
  blocks: [
    text(
      'This server is run by somebody, and what its API does not give you is theirs to decide. Write to whoever gave you its',
      'address, and tell them your account’s id (`GET /auth/me`), what you need, for how long, and why.',
    ),
    list(
      `More than ${MAX_SERVERS.hourly} servers, or ${MAX_SERVERS.monthly} instances: they set another number for your account with \`PUT /v1/admin/accounts/ID/limits\`.`,
      'Credit, where no stable-coin is taken or you have none: they add it with `POST /v1/admin/credits`; suspended servers come back by themselves within seconds.',
      'An account that is suspended: every request but a look is a 403, and its servers are off, with their disks kept. They say why, and release it.',
      `A plan, a region, or backups for longer than ${KEPT_DAYS} days: restore before that, and back up again.`,
    ),
  ],
});

const instances = (url: string): Section => ({
  id: 'compute',
  title: 'Rent a computer by the month',
  blocks: [
    text(
      'The same, paid for 30 days at a time, of the size that you choose, with SSH for `agent`, who may use sudo. It runs when the reply comes:',
    ),
    shell(
      `curl -s ${url}/v1/compute -H "Authorization: Bearer $KEY" \\`,
      `  -H 'Content-Type: application/json' \\`,
      `  -d '{"name": "my-server", "ssh_public_key": "ssh-ed25519 AAAA… me@home",`,
      `       "vcpu": 1, "memory_mb": 1024, "disk_gb": 10}'`,
    ),
    text(
      '500 cents with 1 CPU, 1 GB and 10 GB of disk; 300 for each further CPU, 200 for each GB, 100 for each 5 GB of disk.',
      `An account may have ${MAX_SERVERS.monthly}. Where the next 30 days are not there, it is \`suspended\`, and after ${GRACE_DAYS} days deleted.`,
    ),
  ],
});

/** For a system prompt: what is enough to begin, in one text that a person can copy. */
export const agentText = (url: string): string =>
  [
    `You may rent computers and have work done at Freehold, ${url}, by its REST API (JSON). No person is needed.`,
    `Everything about it is in ${url}/llms.txt (plain text); read that first. In short, for a server:`,
    '',
    `1. POST ${url}/auth/register {"email", "password"} -> 201 {"accessToken", "user"}; later POST /auth/login.`,
    '   Send "Authorization: Bearer ACCESS_TOKEN" with all that follows. It holds for 15 minutes: on 401 log in again.',
    '2. GET /billing -> {"balance", "hourlySpend"}, decimal strings. The balance must cover an hour of the plan (GET /plans).',
    '3. POST /servers {"label", "planId": "vc2-1c-1gb", "regionId": "ams", "sshKey"} -> 202. Without sshKey: rootPassword, once.',
    '4. GET /servers/ID every 5 seconds until "status" is "ACTIVE" or "ERROR". Then SSH as root to ssh.host, ssh.port;',
    '   ssh.knownHosts is the line for known_hosts, so that strict host key checking works at once.',
    '5. POST /backups {"serverId"} -> 202, AVAILABLE after minutes, kept 7 days; POST /backups/ID/restore -> a new server.',
    '6. DELETE /servers/ID -> 202. It costs nothing after that hour. Destroy what you no longer need.',
    '',
    'On 402 top up: GET /billing/topups -> "accepts": which stable-coin, or null (then ask whoever runs the server);',
    '   POST /billing/topups {"amountUsd": "25.00", "coin"} -> 201 {"address", "chainId", "token"}: send the coin there.',
    'On 429 and 503 wait for Retry-After. Use an Idempotency-Key header on each POST.',
  ].join('\n');
