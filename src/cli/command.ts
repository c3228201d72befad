import type { Api, Reply } from './api.ts';
import type { Arguments } from './arguments.ts';
import type { Environment, Secret, Settings } from './settings.ts';
import type { Terminal } from './terminal.ts';

/** An option as it is parsed and as the help shows it. A flag takes no value, a list may be given several times. */
export type Option = { kind: 'text' | 'list' | 'flag'; value?: string; says: string };
export type Options = Record<string, Option>;

export type Command = {
  /** The words that call it, e.g. `task run`. */
  name: string;
  /** One line, for the list of commands. */
  summary: string;
  /** More, for its own help. */
  about?: string;
  positionals?: string[];
  options?: Options;
  run(session: Session, given: Arguments): Promise<void>;
};

/** What a command works with. */
export type Session = {
  terminal: Terminal;
  settings: Settings;
  output: 'text' | 'json';
  /** The server without a key. */
  stranger(): Api;
  /** The server as the account of this user. Throws Failure where there is no key for it. */
  account(): Promise<Api>;
  /** The key of this user's account. Throws Failure where there is none. */
  key(): Promise<Secret>;
  /** The server as its operator. Throws Failure where there is no admin key. */
  operator(): Api;
  /** What this program began with, for programs that it starts. */
  environment: Environment;
  now(): Date;
};

/** Prints a reply: as it came where a program asked, else as `present` says. */
export function show<Body>({ terminal, output }: Session, reply: Reply<Body>, present: (body: Body) => string): void {
  terminal.print(output === 'json' ? reply.text : present(reply.body));
}
