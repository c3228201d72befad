/** What a visitor is told where an application cannot be shown. */
export type Refusal = {
  status: 400 | 403 | 404 | 502 | 503 | 504;
  /** One sentence for a program, in the words of the E2B contract where it has some. */
  message: string;
  /** The same for a person. */
  title: string;
  text: string;
  sandboxId?: string | undefined;
  port?: number | undefined;
  retryAfterSeconds?: number;
};

/** The body that clients of the E2B contract read. */
export const refusalBody = ({ status, message, sandboxId, port }: Refusal) => ({
  ...(sandboxId !== undefined && { sandboxId }),
  message,
  ...(port !== undefined && { port }),
  code: status,
});

export const malformed = (why: string): Refusal => ({
  status: 400,
  message: why,
  title: 'This request cannot be understood',
  text: `${why}.`,
});

export const nobodys = (host: string): Refusal => ({
  status: 404,
  message: 'Nothing has this name',
  title: 'Nothing lives here',
  text: `No application has the name ${host}. It may have been taken down, or the address has a slip in it.`,
});

export const noSandbox = (sandboxId: string): Refusal => ({
  status: 502,
  message: 'The sandbox was not found',
  title: 'This sandbox is gone',
  text: 'The sandbox that had this address has ended, or never was.',
  sandboxId,
});

export const asleep = (sandboxId: string): Refusal => ({
  status: 502,
  message: 'The sandbox was not found',
  title: 'This sandbox is paused',
  text: 'Its owner can resume it; then this address works again.',
  sandboxId,
});

export const switchedOff = (): Refusal => ({
  status: 502,
  message: 'The computer is off',
  title: 'This computer is off',
  text: 'Its owner has switched it off, or it is not paid for.',
});

export const closedPort = (sandboxId: string, port: number): Refusal => ({
  status: 502,
  message: 'The sandbox is running but port is not open',
  title: 'Nothing listens here yet',
  text: `It runs, but no program in it listens on port ${port}. If one is just starting, try again in a moment.`,
  sandboxId,
  port,
});

export const noHttp = (sandboxId: string, port: number): Refusal => ({
  status: 502,
  message: 'The application closed the connection without an answer',
  title: 'The application did not answer',
  text: `A program listens on port ${port}, but it closed the connection or its answer was no HTTP.`,
  sandboxId,
  port,
});

export const tooSlow = (sandboxId: string, port: number): Refusal => ({
  status: 504,
  message: 'The application did not answer in time',
  title: 'The application takes too long',
  text: `The program on port ${port} took the request and has not answered it.`,
  sandboxId,
  port,
});

export const locked = (sandboxId: string): Refusal => ({
  status: 403,
  message: 'The traffic access token is missing or wrong',
  title: 'This address is private',
  text: 'Programs of its owner open it with the sandbox’s traffic token.',
  sandboxId,
});

export const crowded = (sandboxId: string): Refusal => ({
  status: 503,
  message: 'The sandbox has too many open connections',
  title: 'Too many visitors at once',
  text: 'This sandbox has as many connections open as it may have, or you as many as one visitor may. Try again in a moment.',
  sandboxId,
  retryAfterSeconds: 1,
});

export const unwell = (): Refusal => ({
  status: 503,
  message: 'The server is restarting a part of itself',
  title: 'One moment',
  text: 'The server is restarting a part of itself. Try again in a few seconds.',
  retryAfterSeconds: 2,
});
