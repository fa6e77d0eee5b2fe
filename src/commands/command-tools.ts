import type { Command } from 'commander';
import type { CommandContext } from '../application.js';
import type { z } from 'zod';
import type { CommandServices } from './command.services.js';

/** How a finding begins its line. */
export const LEVELS = { ok: 'ok  ', warn: 'WARN', fail: 'FAIL', unknown: '??  ' } as const;

export function mailsInWords(count: number): string {
  return count === 1 ? '1 mail' : `${count} mails`;
}

/** What `wellspring.command.ts` lends to the commands of other files. */
export interface CommandTools {
  /** Opens the application for `run`, and closes it again. */
  within: (run: (context: CommandContext & CommandServices) => Promise<void>) => Promise<void>;
  /** A line: the value as JSON, or its words. */
  print: (json: boolean, value: unknown, words: () => string) => void;
  /** Text as it is. */
  out: (text: string) => void;
  /** A line beside the answer, on the error output. */
  note: (line: string) => void;
  /** The owner's, TIME_ZONE; the rest of the configuration is not asked for. */
  timeZone: () => string;
  /** Ends with exit code 2: says which options cannot be as they are. */
  wrongUse: (command: Command, issues: readonly z.core.$ZodIssue[]) => never;
  /** Ends with exit code 1: the question was answered with no. */
  refuse: () => void;
}
