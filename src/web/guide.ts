import { CHALLENGE_TIME } from '../domains/identity/index.ts';
import { MACHINE_LIMITS } from '../domains/tasks/index.ts';
import { SECOND } from '../kernel/time.ts';
import { gridSection } from './guide-grid.ts';
import { machineSections } from './guide-machines.ts';
import { serverSections } from './guide-servers.ts';
import { list, script, shell, table, text, type Section } from './prose.ts';

const MIB_PER_GIB = 1_024;

/** What an agent must know to do the whole main job, in the order in which it does it. */
export const guide = (publicUrl: string): Section[] => [
  registration(publicUrl),
  credit(publicUrl),
  task(publicUrl),
  receipt(publicUrl),
  webhooks(),
  ...machineSections(publicUrl),
  ...serverSections(publicUrl),
  gridSection(publicUrl),
  handover(publicUrl),
  login(publicUrl),
  e2b(publicUrl),
  conventions(),
];

const registration = (url: string): Section => ({
  id: 'register',
  title: '1. Register yourself',
  blocks: [
    text(
      'No person is needed. Ask for a challenge, answer it, and you have an account and an API key.',
      `A challenge holds for ${CHALLENGE_TIME / SECOND} seconds and for one answer, right or wrong; ask for another as often as you need.`,
    ),
    shell(`curl -s ${url}/v1/auth/challenge`),
    text(
      'The reply is `{"challenge": {"type", "title", "description", "prompt", …}, "token"}`. How to answer each type:',
    ),
    table(
      ['type', 'prompt', 'answer'],
      ['math', 'two numbers with commas and a `×`', 'their product, in digits'],
      ['string', 'letters and digits', 'the prompt reversed; upper and lower case matter'],
      ['count', 'lower-case letters', 'how often the letter in double quotes in the description occurs'],
      [
        'sort',
        'numbers with commas between them',
        'the one at the place that the description names, in ascending order',
      ],
      ['binary', 'octets of eight binary digits', 'the ASCII word that they spell'],
    ),
    text('Send the answer back as a string, with the token and a name of 2 to 64 letters, digits, spaces or hyphens:'),
    shell(
      `curl -s ${url}/v1/auth/register -H 'Content-Type: application/json' \\`,
      `  -d '{"answer": "ROBOT", "token": "…", "name": "my-agent"}'`,
    ),
    text(
      'Keep `api_key`: it is shown only once. Keep `account_id` too. Send the key with every other request as',
      '`Authorization: Bearer KEY`.',
    ),
  ],
});

const credit = (url: string): Section => ({
  id: 'credit',
  title: '2. Get credit',
  blocks: [
    text(
      'An agent’s account starts with nothing, unless this server gives something: `balance_cents` of the registration says so.',
      'Where a stable-coin is taken you bring money in by yourself (`POST /billing/topups`, see below). Else whoever runs this',
      'server credits you, with `POST /v1/admin/credits` and the admin key: tell them your `account_id`.',
      'Look at your balance and at every change of it:',
    ),
    shell(
      `curl -s ${url}/v1/credits/balance -H "Authorization: Bearer $KEY"`,
      `curl -s ${url}/v1/credits/history -H "Authorization: Bearer $KEY"`,
    ),
  ],
});

const task = (url: string): Section => ({
  id: 'task',
  title: '3. Have a task done',
  blocks: [
    text(
      'A task is a prompt with a budget. A model works on it in an isolated Linux machine that is made for this task',
      'and thrown away afterwards: Debian with bash, curl, git, jq, Python 3 and `sudo` without a password,',
      `${MACHINE_LIMITS.vcpus} virtual CPUs, ${MACHINE_LIMITS.memoryMb / MIB_PER_GIB} GB of memory, ${MACHINE_LIMITS.diskGb} GB of disk,`,
      'access to the public internet and to nothing else.',
      'The whole budget is put aside when you send the task; 402 means that your balance does not reach.',
    ),
    shell(`curl -s ${url}/v1/models -H "Authorization: Bearer $KEY"`),
    text(
      'Choose a `slug` from that list as `model_slug`, or leave it out. The model `script` is always there and costs',
      'nothing beside the machine’s time: it runs the fenced shell blocks of the prompt, one after the other, and returns what they print.',
      'If the prompt names `/tmp/result.json`, that file is read at the end and returned as `result.json`.',
    ),
    shell(
      `curl -s ${url}/v1/tasks -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' \\`,
      `  -d '{"prompt": "Count to three.\\n\\n~~~sh\\nseq 3\\n~~~", "budget_cents": 50, "model_slug": "script"}'`,
    ),
    text('Then ask for it at `status_url` until its status is final, or give a `webhook_url` and be told:'),
    shell(`curl -s ${url}/v1/tasks/$TASK_ID -H "Authorization: Bearer $KEY"`),
    list(
      '`queued` → `provisioning` → `running`: not final.',
      '`succeeded`: `result.text`, and `result.json` where there is data.',
      '`failed`, `timed_out`, `cancelled`: `error.code` and `error.message`; what there was of a result is in `result`.',
      '`GET /v1/tasks/ID/steps` shows everything the model said and did. `POST /v1/tasks/ID/cancel` ends it.',
    ),
  ],
});

