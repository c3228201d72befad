import { text as readAll } from 'node:stream/consumers';
import { styleText, stripVTControlCharacters } from 'node:util';

type Style = Parameters<typeof styleText>[0];
export type Paint = (style: Style, text: string) => string;

/** Where a command speaks. What was asked for goes to the output; what is said about it goes to the error stream. */
export type Terminal = {
  print(text: string): void;
  say(text: string): void;
  /** Colours for `print`: none unless a person looks, and none under NO_COLOR. */
  paint: Paint;
  /** The same for `say`. */
  paintSaid: Paint;
  /** Text of others, which must not steer the terminal of a person; untouched where it goes to a file or a program. */
  foreign(text: string): string;
  readInput(): Promise<string>;
  /** From now on an interrupt does not end the process but this signal. */
  interrupted(): AbortSignal;
};

export function openTerminal(): Terminal {
  const { stdin, stdout, stderr } = process;
  // `freehold task list | head -1` is no failure.
  stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  return {
    print: (text) => void stdout.write(`${text}\n`),
    say: (text) => void stderr.write(`${text}\n`),
    paint: (style, text) => styleText(style, text, { stream: stdout }),
    paintSaid: (style, text) => styleText(style, text, { stream: stderr }),
    foreign: (text) => (stdout.isTTY ? harmless(text) : text),
    readInput: () => readAll(stdin),
    interrupted: () => {
      const controller = new AbortController();
      for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => controller.abort());
      return controller.signal;
    },
  };
}

/** Without escape sequences and other control characters; lines and tabs stay. */
export const harmless = (text: string): string =>
  stripVTControlCharacters(text)
    .replaceAll(/\r\n?/g, '\n')
    .replaceAll(/[^\P{Cc}\n\t]/gu, '');
