import { describe, expect, it } from 'vitest';
import type { SendOutcome } from '../../../../src/delivery/message/message.js';
import { refusedFor } from '../../../../src/delivery/replies/sender-refusal.js';
import {
  isOfRecipient,
  isOfSystem,
  namesSender,
  provesRelay,
  relayTrouble,
  settlementOf,
} from '../../../../src/delivery/replies/settlement.js';

const NOW = new Date('2026-03-02T09:00:00Z');
const MAIL = { id: '1', epoch: 1, attempt: 1, class: 'marketing', unknownCount: 0 } as const;

const refused = (stage: string, code: number, reply: string): SendOutcome => ({
  kind: 'refused',
  permanent: code >= 500,
  stage,
  code,
  reply: `${code} ${reply}`,
});
const lost = (stage: string): SendOutcome => ({ kind: 'not_sent', stage, reason: 'the relay closed' });

describe('what an outcome says about the relay, and whether the mail has used up a try', () => {
  it.each<[string, SendOutcome, ReturnType<typeof relayTrouble>, { counts: boolean; probeCounts?: boolean }]>(
    [
      ['not reached', lost('connect'), 'connect', { counts: false }],
      ['login refused', lost('login'), 'auth', { counts: false }],
      ['gone in the envelope', lost('envelope'), 'silent', { counts: true, probeCounts: false }],
      ['gone after the 354', lost('barrier'), 'silent', { counts: true, probeCounts: false }],
      ['gone while our database was away', lost('kept waiting'), null, { counts: false }],
      ['gone in the body', { kind: 'unknown', reason: 'no answer' }, 'silent', { counts: true }],
      ['our own rendering', lost('render'), null, { counts: true }],
      ['our own signature', lost('signing'), null, { counts: false }],
      [
        'no room',
        refused('MAIL FROM', 452, '4.3.1 Insufficient system storage'),
        'throttled',
        { counts: false },
      ],
      [
        'cannot queue',
        refused('MAIL FROM', 451, '4.3.0 queue file write error'),
        'throttled',
        { counts: false },
      ],
      ['sender refused', refused('MAIL FROM', 550, '5.7.1 not allowed'), 'sender_refused', { counts: false }],
      [
        'turned down by one recipient’s policy',
        refused('BODY', 554, '5.7.1 Message rejected as spam'),
        null,
        { counts: true },
      ],
      [
        'relaying denied',
        refused('RCPT TO', 550, '5.7.1 Relaying denied'),
        'sender_refused',
        { counts: true, probeCounts: false },
      ],
      ['greylisted', refused('RCPT TO', 451, '4.7.1 Greylisted'), null, { counts: true }],
      [
        'too fast',
        refused('RCPT TO', 451, '4.7.1 Too many messages, slow down'),
        'throttled',
        { counts: false },
      ],
      [
        'one busy mailbox',
        refused('RCPT TO', 450, '4.2.1 The user you are trying to contact is receiving mail at a rate'),
        null,
        { counts: false },
      ],
      [
        'one busy mailbox, at the end of a connection',
        refused('BODY', 421, '4.2.1 The user you are trying to contact is receiving mail at a rate'),
        null,
        { counts: false },
      ],
      [
        'our address suspended, told as if a recipient’s account was',
        refused('RCPT TO', 421, '4.7.0 mail from your IP address temporarily suspended'),
        'throttled',
        { counts: true },
      ],
      [
        'our account suspended, told as if a recipient’s was',
        refused('DATA', 421, 'Your account has been temporarily suspended'),
        'throttled',
        { counts: true },
      ],
      ['nobody there', refused('RCPT TO', 550, '5.1.1 User unknown'), null, { counts: true }],
      ['taken', { kind: 'accepted', code: 250, reply: '250 OK' }, null, { counts: true }],
    ],
  )('%s', (_, outcome, trouble, { counts, probeCounts = counts }) => {
    expect(relayTrouble(outcome)).toBe(trouble);
    const told = { now: NOW, durationMs: 1, relay: 'one', tls: null };
    expect(settlementOf(MAIL, outcome, told).countsAsAttempt).toBe(counts);
    expect(settlementOf(MAIL, outcome, { ...told, probe: true }).countsAsAttempt).toBe(probeCounts);
  });

  it.each([
    ['RCPT TO', 421, '4.7.0 mail from your IP address temporarily suspended', false],
    ['DATA', 421, 'Your account has been temporarily suspended', false],
    ['RCPT TO', 451, 'Your account has been temporarily suspended', false],
    ['BODY', 451, '4.7.1 Account suspended', false],
    ['RCPT TO', 451, '4.3.0 insufficient disk space', false],
    ['BODY', 452, '4.3.1 not enough storage', false],
    ['RCPT TO', 450, '4.2.1 Account temporarily suspended', true],
    ['RCPT TO', 452, '4.2.2 over quota', true],
    ['BODY', 452, '4.2.2 over quota', true],
    ['BODY', 452, '4.3.0 The mailbox is full', true],
    ['BODY', 421, '4.2.1 The user you are trying to contact is receiving mail at a rate', true],
    ['DATA', 552, '5.2.2 over quota', true],
  ] as const)(
    'is of one recipient only where that is sure, as else no lane would go slower: %s %i %s',
    (stage, code, reply, expected) => {
      const outcome = refused(stage, code, reply);
      expect(isOfRecipient(outcome)).toBe(expected);
      const told = { now: NOW, durationMs: 1, relay: 'one', tls: null };
      if (!expected) expect(settlementOf(MAIL, outcome, told).reason).toBe('system_error');
    },
  );

  it.each([
    ['BODY', 451, '4.3.0 Error: queue file write error', true],
    ['BODY', 452, '4.3.1 Insufficient system storage', true],
    ['BODY', 451, '4.7.1 Service unavailable - try again later', true],
    ['DATA', 451, 'Temporary local problem, please try later', true],
    ['RCPT TO', 451, '4.3.0 queue file write error', true],
    ['RCPT TO', 451, '4.7.1 Please try again later', false],
    ['RCPT TO', 450, '4.1.2 Recipient address rejected: Domain not found', false],
    ['BODY', 451, '4.7.1 Greylisted', false],
    ['BODY', 452, '4.2.2 over quota', false],
    ['BODY', 450, '4.2.1 mailbox temporarily unavailable', false],
    ['BODY', 451, '4.7.0 message looks like spam', false],
    ['BODY', 451, '4.7.1 Too many messages, slow down', false],
    ['BODY', 554, '5.3.0 Error: queue file write error', false],
    ['MAIL FROM', 452, '4.3.1 Insufficient system storage', false],
  ] as const)('may be of the relay’s own state, when every mail is told so: %s %i %s', (...row) => {
    const [stage, code, reply, expected] = row;
    const outcome = refused(stage, code, reply);
    expect(isOfSystem(outcome)).toBe(expected);
    if (!expected) return;
    expect([relayTrouble(outcome), provesRelay(outcome)]).toEqual([null, false]);
    const told = { now: NOW, durationMs: 1, relay: 'one', tls: null, probe: true };
    expect(settlementOf(MAIL, outcome, told)).toMatchObject({ state: 'ready', countsAsAttempt: true });
    const ofRelay = { ...outcome, ofRelay: true } as SendOutcome;
    expect(relayTrouble(ofRelay)).toBe('putting_off');
    expect(settlementOf({ ...MAIL, attempt: 8 }, ofRelay, told)).toMatchObject({
      ...{ state: 'ready', countsAsAttempt: false, dueAt: new Date('2026-03-02T09:05:00Z') },
    });
  });

  it.each(['RCPT TO', 'DATA', 'BODY'])(
    'tries nothing again that %s refused for good because of us: it waits for the owner',
    (stage) => {
      const told = { now: NOW, durationMs: 1, relay: 'one', tls: null };
      const unsigned = refused(
        stage,
        550,
        '5.7.515 Access denied, sending domain does not pass authentication',
      );
      expect(settlementOf(MAIL, unsigned, told)).toMatchObject({
        state: 'held',
        reason: 'refused because of the sender: auth failure',
        dueAt: null,
        code: 550,
      });
      expect(refusedFor('refused because of the sender: auth failure')).toBe('auth_failure');
      // The relay did its part: a probe that ends so closes the breaker.
      expect(provesRelay(unsigned)).toBe(true);
      const denied = refused(stage, 550, '5.7.1 Relaying denied');
      expect(provesRelay(denied)).toBe(false);
      expect(settlementOf(MAIL, denied, { ...told, probe: true })).toMatchObject({
        state: 'ready',
        countsAsAttempt: false,
        dueAt: new Date('2026-03-02T09:05:00Z'),
      });
      expect(settlementOf(MAIL, denied, told)).toMatchObject({ state: 'ready', countsAsAttempt: true });
    },
  );

  it('tries a busy mailbox on, with pauses of up to two hours: the mail ended after a day', () => {
    const busy = refused(
      'RCPT TO',
      450,
      '4.2.1 The user you are trying to contact is receiving mail at a rate',
    );
    const told = { now: NOW, durationMs: 1, relay: 'one', tls: null };
    const pauses = [1, 2, 3, 4, 5, 60].map((epoch) => {
      const { state, dueAt } = settlementOf({ ...MAIL, attempt: 8, epoch }, busy, told);
      return [state, ((dueAt?.getTime() ?? 0) - NOW.getTime()) / 60_000];
    });
    expect(pauses).toEqual([15, 30, 60, 120, 120, 120].map((minutes) => ['ready', minutes]));
  });

  it('brings a mail to an end that one recipient’s server denies again and again, while the relay takes others', () => {
    const told = { now: NOW, durationMs: 1, relay: 'one', tls: null };
    const denied = refused('RCPT TO', 550, '5.7.1 Relaying denied');
    expect(settlementOf({ ...MAIL, attempt: 8 }, denied, told)).toMatchObject({
      state: 'expired',
      reason: 'relay_denied',
    });
    // A relay that is known to be out says it to every mail, whichever is taken to try it.
    expect(settlementOf({ ...MAIL, attempt: 8 }, denied, { ...told, probe: true })).toMatchObject({
      state: 'ready',
      countsAsAttempt: false,
    });
  });

  it('brings the mails of a sender whom the relay refuses to an end, while it takes those of others', () => {
    const told = { now: NOW, durationMs: 1, relay: 'one', tls: null };
    const unknownDomain = refused('MAIL FROM', 451, '4.1.8 Sender domain does not resolve');
    expect(namesSender(unknownDomain)).toBe(true);
    expect(namesSender(refused('MAIL FROM', 452, '4.3.1 Insufficient system storage'))).toBe(false);
    expect(namesSender(refused('MAIL FROM', 550, '5.7.1 not allowed'))).toBeNull();
    expect(namesSender(refused('RCPT TO', 451, '4.1.8 Sender domain does not resolve'))).toBeNull();
    const alone = { ...unknownDomain, senderAlone: true } as SendOutcome;
    expect(relayTrouble(alone)).toBeNull();
    expect(settlementOf({ ...MAIL, attempt: 7 }, alone, told)).toMatchObject({
      state: 'ready',
      countsAsAttempt: true,
    });
    expect(settlementOf({ ...MAIL, attempt: 8 }, alone, told).state).toBe('expired');
    // Goes with the pace, and not with the mail.
    const tooFast = refused('MAIL FROM', 451, '4.7.1 Too many messages, slow down');
    const quota = { ...tooFast, senderAlone: true } as SendOutcome;
    expect(relayTrouble(quota)).toBeNull();
    expect(settlementOf({ ...MAIL, attempt: 8 }, quota, told)).toMatchObject({
      state: 'ready',
      countsAsAttempt: false,
    });
  });

  it('brings a mail that ends the connection each time to an end, though it is the one that tries the relay', () => {
    const told = { now: NOW, durationMs: 1, relay: 'one', tls: null, probe: true };
    const after = (attempt: number): unknown => settlementOf({ ...MAIL, attempt }, lost('envelope'), told);
    expect(after(2)).toMatchObject({ state: 'ready', countsAsAttempt: false });
    // Later each time, so that meanwhile others try the relay.
    const dueAt = new Date('2026-03-02T09:15:00Z');
    expect(after(3)).toMatchObject({ state: 'ready', countsAsAttempt: true, dueAt });
    expect(after(8)).toMatchObject({ state: 'expired', countsAsAttempt: true });
    const unreached = settlementOf({ ...MAIL, attempt: 8 }, lost('connect'), told);
    expect(unreached).toMatchObject({ state: 'ready', countsAsAttempt: false });
  });
});
