/** The exit codes of every command. */
export const EXIT_FAILED = 1;
export const EXIT_WRONG_USAGE = 2;

/** What stops a command, worded for the person who gave it. */
export class Failure extends Error {
  readonly exitCode: number = EXIT_FAILED;
}

/** The command itself is wrong, so nothing was asked of the server. */
export class WrongUsage extends Failure {
  override readonly exitCode = EXIT_WRONG_USAGE;
}
