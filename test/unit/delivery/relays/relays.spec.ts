import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EnvError, readConfig } from '../../../../config/env.js';
import { afterTrouble, shownReply, type Breaker } from '../../../../src/delivery/relays/breaker.js';
import type { RelayTrouble } from '../../../../src/delivery/replies/settlement.js';
import { chooseRelay } from '../../../../src/delivery/relays/relay-choice.js';

const relay = (name: string, weight: number, usable = true) => ({ name, weight, usable });

describe('choosing a relay', () => {
  it('goes by weight, and the same chance chooses the same', () => {
    const relays = [relay('a', 3), relay('b', 1), relay('spare', 0)];
    const names = Array.from({ length: 8 }, (_, index) => chooseRelay(relays, index / 8)?.name);
    expect(names).toEqual(['a', 'a', 'a', 'a', 'a', 'a', 'b', 'b']);
  });

  it('takes the spare when no other works, and none when none works', () => {
    expect(chooseRelay([relay('a', 3, false), relay('spare', 0)], 0.9)?.name).toBe('spare');
    expect(chooseRelay([relay('a', 3, false)], 0)).toBeNull();
    expect(chooseRelay([], 0)).toBeNull();
  });

  it('finds a usable one for every chance where there is one', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ weight: fc.nat(5), usable: fc.boolean() }), { maxLength: 6 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (list, chance) => {
          const relays = list.map((one, index) => ({ ...one, name: String(index) }));
          const chosen = chooseRelay(relays, chance);
          expect(chosen !== null).toBe(relays.some(({ usable }) => usable));
          if (chosen) expect(chosen.usable).toBe(true);
          if (chosen?.weight === 0)
            expect(relays.some(({ usable, weight }) => usable && weight > 0)).toBe(false);
        },
      ),
    );
  });
});

describe('a breaker', () => {
  const KINDS = [
    'connect',
    'silent',
    'stalled',
    'auth',
    'sender_refused',
    'throttled',
    'putting_off',
  ] as const;
  const FRESH: Breaker = { state: 'closed', failures: 0, pauseSeconds: 0 };
  /** Opened by one kind, then tried for nothing once for each of the others: the pauses in seconds. */
  const pauses = (opening: RelayTrouble, probes: readonly RelayTrouble[]): number[] => {
    let breaker = FRESH;
    while (breaker.state === 'closed') breaker = afterTrouble(breaker, opening) ?? breaker;
    const seconds = [breaker.pauseSeconds];
    for (const kind of probes) {
      breaker = afterTrouble({ ...breaker, state: 'half_open' }, kind) ?? breaker;
      seconds.push(breaker.pauseSeconds);
    }
    return seconds;
  };

  it('doubles its pause up to a quarter of an hour', () => {
    expect(
      pauses(
        'auth',
        Array.from({ length: 6 }, () => 'auth' as const),
      ),
    ).toEqual([60, 120, 240, 480, 900, 900, 900]);
  });

  it('is not closed for a quarter of an hour by the first try of a relay that is restarted after it throttled', () => {
    expect(pauses('throttled', ['connect', 'connect'])).toEqual([15, 30, 60]);
    expect(pauses('throttled', ['auth'])).toEqual([15, 60]);
  });

  it('asks one that puts off one mail after the other every two minutes: it may be their words', () => {
    const again = Array.from({ length: 5 }, () => 'putting_off' as const);
    expect(pauses('putting_off', again)).toEqual([15, 30, 60, 120, 120, 120]);
    expect(pauses('auth', ['auth', 'auth', ...again])).toEqual([60, 120, 240, 240, 240, 240, 240, 240]);
  });

  it('does not ask again sooner, once it has begun to wait, as the kind of trouble changes', () => {
    expect(pauses('auth', ['throttled', 'connect'])).toEqual([60, 120, 240]);
  });

  it('waits at least the first pause of what was wrong last, never shorter than before, and otherwise at most twice as long', () => {
    const kind = fc.constantFrom(...KINDS);
    fc.assert(
      fc.property(kind, fc.array(kind, { maxLength: 12 }), (opening, probes) => {
        const seconds = pauses(opening, probes);
        probes.forEach((probe, index) => {
          const [before = 0, after = 0] = seconds.slice(index, index + 2);
          const [first = 0] = pauses(probe, []);
          expect(after).toBeGreaterThanOrEqual(Math.max(before, first));
          expect(after).toBeLessThanOrEqual(Math.min(900, Math.max(first, 2 * before)));
        });
      }),
    );
  });

  it('begins anew after a mail that was taken, whatever it waited before', () => {
    let breaker: Breaker = { ...FRESH, pauseSeconds: 900 };
    while (breaker.state === 'closed') breaker = afterTrouble(breaker, 'connect') ?? breaker;
    expect(breaker.pauseSeconds).toBe(5);
  });

  it('keeps no address of a reply', () => {
    expect(shownReply('550 <a.b+c@example.com>, x@y: no\r\nb@example.com')).toBe(
      '550 <(address)>, (address): no (address)',
    );
  });
});

