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

  it('says of a report that may be forged that it is one: it was passed over in silence', () => {
    const report = { verdict: 'sender', reason: 'auth_failure', source: 'smtp', trusted: false, at: LATER };
    const { chain } = explainMessage(with_({ reports: [report] }));
    expect(chain.find(({ code }) => code === 'REPORT_DOUBTED')?.text).toBe(
      'A report came back that may be forged, and does no more than the unsubscribe link: sender, SPF, DKIM or DMARC failed.',
    );
  });
});
