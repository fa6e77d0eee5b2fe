import { describe, expect, it } from 'vitest';
import { isReporter, mayReportFor } from '../../../src/bounces/complaint-reporter.js';

describe('who may complain for a reader', () => {
  const may = (from: string, address: string, mx: string[] = [], more: string[] = []): boolean =>
    mayReportFor(from, { address, mx, more });

  it.each([
    ['feedback@arf.mail.yahoo.com', 'bob@yahoo.com'],
    ['feedback@arf.mail.yahoo.com', 'bob@company-at-yahoo.example'],
    ['staff@hotmail.com', 'bob@outlook.com'],
    ['feedbackloop@comcastfbl.senderscore.net', 'bob@comcast.net'],
    ['fbl@mailer.example.org', 'bob@example.org'],
    ['Postmaster@example.org', 'bob@mail.example.org'],
    ['abuse@hosts.example', 'bob@example.org', ['MX1.mail.hosts.example.']],
  ])('%s for %s', (from, address, mx: string[] = []) => {
    expect(isReporter(from, [])).toBe(true);
    expect(may(from, address, mx)).toBe(true);
  });

  it.each([
    ['somebody@hotmail.com', 'bob@hotmail.com'],
    ['eve@example.org', 'bob@example.org'],
    ['abuse@evil.example', 'bob@example.org'],
    ['feedback@arf.mail.yahoo.com.evil.example', 'bob@yahoo.com'],
    ['abuse@one.github.io', 'bob@two.github.io'],
    ['eve@hosts.example', 'bob@example.org', ['mx1.hosts.example']],
    ['abuse@eve.hosts.example', 'bob@example.org', ['mx1.hosts.example']],
  ])('not %s for %s', (from, address, mx: string[] = []) => {
    expect(may(from, address, mx)).toBe(false);
  });

  it('those whom the owner names beside them', () => {
    const more = ['fbl.example.net', 'loop@provider.example'];
    for (const from of ['reports@fbl.example.net', 'a@b.fbl.example.net', 'Loop@provider.example']) {
      expect(isReporter(from, more) && may(from, 'bob@example.org', [], more)).toBe(true);
      expect(may(from, 'bob@example.org')).toBe(false);
    }
    expect(may('eve@provider.example', 'bob@example.org', [], more)).toBe(false);
  });
});
