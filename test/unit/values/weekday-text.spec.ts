import { expect, it } from 'vitest';
import { weekdayText } from '../../../src/values/weekday-text.js';
import { WEEKDAYS } from '../../../src/values/zoned-time.js';

it('names days in a row by their ends: an explanation listed mon, tue, wed, thu, fri', () => {
  expect(weekdayText(['mon', 'tue', 'wed', 'thu', 'fri'])).toBe('Mon to Fri');
  expect(weekdayText(WEEKDAYS)).toBe('Mon to Sun');
  expect(weekdayText(['tue', 'mon'])).toBe('Mon, Tue');
  expect(weekdayText(['mon', 'wed', 'thu', 'fri', 'sun'])).toBe('Mon, Wed to Fri, Sun');
});