describe('SMTP_URL', () => {
  const problems = (SMTP_URL: string): string => {
    try {
      readConfig({ SMTP_URL });
      return '';
    } catch (error) {
      if (error instanceof EnvError) return error.message;
      throw error;
    }
  };

  it('holds one relay as before, or several', () => {
    expect(readConfig({ SMTP_URL: 'smtp://u:p@relay.example.com:587' })).toMatchObject({
      mailboxOn: false,
      relays: [
        { name: 'relay.example.com', url: 'smtp://u:p@relay.example.com:587', weight: 1, lanes: null },
      ],
    });
    expect(
      readConfig({
        SMTP_URL: 'smtp://u:a,b@one.example.com?weight=0,smtps://two.example.com?lanes=16&name=b',
      }).relays,
    ).toEqual([
      {
        name: 'one.example.com',
        url: 'smtp://u:a,b@one.example.com',
        weight: 0,
        lanes: null,
        provider: null,
        tls: null,
        ca: null,
      },
      {
        ...{ name: 'b', url: 'smtps://two.example.com', weight: 1, lanes: 16, provider: null },
        ...{ tls: null, ca: null },
      },
    ]);
    expect(readConfig({}).relays).toEqual([]);
  });

  it.each([
    ['http://relay.example.com', 'use a URL that starts with smtp:// or smtps://'],
    ['smtp://relay.example.com?pool=true', 'unknown option "pool"; use weight, lanes, name'],
    ['smtp://relay.example.com?weight=-1', 'weight is a whole number from 0 to 1000'],
    ['smtp://relay.example.com?lanes=0', 'lanes is a whole number from 1 to 256'],
    ['smtp://relay.example.com?weight=1&weight=2', 'weight is given twice'],
    ['smtp://relay.example.com?name=a%20b', 'name is 1 to 63 letters'],
    ['smtp://user:pa%ss@relay.example.com', 'write a % in user or password as %25'],
    [
      'smtp://relay.example.com/path',
      'nothing but ?weight=, ?lanes=, ?name=, ?provider=, ?tls= and ?ca= may follow the host',
    ],
    ['smtp://relay.example.com?tls=maybe', 'tls is one of required, insecure, none'],
    ['smtp://relay.example.com?tls=none&tls=required', 'tls is given twice'],
    ['smtp://relay.example.com?ca=', 'ca is the path of a file in PEM'],
    [
      'smtp://relay.example.com?ca=test/fixtures/nowhere.pem',
      'ca: test/fixtures/nowhere.pem cannot be read (ENOENT)',
    ],
    ['smtp://relay.example.com?ca=test/fixtures', 'ca: test/fixtures cannot be read (EISDIR)'],
    [
      'smtp://relay.example.com?ca=test/fixtures/test-key.pem',
      'ca: test/fixtures/test-key.pem holds no certificate in PEM',
    ],
    ['smtp://relay.example.com?tls=insecure&ca=test/fixtures/private-ca.pem', 'ca goes with tls=required'],
    ['smtp://relay.example.com?tls=none&ca=test/fixtures/private-ca.pem', 'ca goes with tls=required'],
    ['smtps://relay.example.com?tls=none', 'tls=none does not go with smtps://'],
    ['smtp://u:p@relay.example.com?tls=none', 'tls=none would send user and password readable'],
    ['smtp://u@10.0.0.5?tls=none', 'tls=none would send user and password readable'],
    [
      'smtp://a.example.com smtp://a.example.com:26',
      'two relays are called a.example.com: give each its own ?name=',
    ],
  ])('refuses %s', (url, problem) => expect(problems(url)).toContain(`SMTP_URL: ${problem}`));

  it.each([
    ['smtp://relay.example.com:25?tls=none', 'none'],
    ['smtp://u:p@localhost?tls=none', 'none'],
    ['smtp://u:p@relay.example.com?tls=insecure', 'insecure'],
    ['smtps://u:p@127.0.0.1?tls=required', 'required'],
  ])('takes %s', (SMTP_URL, tls) => expect(readConfig({ SMTP_URL }).relays[0]?.tls).toBe(tls));

  it('names every wrong relay at once and shows no password', () => {
    const text = problems('smtp://u:secret@a.example.com?x=1 smtp://u:secret@b.example.com?lanes=many');
    expect(text.split('\n')).toHaveLength(2);
    expect(text).toMatch(/relay 1: unknown option "x"/);
    expect(text).toMatch(/relay 2: lanes is/);
    expect(text).not.toContain('secret');
  });
});
