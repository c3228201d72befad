import { pino, type DestinationStream, type Logger } from 'pino';

/** Where the program tells its operator what it does: `log.info({ machineId }, 'started')`. */
export type Log = Logger;
export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';

export type LogOptions = {
  level: LogLevel;
  /** Names the process where several write to one place. */
  name?: string;
  /** Where lines go; stdout where unset, made readable when that is a terminal. */
  destination?: DestinationStream;
};

/**
 * Fields whose values must never be written. pino matches whole paths, so each name stands at the top and one and two
 * levels below it, which is as deep as a request or an error nests.
 */
const SECRET_FIELDS = [
  'authorization',
  'Authorization',
  'cookie',
  'set-cookie',
  'x-api-key',
  'x-internal-api-key',
  'apiKey',
  'api_key',
  'adminKey',
  'admin_key',
  'secret',
  'secretKey',
  'clientSecret',
  'client_secret',
  'signingSecret',
  'signing_secret',
  'password',
  'passwordHash',
  'password_hash',
  'token',
  'accessToken',
  'access_token',
  'refresh_token',
  'privateKey',
  'private_key',
];
const redactedPaths = SECRET_FIELDS.map((name) => `["${name}"]`).flatMap((name) => [name, `*${name}`, `*.*${name}`]);

/** A log of one JSON object a line, or of readable lines on a terminal. */
export function createLog(options: LogOptions): Log {
  const settings = {
    level: options.level,
    base: options.name === undefined ? {} : { name: options.name },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: { paths: redactedPaths, censor: '[redacted]' },
    serializers: { err: withoutUrlPasswords, error: withoutUrlPasswords },
  };
  return pino(settings, options.destination ?? (process.stdout.isTTY ? readable(process.stdout) : pino.destination(1)));
}

/**
 * What an operator needs of an error. Drivers hang their whole connection on theirs and quote the address that they
 * could not reach, with the password in it.
 */
function withoutUrlPasswords(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { type, message, stack, code } = pino.stdSerializers.err(error);
  return { type, message: hidePasswords(message), ...(code !== undefined && { code }), stack: hidePasswords(stack) };
}

const hidePasswords = (text: string): string => text.replace(/(\w+:\/\/[^\s:/@]*):[^\s@/]+@/g, '$1:[redacted]@');

const LEVEL_COLOUR: Record<string, number> = { fatal: 31, error: 31, warn: 33, info: 32, debug: 36, trace: 90 };

/** One line a person can read: time, level, message, then the other fields. */
function readable(out: NodeJS.WriteStream): DestinationStream {
  return {
    write(line: string) {
      const { time, level, msg, err, ...fields } = JSON.parse(line) as Record<string, unknown>;
      const colour = LEVEL_COLOUR[String(level)] ?? 0;
      const rest = Object.entries(fields).map(([key, value]) => ` ${key}=${JSON.stringify(value)}`);
      const stack = isRecord(err) ? `\n${String(err['stack'])}` : '';
      const clock = String(time).slice(11, 23);
      out.write(
        `${clock} \u001b[${colour}m${String(level).padEnd(5)}\u001b[0m ${String(msg)}${rest.join('')}${stack}\n`,
      );
    },
  };
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
