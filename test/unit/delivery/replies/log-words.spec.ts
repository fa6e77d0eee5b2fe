import { describe, expect, it } from 'vitest';
import { logWords } from '../../../../src/delivery/replies/log-words.js';

describe('a try in the log', () => {
  it.each([
    ['ready', 450, 'RCPT TO', 'put off by main (450 at RCPT TO)'],
    ['ready', null, 'connect', 'not sent for now, relay main (stage: connect)'],
    ['ready', null, 'body', 'no answer, sent once more, relay main (stage: body)'],
    ['rejected', 550, 'BODY', 'refused by main (550 at BODY)'],
    ['rejected', null, 'render', 'cannot be sent (stage: render)'],
    ['held', 550, 'BODY', 'refused because of the sender by main (550 at BODY)'],
    ['held', null, 'render', 'held for the owner (stage: render)'],
    ['expired', 451, 'DATA', 'put off for the last time by main (451 at DATA)'],
    ['unknown', null, 'body', 'no answer, which may have been taken, relay main (stage: body)'],
    ['held_back', null, 'barrier', 'held back, relay main (stage: barrier)'],
  ] as const)('%s with %s at %s is “%s”', (state, code, stage, words) =>
    expect(logWords({ state, code, stage, relay: 'main' })).toBe(words),
  );

  it('names no relay where none was asked', () =>
    expect(logWords({ state: 'ready', code: null, stage: 'kept waiting', relay: null })).toBe(
      'not sent for now (stage: kept waiting)',
    ));
});
