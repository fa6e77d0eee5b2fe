import { dayFromToday, type OwnerClock } from './days.js';

const DAY = /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/;

/** What a value that is there is compared with, beyond being equal. */
export type FieldTest =
  | { op: 'oneOf'; value: readonly string[] }
  | { op: 'contains' | 'startsWith'; value: string }
  | { op: 'atLeast' | 'atMost' | 'above' | 'below'; value: number }
  | { op: 'before' | 'after'; value: string }
  | { op: 'withinDays' | 'inNextDays'; value: number };

/**
 * What a test of a field means, wherever it is asked: in segments, branches, goals and exits. Case is ignored for the letters A
 * to Z where a part of a text is looked for; days are those of the clock. A value that is no number is over and under nothing, and
 * one that is no day is before and after none.
 */
export function passes(found: string | number | boolean, test: FieldTest, clock: OwnerClock): boolean {
  const day = (offset: number): string => dayFromToday(offset, clock);
  const [text, number] = [String(found), Number(found)];
  switch (test.op) {
    case 'oneOf':
      return test.value.includes(text);
    case 'contains':
      return lower(text).includes(lower(test.value));
    case 'startsWith':
      return lower(text).startsWith(lower(test.value));
    case 'atLeast':
      return number >= test.value;
    case 'atMost':
      return number <= test.value;
    case 'above':
      return number > test.value;
    case 'below':
      return number < test.value;
    case 'before':
      return DAY.test(text) && text < test.value;
    case 'after':
      return DAY.test(text) && text > test.value;
    case 'withinDays':
      return DAY.test(text) && text >= day(-test.value) && text <= day(0);
    case 'inNextDays':
      return DAY.test(text) && text > day(0) && text <= day(test.value);
  }
}

function lower(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}