const receipt = (url: string): Section => ({
  id: 'receipt',
  title: '4. Read the receipt',
  blocks: [
    text('Every task carries its `cost`. Amounts called microcents are ten-thousandths of a cent, at list price.'),
    list(
      '`compute_seconds`: machine time, from the moment the machine was ready, by the second begun.',
      '`compute_microcents`: that time at 15 cents an hour. `inference_microcents`: the model’s tokens at the prices of `GET /v1/models`.',
      '`markup_bps`: 1000, which is 10 %. It is added to each of the two, and each is then rounded up to the cent.',
      '`spent_cents` is their sum, never more than the budget. `refunded_cents` is the rest of the budget.',
    ),
    text(
      'For example 320000 microcents of inference and 50000 of machine time: 35.2 and 5.5 cents with the markup, 36 + 6 = 42 cents.',
      'The next model call is only made if the budget covers the most that it can cost; otherwise the task ends with `BUDGET_EXHAUSTED` and keeps what it has.',
    ),
    shell(`curl -s ${url}/v1/credits/history -H "Authorization: Bearer $KEY"`),
    text('The amounts in the history add up to the balance.'),
  ],
});

const webhooks = (): Section => ({
  id: 'webhooks',
  title: 'Webhooks',
  blocks: [
    text(
      'A task with a `webhook_url` is told to that address when it has ended: a POST with the same body as `GET /v1/tasks/ID`.',
      'It must be an https address on the public internet. Redirects are not followed, and your server has 10 seconds to answer.',
      'Anything but a 2xx status is tried again for almost a day, at growing distances; 410 ends it.',
      'A message can come more than once: `webhook-id` stays the same.',
    ),
    text(
      'Messages are signed by Standard Webhooks. `GET /v1/account/webhook-secret` shows the secret; any of its libraries checks the signature:',
    ),
    script(
      `import { Webhook } from 'standardwebhooks';`,
      ``,
      `const task = new Webhook(secret).verify(rawBody, request.headers); // throws if it is not from us`,
    ),
    text('`GET /v1/account/webhook-deliveries` shows what was sent and what came of it.'),
  ],
});

const handover = (url: string): Section => ({
  id: 'handover',
  title: 'Hand the account to a person',
  blocks: [
    text(
      'A person can claim the account later, to have an e-mail address and a password for it. Your keys keep working.',
      'Make a link and give it to that person, and to nobody else:',
    ),
    shell(`curl -s -X POST ${url}/v1/account/claim-link -H "Authorization: Bearer $KEY"`),
  ],
});

const login = (url: string): Section => ({
  id: 'login',
  title: 'People log in with GitHub',
  blocks: [
    text(
      'Where this server has an OAuth app of GitHub, a person needs no challenge: they say yes at GitHub, and the code',
      'that comes back opens their account.',
    ),
    shell(
      `curl -s ${url}/api/v1/auth/github`,
      `curl -s ${url}/api/v1/auth/github -H 'Content-Type: application/json' -d '{"code": "…", "state": "…"}'`,
    ),
    text(
      'The `access_token` goes where a key goes, in every contract, for 15 minutes; `POST /api/v1/auth/refresh` makes a new one',
      'for 30 days, until `POST /api/v1/auth/revoke` ends the login. For longer, make an API key with it.',
    ),
  ],
});

const e2b = (url: string): Section => ({
  id: 'e2b',
  title: 'Programs written for E2B',
  blocks: [
    text(
      'The stock `e2b` client from npm works here unchanged: sandboxes, commands, terminals, files, snapshots, forks,',
      'pause and resume, ports. So does `@e2b/code-interpreter`: code that remembers, in Python, JavaScript and bash, in',
      'sandboxes of the template `code-interpreter-v1`. Have a key written the way it wants, and set three variables:',
    ),
    shell(
      `curl -s ${url}/v1/keys -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' \\`,
      `  -d '{"name": "e2b", "format": "e2b"}'`,
      `export E2B_API_KEY=e2b_… E2B_API_URL=${url}/e2b/api E2B_SANDBOX_URL=${url}/e2b/envd`,
    ),
    text(
      'The key counts, is scoped and is revoked like every other key of the account. To run anything in a sandbox it needs',
      'the scope `exec`, or none at all. Sandboxes are charged by the second; what is paused costs nothing.',
    ),
  ],
});

const conventions = (): Section => ({
  id: 'conventions',
  title: 'What holds everywhere',
  blocks: [
    list(
      'Requests and replies are JSON. An error is `{"error": "a sentence"}` with the status that fits it. Replies may get new fields.',
      'Statuses: 400 the request is wrong · 401 no key, or one that does not hold · 402 the money is not there · 403 the key lacks a scope · 404 not there · 409 not now, or a name used for something else · 413 too large · 429 too many requests · 503 full or not set up.',
      'Routes of servers (`/auth`, `/billing`, `/servers`, `/backups`, `/plans`, `/regions`) give a 400 its `details` too, and take 100 requests a minute.',
      'Routes under `/api/v1` answer without that prefix too. There an error is `{"detail": "a sentence"}`, and what is wrong with a request is 422 with `{"detail": [{"loc", "msg", "type"}]}`.',
      'A key goes into `Authorization`, with or without `Bearer`, or into `X-API-KEY`; never into a URL.',
      'A key may have scopes: `read`, `write`, `exec`, `compute`. Without scopes it may do everything. An account has at most five keys.',
      '60 requests a minute for each account. On 429 and 503, `Retry-After` says how many seconds to wait.',
      'POST requests that create or spend take an `Idempotency-Key` header: the same key with the same body answers the first reply again, for a day; with another body it is a 409. So a request that may have been lost can always be sent again.',
      'Every reply has an `X-Request-ID`. Name it when you report a problem; you may send your own.',
      'Times are UTC, ISO 8601 with milliseconds. Amounts called cents are whole cents of US dollars.',
      'What is not yours does not exist for you: 404.',
    ),
  ],
});
