import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planBatch } from '../../../src/sequences/advance/advance-batch.js';
import type { Leaf } from '../../../src/sequences/steps/condition.js';
import type { EmailNode, SequenceNode, Split } from '../../../src/sequences/steps/definition.js';
import { armKey, dateNeed, needKey, needsFrom, promiseKey } from '../../../src/sequences/steps/prepared.js';
import { dueAt } from '../../../src/sequences/steps/due-at.js';
import { advance, type Facts, type Progress } from '../../../src/sequences/steps/progress.js';
import { parseDuration } from '../../../src/values/duration.js';
import { email, facts, MONDAY, PRICE, sentKeys, sequence } from './made-up-sequence.js';

const day = { delay: parseDuration('1 day') };

describe('what runs in one turn', () => {
  const offer = { slug: 'kit', title: 'Kit', price: PRICE, fullPrice: PRICE, discountBps: 0 };
  const split = (isTimed = false): Split => {
    const arms = ['a', 'b'].map((key) => ({ key, weight: 1 }));
    const terms = { arms, holdoutBps: 0, isTimed } as unknown as Split['terms'];
    return { experiment: 't', test: 't', terms, arms: [] };
  };
  const SPLIT = split();
  const past = { until: '2026-02-01' };
  const always: EmailNode['onDays'] = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];

  it.each([
    ['nothing', {}],
    ['a date that is over', past],
    ['a delay of nothing', { delay: parseDuration('0 days') }],
    ['every day of the week', { onDays: always }],
  ])('knows what a step asks that comes at once behind one with a time of its own: %s', (_, time) => {
    const choice: SequenceNode = {
      ...{ kind: 'choice', key: 'pick', within: null, else: 'plain' },
      cases: [{ when: { kind: 'tag', tag: 'vip' }, outcome: 'then', to: 'special' }],
    };
    const nodes = [
      ...[email('hello', 'mid'), email('mid', 'pick', time), choice],
      ...[email('plain', null), email('special', 'pitch'), email('pitch', 'drawn', { ...time, offer })],
      email('drawn', null, { ...time, split: SPLIT }),
    ];
    const prepared = sequence(nodes);
    const asked: string[] = [];
    const known = new Map<string, unknown>([['t', { arm: 'b', isNew: true }]]);
    const went: string[] = [];
    for (let at: string | null = 'hello', turns = 0; at !== null && turns < 9; turns++) {
      const needs = new Set((prepared.needs.get(at) ?? []).map(needKey));
      const ask = (key: string): boolean => {
        if (needs.has(key)) asked.push(key);
        return needs.has(key);
      };
      const progress: Progress = advance(prepared, at, {
        ...facts,
        answer: (leaf) => ask(needKey(leaf)),
        promise: (slug) => (ask(promiseKey(slug)) ? { until: MONDAY, price: null } : null),
        arm: (key) => (ask(armKey(key)) ? (known.get(key) as ReturnType<Facts['arm']>) : null),
      });
      went.push(...sentKeys(progress));
      at = progress.kind === 'waiting' && progress.nextAt <= MONDAY ? progress.stepKey : null;
    }
    expect(went).toEqual(['hello', 'mid', 'special', 'pitch', 'drawn']);
    expect(new Set(asked)).toEqual(new Set(['tag vip', 'promise kit', 'arm t']));
  });

  it.each([
    ['has expired', { expires: '2026-02-01' }, '2026-03-02T09:00:00Z'],
    ['expires before its time', { expires: '2026-03-04' }, '2026-03-05T00:00:00Z'],
    ['expires after its time', { expires: '2026-03-20' }, '2026-03-09T09:00:00Z'],
  ])('holds nobody for longer at a step that %s', (_, more, due) => {
    const week = { delay: parseDuration('1 week') };
    const toDate = { untilField: { field: 'end', offset: null, sign: 1 as const } };
    const arms = [{ key: 'a', ...week }];
    const test = { ...split(true), arms } as unknown as Split;
    for (const how of [week, toDate, { split: test }]) {
      const nodes = [email('a', 'b'), email('b', 'c', { ...how, ...more }), email('c', null, day)];
      const known: Facts = {
        ...facts,
        date: () => '2026-03-09T09:00:00Z',
        arm: () => ({ experimentId: '1', arm: 'a', period: 0, carried: false, isNew: true }),
      };
      const progress = advance(sequence(nodes), 'a', known);
      const isOver = due === MONDAY.toISOString().replace('.000', '');
      expect(progress).toMatchObject(
        isOver
          ? { stepKey: 'c', passed: [{ key: 'b', outcome: `expired ${more.expires}` }] }
          : { stepKey: 'b', nextAt: new Date(due), passed: [] },
      );
      if (!isOver)
        expect(
          sentKeys(advance(sequence(nodes), 'b', { ...known, now: new Date(due), wait: 'over' })),
        ).toEqual(more.expires === '2026-03-20' ? ['b'] : []);
    }
    expect(dueAt(sequence([email('b', null, { ...week, ...more })]), 'b', facts)).toEqual(new Date(due));
  });

  it('asks nothing in a turn that was not looked up for it, whatever the sequence', () => {
    type Time = Partial<Pick<EmailNode, 'delay' | 'at' | 'until' | 'onDays' | 'expires' | 'untilField'>>;
    const times: Time[] = [
      ...[{}, past, { delay: parseDuration('0 days') }, { onDays: always }, day, { at: '09:00' }],
      ...[{ expires: '2026-02-01' }, { ...day, expires: '2026-02-01' }, { ...past, expires: '2026-02-01' }],
      { untilField: { field: 'end', offset: null, sign: 1 } },
    ];
    const step = fc.record({
      what: fc.constantFrom('mail', 'mail', 'offer', 'draw', 'timed', 'choice', 'goal', 'paths', 'set'),
      time: fc.constantFrom(...times),
      jump: fc.integer({ min: 1, max: 3 }),
      wasHad: fc.integer({ min: 0, max: 5 }).map((one) => one === 0),
    });
    const all = fc.array(step, { minLength: 2, maxLength: 9 });
    fc.assert(
      fc.property(all, fc.integer(), fc.constantFrom('new', 'over'), (steps, chance, wait) => {
        const to = (place: number): string | null => (place < steps.length ? `s${place}` : null);
        const nodes = steps.map(({ what, time, jump }, place): SequenceNode => {
          const [key, next, other] = [`s${place}`, to(place + 1), to(place + jump)];
          const test = { ...split(what === 'timed'), experiment: key };
          const when: Leaf =
            jump === 1 ? { kind: 'clicked', step: `s${Math.max(0, place - 2)}` } : { kind: 'tag', tag: key };
          if (what === 'choice')
            return {
              kind: 'choice',
              key,
              within: null,
              cases: [{ when, outcome: 'then', to: other }],
              else: next,
            };
          if (what === 'goal') return { kind: 'goal', key, otherwise: 'continue', next, triggers: [when] };
          if (what === 'paths')
            return {
              kind: 'split',
              key,
              split: test,
              arms: [
                { key: 'a', to: next },
                { key: 'b', to: other },
              ],
              next,
            };
          if (what === 'set')
            return { kind: 'set', key, fields: { end: '2026-01-01' }, delay: null, at: null, ...time, next };
          const more = what === 'offer' ? { offer } : what === 'mail' ? {} : { split: test };
          return email(key, next, { ...time, ...more });
        });
        const hadSome = Object.fromEntries(
          steps.flatMap((one, place) => (one.wasHad ? [[`s${place}`, 'ran']] : [])),
        );
        const had = Object.keys(hadSome).length === 0 ? null : hadSome;
        const prepared = sequence(nodes);
        for (const start of prepared.nodes.keys()) {
          const needs = new Set(needsFrom(prepared, start, had).needs.map(needKey));
          const asked: string[] = [];
          const draw = (text: string): boolean =>
            ((chance + text.length * 7 + text.charCodeAt(text.length - 1)) & 1) === 0;
          const ask = (key: string): boolean => asked.push(key) > 0 && draw(key);
          advance(prepared, start, {
            ...{ ...facts, wait, had },
            answer: (leaf) => ask(needKey(leaf)),
            date: (source) => (ask(needKey(dateNeed(source))) ? '2026-02-02' : '2026-04-01'),
            arm: (key) => ({
              ...{ experimentId: '1', period: 0, carried: false, isNew: true },
              arm: ask(armKey(key)) ? 'a' : 'b',
            }),
            promise: (slug) => (ask(promiseKey(slug)) ? { until: MONDAY, price: PRICE } : null),
          });
          // Nobody has had a mail of this very turn before it, and so nobody has clicked it.
          const isNews = (key: string): boolean => {
            const step = /^clicked (s\d)$/.exec(key)?.[1] ?? '';
            return step >= start && had?.[step] === undefined;
          };
          expect(asked.filter((key) => !needs.has(key) && !isNews(key))).toEqual([]);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('has the step behind a mail that goes late at the same time as if its reader came to it just then', () => {
    const delays = fc.constantFrom(
      null,
      ...['0 days', '40 minutes', '7 hours', '1 day', '3 days', '1 month'],
    );
    const times = fc.record({
      delay: delays.map((text) => (text === null ? null : parseDuration(text))),
      at: fc.constantFrom(null, '00:00', '09:30', '23:59'),
      onDays: fc.constantFrom(undefined, ['mon'], ['sat', 'sun']) as fc.Arbitrary<EmailNode['onDays']>,
      until: fc.constantFrom(undefined, '2026-03-20 10:00'),
      expires: fc.constantFrom(undefined, '2026-03-25'),
    });
    fc.assert(
      fc.property(
        times.filter(({ delay, until }) => delay === null || until === undefined),
        fc.integer({ min: 0, max: 40 * 24 * 60 }),
        fc.constantFrom('UTC', 'America/New_York', 'Asia/Kathmandu', 'Australia/Lord_Howe'),
        ({ onDays, until, expires, ...rest }, minutes, timeZone) => {
          const dated = { ...(onDays && { onDays }), ...(until && { until }), ...(expires && { expires }) };
          const two = sequence([email('a', 'b'), email('b', null, { ...rest, ...dated })]);
          const known = { ...facts, now: new Date(MONDAY.getTime() + minutes * 60_000), timeZone };
          const { sent, ...came } = advance(two, 'a', known);
          const { sent: late, ...anew } = advance(two, 'b', { ...known, wait: 'anew' });
          expect(anew).toEqual(came);
          expect(late.map(({ node }) => node.key)).toEqual(sent.slice(1).map(({ node }) => node.key));
        },
      ),
      { numRuns: 500 },
    );
  });

  it('keeps who was not drawn for a test at its step, rather than giving them the control', () => {
    const running = {
      sequence: sequence([email('a', null, { split: SPLIT })]),
      funnelKey: 'shop',
      offers: new Map(),
    };
    const people = { ids: ['1'], subscriberIds: ['1'], emails: [''], emailKeys: [''] };
    const due = {
      ...{
        versionId: '1',
        stepKey: 'a',
        lateSinceMs: null,
        wait: 'new' as const,
        data: '{}',
        hoursOf: null,
        had: null,
      },
      ...{ status: 'active', timeZone: null, people },
    };
    const sender = { name: 'Ada', email: 'ada@example.com', postalAddress: '1 Main St' };
    const versions = new Map([['1', { ...running, sender }]]);
    const plan = planBatch([due], versions, new Map(), MONDAY);
    expect(plan.stuck).toEqual([{ ids: ['1'], stepKey: 'a', reason: 'the arm in t was not looked up' }]);
    expect(plan.mail.mails.enrollmentIds).toEqual([]);
    // A test that nobody has opened.
    const unopened = planBatch([due], versions, new Map([['1', new Map([[armKey('t'), null]])]]), MONDAY);
    expect([unopened.stuck.length, unopened.mail.mails.enrollmentIds]).toEqual([0, ['1']]);
  });
});
