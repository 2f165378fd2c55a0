/** Where a command writes to. */
export interface Output {
  readonly out: (text: string) => void;
  readonly error: (text: string) => void;
}

/**
 * How a command ends.
 *
 * 0: all is as it must be. 1: it is not (drift, difference, damage). 2: the command was called wrongly.
 * 3: it could not tell, because something can't be read.
 */
export type ExitCode = 0 | 1 | 2 | 3;

/** What a command found, as `--json` prints it and as a person reads it. */
export interface CommandResult {
  readonly exitCode: ExitCode;
  readonly json: Readonly<Record<string, unknown>>;
  readonly text: string;
}

/** The command was called wrongly. */
export class UsageError extends Error {}
