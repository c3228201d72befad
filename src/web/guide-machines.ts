import { DEFAULT_TTL_MINUTES, LARGE, STANDARD } from '../domains/environments/index.ts';
import { SIZES } from '../domains/sandboxes/index.ts';
import { toDecimal, type Usd } from '../kernel/money.ts';
import { list, shell, table, text, type Section } from './prose.ts';

const MIB_PER_GIB = 1_024;

const dollars = (amount: Usd): string => `$${toDecimal(amount, 'USD').replace(/\.?0+$/, '')}`;

/** What an agent must know to work in a machine of its own by the second, and on the samples of a dataset. */
export const machineSections = (url: string): Section[] => [sandboxes(url), sessions(url)];

const sandboxes = (url: string): Section => ({
  id: 'sandboxes',
  title: 'Rent a sandbox by the second',
  blocks: [
    text(
      'A sandbox is a Linux machine of your own, ready when the reply comes: Debian with bash, Python, Node, git, curl and',
      'build tools. It is paid by the second, a minute ahead; what is not used is given back, and a paused one costs nothing:',
    ),
    shell(
      `curl -s ${url}/v1/sandboxes -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' \\`,
      `  -d '{"vcpu": 1, "memory_mb": 512, "timeout_seconds": 3600}'`,
      `curl -s ${url}/v1/sandboxes/$SANDBOX_ID/exec -H "Authorization: Bearer $KEY" \\`,
      `  -H 'Content-Type: application/json' -d '{"command": "python3 --version"}'`,
    ),
    table(
      ['CPUs, up to', 'memory, up to', 'an hour'],
      ...SIZES.map(({ vcpus, memoryMb, hourly }) => [String(vcpus), `${memoryMb} MB`, dollars(hourly)]),
    ),
    list(
      '`POST /v1/sandboxes/ID/exec` waits for the end of a command and answers `stdout`, `stderr` and `exitCode`; `POST /v1/sandboxes/ID/code` runs a piece of code.',
      '`POST /v1/sandboxes/ID/runs` starts what is to run on. `GET /v1/sandboxes/ID/runs/PID/stream` tells what it prints, and after a broken connection goes on where you were. `GET /v1/sandboxes/ID/terminal` is a shell over WebSocket.',
      'Files: `POST /v1/sandboxes/ID/files` with `path` and `content`, `GET /v1/sandboxes/ID/files?path=…`, `…/files/list`; any size in `…/files/content`, a directory as tar in `…/files/archive`, what happens in one in `…/files/watch`.',
      '`POST /v1/sandboxes/ID/ports` with `{"port": 8000}` gives what listens there a `public_url`. `POST /v1/sandboxes/ID/ssh` with `authorized_keys` lets you in by SSH, with the line for known_hosts.',
      '`POST /v1/sandboxes/ID/pause` and `resume` keep every process. `POST /v1/sandboxes/ID/snapshots` keeps the disk, from which new ones begin (`template`); `POST /v1/sandboxes/ID/fork` makes copies at once.',
      '`POST /v1/images` makes an image of your own from a registry or a Dockerfile, `POST /v1/images/upload` from an archive; its name is a `template` too.',
      'At its `timeout_seconds`, or without money, a sandbox ends; with `"on_timeout": "pause"` it is paused. `DELETE /v1/sandboxes/ID` ends it at once.',
    ),
  ],
});

const sessions = (url: string): Section => ({
  id: 'sessions',
  title: 'Work on a sample of a dataset',
  blocks: [
    text(
      'A sample is a repository with a problem and hidden tests. A session is a machine with that repository; when you have',
      'worked in it, the work is graded in a clean machine. Anybody may look at what there is:',
    ),
    shell(`curl -s ${url}/api/v1/datasets`, `curl -s "${url}/api/v1/samples?dataset=starter"`),
    shell(
      `curl -s ${url}/api/v1/sessions -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' \\`,
      `  -d '{"dataset": "starter", "sample_id": "starter__csv-rows-1"}'`,
      `curl -s ${url}/api/v1/sessions/$SESSION_ID/exec -H "Authorization: Bearer $KEY" \\`,
      `  -H 'Content-Type: application/json' -d '{"command": "git log --oneline && ls"}'`,
      `curl -s -X POST ${url}/api/v1/sessions/$SESSION_ID/verify -H "Authorization: Bearer $KEY"`,
      `curl -s -X DELETE ${url}/api/v1/sessions/$SESSION_ID -H "Authorization: Bearer $KEY"`,
    ),
    list(
      'Opening, commands and gradings are asynchronous. Ask for `GET /api/v1/sessions/ID` until it is `ready`, or `error`, which says why; for `…/interactions/ID` until `exit_code` is not null (124: its time was over; -1000: the platform failed); for `…/verify/JOB` until it is `completed`, or `error`.',
      '`…/interactions/ID/stream` tells what a command prints as it prints it. `…/str_replace` replaces a text that is in a file exactly once. `…/diff` is what you have changed.',
      '`result.is_success` is the verdict. A session goes on while it is graded, and may be graded again.',
      `A session lives for \`ttl_minutes\` (${DEFAULT_TTL_MINUTES} where left out); \`…/extend\` gives it more, \`idle_timeout_minutes\` ends it when nothing is asked of it, \`…/fork\` opens another one with its files.`,
      `It is paid by the second from \`created_at\` to its end: ${dollars(STANDARD.hourly)} an hour, ${dollars(LARGE.hourly)} for a sample that needs more than ${STANDARD.vcpus} CPUs or ${STANDARD.memoryMb / MIB_PER_GIB} GB. Close it when you are done.`,
    ),
  ],
});
