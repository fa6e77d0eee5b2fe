import { z } from 'zod';
import { parseMoment } from '../../sequences/steps/moment.js';
import { FOR_GOOD, readTerm } from '../../orders/memberships/membership.js';
import { DURATION_UNITS, parseDuration, parseSpan } from '../../values/duration.js';
import { HEADER_TEXT, HEADER_TEXT_ADVICE } from '../../values/header-text.js';
import { parseMoney } from '../../values/money.js';
import { localTime, readBy, strict } from '../../values/option-parts.js';
import { WEEKDAYS } from '../../values/zoned-time.js';

/** What the parts of a funnel file are made of. Durations, dates and money stay text, so that an export reads like the file. */

export const text = (max: number) =>
  z.string().trim().min(1, 'must not be empty').max(max, `at most ${max} characters`);
/** What may stand in a subject or a header. */
export const line = (max: number) => text(max).regex(HEADER_TEXT, HEADER_TEXT_ADVICE);
export const key = z
  .string()
  .regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, 'use lower-case letters, digits and single hyphens, such as launch-kit')
  .max(60);
export const file = z
  .string()
  .regex(
    /^(?!.*\.\.)[\w][\w./ -]*$/,
    'use a path below the folder of the funnel file, such as files/guide.pdf',
  );
export const template = z
  .string()
  .regex(
    /^[a-z0-9-]+(\/[a-z0-9-]+)+$/,
    'use the path below templates/ without its ending, such as emails/welcome',
  );
/** Of a text that is part of a mail or page: its path below templates/. */
export const templatePath = z
  .string()
  .regex(
    /^(?!.*\.\.)[\w][\w./ -]*\.[\w]+$/,
    'use the path below templates/ with its ending, such as emails/welcome.mjml',
  )
  .max(200);
/** JSON Schema knows no flag for letters of either case. */
const anyCase = (word: string): string =>
  [...word].map((letter) => `[${letter}${letter.toUpperCase()}]`).join('');
const UNITS = DURATION_UNITS.map((unit) => `${anyCase(unit.slice(0, -1))}[sS]?`).join('|');
const DURATION = new RegExp(`^\\s*\\d{1,7} *(${UNITS})\\s*$`);
export const duration = readBy(parseDuration, DURATION);
/** One above zero. */
export const span = readBy(parseSpan, DURATION);
/** How long a membership lasts. */
export const term = readBy(readTerm, new RegExp(`^\\s*(${FOR_GOOD}|\\d{1,7} *(${UNITS}))\\s*$`));
export const moment = readBy(
  parseMoment,
  /^\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})?)?$/,
);
export const money = readBy(parseMoney, /^\s*(0|[1-9]\d*)(\.\d+)? [A-Za-z]{3}\s*$/);
export const weekdays = z
  .array(z.enum(WEEKDAYS, { error: `use ${WEEKDAYS.join(', ')}` }))
  .min(1, `name at least one of ${WEEKDAYS.join(', ')}`);
export const fieldName = z
  .string()
  .regex(/^[a-z][a-zA-Z0-9]{0,49}$/, 'name a field in camelCase, such as trialEnd');
export const window = strict({ days: weekdays, from: localTime, to: localTime });
/** Of an affiliate, or any, none or self. They are no part of the file: `affiliateProblems` looks whether they are there. */
export const affiliateCode = z
  .string()
  .regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, 'use any, none, self or the code of an affiliate, such as ada-blog')
  .max(40);
export const quietHours = strict({ from: localTime, to: localTime });
