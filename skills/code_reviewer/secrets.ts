import type { Finding } from './finding.ts';

/** Keys that say by their form what they are. */
const KEYS: readonly [string, RegExp][] = [
  ['an AWS access key', /\bAKIA[0-9A-Z]{16}\b/],
  ['a GitHub token', /\bgh[pousr]_[A-Za-z0-9]{36,}\b/],
  ['a Slack token', /\bxox[abprs]-[A-Za-z0-9-]{10,}\b/],
  ['a Stripe key', /\b[sr]k_live_[A-Za-z0-9]{16,}\b/],
  ['an OpenAI key', /\bsk-(proj-)?[A-Za-z0-9_-]{32,}\b/],
  ['a private key', /-----BEGIN ([A-Z]+ )?PRIVATE KEY-----/],
];
const MAX_LINE_LENGTH = 10_000;

/** Credentials in the text itself, wherever they stand. */
export const secretsIn = (code: string): Finding[] =>
  code.split('\n').flatMap((text, index) =>
    KEYS.flatMap(([what, pattern]) => {
      const found = pattern.exec(text.slice(0, MAX_LINE_LENGTH));
      if (!found) return [];
      const message = `This looks like ${what}: take it out of the code, and out of use`;
      return [
        {
          line: index + 1,
          column: found.index + 1,
          rule: 'leaked-credential',
          severity: 'high',
          category: 'security',
          message,
        },
      ];
    }),
  );

/** Names under which nobody keeps anything else. */
export const SECRET_NAME = /(^|_|[a-z])(password|passwd|pwd|secret|api_?key|access_?key|auth_?token|private_?key)$/i;
const MIN_SECRET_LENGTH = 6;
const PLACEHOLDER = /^(<.*>|\$\{.*\}|.*(example|changeme|placeholder|your[-_ ]|xxxx|test|dummy).*|\*+)$/i;

export const isSecret = (name: string, value: string): boolean =>
  SECRET_NAME.test(name) && value.length >= MIN_SECRET_LENGTH && !/\s/.test(value) && !PLACEHOLDER.test(value);
