import { describe, expect, it } from 'vitest';
import { explainMessage } from '../../../src/analytics/explain-message.js';
import { factsWith, LATER, NOW } from './message-facts.js';

describe('what came of the tries of a mail, as explain tells it', () => {
  it('says of one that bounced after an unclear try that a relay took it: it said that it has arrived', () => {
    const unclear = { startedAt: NOW, stage: 'body', outcome: 'unknown', replyCode: null, replyText: null };
    const { chain } = explainMessage(
      factsWith({
        message: { state: 'accepted', acceptedAt: NOW, stateReason: 'something came back of it' },
        attempts: [
          { ...unclear, relay: 'main' },
          { ...unclear, outcome: 'arrived', stage: 'report', relay: null },
        ],
        reports: [{ verdict: 'hard', reason: 'unknown user', source: 'mail', trusted: true, at: LATER }],
      }),
    );
    const words = chain.flatMap(({ code, text }) =>
      code === 'ARRIVED' || code === 'REPORT_HARD' ? [text] : [],
    );
    expect(words).toEqual([
      'Something came of it, as a report, an answer or the use of a link: the relay had taken it.',
      expect.stringMatching(/^A report came back: hard/),
    ]);
  });
});
