import { z } from 'zod';
import { parsePercentBps } from './money.js';

/** What options are made of, wherever people write them. They stay text, so that they read back as they were written. */

/**
 * Wraps a parser that throws into a schema that reports its message. `pattern` is for editors, which have no parser: it
 * takes everything that the parser takes.
 */
export const readBy = (parse: (text: string) => unknown, pattern: RegExp) =>
  z
    .string()
    .superRefine((text, context) => {
      try {
        parse(text);
      } catch (error) {
        context.addIssue({
          code: 'custom',
          message: error instanceof Error ? error.message : 'not readable',
        });
      }
    })
    .meta({ pattern: pattern.source });

/** An object that refuses an option nobody knows, and names those it has. */
export const strict = <S extends z.ZodRawShape>(shape: S) =>
  z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys' ? `there are: ${Object.keys(shape).join(', ')}` : undefined,
  });

export const localTime = z
  .string()
  .regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'use a time of day from 00:00 to 23:59');
export const percent = readBy(parsePercentBps, /^\s*(0|[1-9]\d{0,2})(\.\d{1,2})? ?%\s*$/);
