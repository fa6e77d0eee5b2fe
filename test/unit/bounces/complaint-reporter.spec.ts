import { describe, expect, it } from 'vitest';
import { isReporter, mayReportFor } from '../../../src/bounces/complaint-reporter.js';

describe('who may complain for a reader', () => {
  it.each([
    ['feedback@arf.mail.yahoo.com', 'bob@yahoo.com'],
    ['feedback@arf.mail.yahoo.com', 'bob@company-at-yahoo.example'],
    ['staff@hotmail.com', 'bob@outlook.com'],
    ['feedbackloop@comcastfbl.senderscore.net', 'bob@comcast.net'],
    ['fbl@mailer.example.org', 'bob@example.org'],
    ['Postmaster@example.org', 'bob@mail.example.org'],
  ])('%s for %s', (from, address) => {
    expect(isReporter(from)).toBe(true);
    expect(mayReportFor(from, address)).toBe(true);
  });

  it.each([
    ['somebody@hotmail.com', 'bob@hotmail.com'],
    ['eve@example.org', 'bob@example.org'],
    ['abuse@evil.example', 'bob@example.org'],
    ['feedback@arf.mail.yahoo.com.evil.example', 'bob@yahoo.com'],
    ['abuse@one.github.io', 'bob@two.github.io'],
  ])('not %s for %s', (from, address) => {
    expect(mayReportFor(from, address)).toBe(false);
  });
});
