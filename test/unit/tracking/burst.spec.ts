import { describe, expect, it } from 'vitest';
import { judgeMailHits, type MailHit, severalMails } from '../../../src/tracking/burst.js';

const CHROME =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36';
const ACCEPTED = new Date('2026-03-02T09:00:00Z');

let next = 0;
/** A hit so many seconds after the relay took the mail. */
const hit = (seconds: number, change: Partial<MailHit> = {}): MailHit => ({
  id: String(++next),
  kind: 'click',
  messageId: '1',
  linkId: '1',
  client: 'a',
  method: 'GET',
  userAgent: CHROME,
  purpose: null,
  hasAcceptLanguage: true,
  fetchDest: 'document',
  network: null,
  local: false,
  acceptedAt: ACCEPTED,
  at: new Date(ACCEPTED.getTime() + seconds * 1_000),
  ...change,
});
const classes = (...hits: MailHit[]): (string | undefined)[] => {
  const verdicts = judgeMailHits(hits);
  return hits.map(({ id }) => verdicts.get(id)?.class);
};

describe('hits of one mail, judged together', () => {
  it('are a scanner’s when several links are asked for at once, whoever asks', () => {
    expect(
      classes(
        hit(20, { linkId: '1' }),
        hit(20.4, { linkId: '2', client: 'b' }),
        hit(20.9, { linkId: '3', client: 'c' }),
      ),
    ).toEqual(['scanner', 'scanner', 'scanner']);
  });

  it('are a person’s when one link is asked for, also twice, or another one later', () => {
    expect(classes(hit(300))).toEqual(['human']);
    expect(classes(hit(300), hit(300.2))).toEqual(['human', 'human']);
    expect(classes(hit(300), hit(303, { linkId: '2' }))).toEqual(['human', 'human']);
  });

  it('leave the reader alone who comes five minutes after the scanner', () => {
    expect(classes(hit(20), hit(20.3, { linkId: '2' }), hit(320))).toEqual(['scanner', 'scanner', 'human']);
  });

  it('find a slow scanner out after all', () => {
    const slow = [0, 2.4, 4.8, 7.2, 9.6].map((seconds, index) =>
      hit(20 + seconds, { linkId: String(index) }),
    );
    expect(classes(...slow)).toEqual(slow.map(() => 'scanner'));
  });

  it('take the opens and the single click of a scanning client with them, and nobody else’s', () => {
    expect(
      classes(
        hit(20, { method: 'HEAD' }),
        hit(25, { linkId: '2' }),
        hit(21, { kind: 'open', linkId: null }),
        hit(22, { kind: 'open', linkId: null, client: 'reader' }),
      ),
    ).toEqual(['scanner', 'scanner', 'scanner', 'human']);
  });

  it('do not hold a browser’s own prefetch against its reader', () => {
    expect(classes(hit(299, { purpose: 'prefetch' }), hit(300))).toEqual(['proxy', 'human']);
  });

  it('are a developer’s beside the built-in mailbox, however fast', () => {
    const curl = { local: true, userAgent: 'curl/8.5.0' };
    expect(classes(hit(0, curl), hit(0, { ...curl, linkId: '2' }))).toEqual(['human', 'human']);
  });

  it('are judged in no time, however often one link is asked for', () => {
    const many = Array.from({ length: 100_000 }, (_, index) => hit(20 + index / 50_000));
    const from = process.cpuUsage();
    expect(judgeMailHits(many).size).toBe(many.length);
    // A hundred times what it takes; each hit compared with each other takes minutes.
    expect(process.cpuUsage(from).user).toBeLessThan(10_000_000);
  });
});

describe('hits of several mails', () => {
  const mails = (seconds: number, change: Partial<MailHit> = {}): MailHit[] =>
    ['1', '2', '3'].map((messageId, index) => hit(seconds + index * 0.5, { messageId, ...change }));

  it('are a scanner’s when one client asks while they are delivered', () => {
    expect(severalMails(mails(30)).size).toBe(3);
  });

  it('are people’s when they come from several clients, later, or few', () => {
    const apart = mails(30).map((each, index) => ({ ...each, client: String(index) }));
    expect(severalMails(apart).size).toBe(0);
    expect(severalMails(mails(600)).size).toBe(0);
    expect(severalMails(mails(30).slice(1)).size).toBe(0);
  });
});
