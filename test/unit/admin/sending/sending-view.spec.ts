import { describe, expect, it } from 'vitest';
import { OVERDUE, RESTORED } from '../../../../src/delivery/message/overdue.js';
import { ADDRESS_HIDDEN } from '../../../../src/delivery/message/state-reasons.js';
import { paceWords, sendingPage } from '../../../../src/admin/sending/sending-view.js';
import { limitName } from '../../../../src/delivery/pacing/limit-name.js';

describe('sending in the owner’s words', () => {
  it.each([
    ['global', 'All mails'],
    ['sender:news.example.com', 'From news.example.com'],
    ['group:gmail', 'To Gmail'],
    ['group:other', 'To all other servers'],
    ['lane:example.com|outlook', 'From example.com to Outlook'],
    ['lane:example.com|other|big-host.example', 'From example.com to the servers of big-host.example'],
    ['lane:example.com|outlook@second.example', 'From example.com to Outlook by second.example'],
    ['lane:example.com|outlook@', 'From example.com to Outlook'],
    ['lane:default', 'default'],
    ['relay', 'what the relays take'],
  ])('calls %s %s', (key, name) => expect(limitName(key)).toBe(name));

  it.each([
    [null, null],
    [1_234.5, '1235 a second'],
    [2.5, '2.5 a second'],
    [0.5, '30 a minute'],
    [0.001, '3.6 an hour'],
  ])('says %s as %s', (perSecond, words) => expect(paceWords(perSecond)).toBe(words));

  it('adds up what is held for the same reason in several broadcasts', () => {
    const state = {
      maySend: true,
      takesWrites: true,
      reason: null,
      buckets: [],
      relays: [],
      silentKeepers: [],
      putOff: [],
      unknown: 0,
      unknownOfSequences: [],
      pausedSequences: [],
      pausedBroadcasts: [],
    };
    const held = [
      { reason: 'a', broadcastId: '1', count: 2 },
      { reason: 'b', broadcastId: null, count: 1 },
      { reason: 'a', broadcastId: '2', count: 3 },
    ];
    expect(sendingPage({ ...state, held })).toMatchObject({
      held: [
        { reason: 'a', count: 5 },
        { reason: 'b', count: 1 },
      ],
      heldTotal: 6,
    });
    const unfit = [{ reason: ADDRESS_HIDDEN, broadcastId: null, count: 1 }];
    expect(sendingPage({ ...state, held: unfit }).held[0]?.advice).toMatch(/^Mend the mail/);
    const late = [RESTORED, OVERDUE].map((reason) => ({ reason, broadcastId: null, count: 1 }));
    expect(sendingPage({ ...state, held: late }).held.map(({ advice }) => advice)).toEqual([
      expect.stringMatching(/gets it twice if you send them.* go at once, whatever hour/),
      expect.stringMatching(
        /^Their time passed.* go at once, whatever hour.* a time of day alone.* by night/,
      ),
    ]);
  });
});
