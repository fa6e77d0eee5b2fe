import { describe, expect, it } from 'vitest';
import { explainMessage } from '../../../src/analytics/explain-message.js';
import { factsWith as with_, LATER } from './message-facts.js';

describe('what became of a mail by what was said of it', () => {
  it('says of a refusal while the mail was handed over what it counts as, and of a report alone that it came back', () => {
    const report = { verdict: 'hard', reason: 'user_unknown', trusted: true, at: LATER };
    const told = (source: string): unknown =>
      explainMessage(with_({ reports: [{ ...report, source }] })).chain.find(
        ({ code }) => code === 'REPORT_HARD',
      )?.text;
    expect(told('smtp_reply')).toBe('What the server said counts as: hard, no such user.');
    expect(told('imap')).toBe('A report came back: hard, no such user.');
  });

  it.each([
    [
      'sender',
      'auth_failure',
      'counts only with those of many other readers: sender, SPF, DKIM or DMARC failed.',
    ],
    ['hard', 'user_unknown', 'does no more than the unsubscribe link: hard, no such user.'],
  ])(
    'says of a report that may be forged what it does: it was passed over in silence (%s)',
    (verdict, reason, does) => {
      const report = { verdict, reason, source: 'smtp', trusted: false, at: LATER };
      const { chain } = explainMessage(with_({ reports: [report] }));
      expect(chain.find(({ code }) => code === 'REPORT_DOUBTED')?.text).toBe(
        `A report came back that may be forged, and ${does}`,
      );
    },
  );
});
