import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EmailNode, SequenceNode, Split } from '../../../../src/sequences/steps/definition.js';
import { needKey, needsFrom } from '../../../../src/sequences/steps/prepared.js';
import { dueAt } from '../../../../src/sequences/steps/due-at.js';
import { advance, type Facts } from '../../../../src/sequences/steps/progress.js';
import { parseDuration } from '../../../../src/values/duration.js';
import { email, facts, MONDAY, PRICE, sentKeys, sequence } from '../made-up-sequence.js';

const branch = (
  key: string,
  clicked: string,
  ways: { then: string | null; else: string | null },
): SequenceNode => ({
  kind: 'branch',
  key,
  clicked,
  within: parseDuration('3 days'),
  ...ways,
});
/** Whoever clicked, or waited for it to the end. */
const decided = (clicked: boolean): Facts => ({ ...facts, answer: () => clicked, wait: 'over' });
const day = { delay: parseDuration('1 day') };

describe('the next step', () => {
  it('sends the step at hand and waits for the delay of the next', () => {
    const progress = advance(sequence([email('a', 'b'), email('b', null, day)]), 'a', facts);
    expect(sentKeys(progress)).toEqual(['a']);
    expect(progress).toMatchObject({
      kind: 'waiting',
      stepKey: 'b',
      nextAt: new Date('2026-03-03T09:00:00Z'),
      deadline: null,
      watches: [],
    });
  });

  it('takes the steps without delay along at once, and completes after the last', () => {
    const progress = advance(sequence([email('a', 'b'), email('b', 'c'), email('c', null)]), 'a', facts);
    expect(progress.kind).toBe('completed');
    expect(sentKeys(progress)).toEqual(['a', 'b', 'c']);
  });

  it('waits before a branch for the click on the step it names, as long as it says', () => {
    const nodes = [
      email('a', 'pick'),
      branch('pick', 'a', { then: 'yes', else: 'no' }),
      email('yes', null),
      email('no', null),
    ];
    expect(advance(sequence(nodes), 'a', facts)).toMatchObject({
      kind: 'waiting',
      stepKey: 'pick',
      watches: ['a'],
      nextAt: new Date('2026-03-05T09:00:00Z'),
      deadline: new Date('2026-03-05T09:00:00Z'),
    });
  });

  it.each([
    [true, ['yes'], 'after'],
    [false, ['no'], 'after'],
  ])('goes the way of those who clicked: %s', (clicked, sent, next) => {
    const nodes = [
      branch('pick', 'a', { then: 'yes', else: 'no' }),
      email('yes', 'after'),
      email('no', 'after'),
      email('after', null, day),
    ];
    const progress = advance(sequence(nodes), 'pick', decided(clicked));
    expect(sentKeys(progress)).toEqual(sent);
    expect(progress).toMatchObject({
      passed: [{ key: 'pick', outcome: clicked ? 'then' : 'else' }],
      stepKey: next,
    });
  });

  it('asks the second of two branches in a row its own question', () => {
    const nodes = [
      branch('one', 'a', { then: 'two', else: null }),
      branch('two', 'b', { then: 'yes', else: null }),
      email('yes', null),
    ];
    const answer: Facts['answer'] = (leaf) => leaf.kind === 'clicked' && leaf.step === 'a';
    expect(advance(sequence(nodes), 'one', { ...facts, answer })).toMatchObject({
      kind: 'waiting',
      sent: [],
      stepKey: 'two',
      watches: ['b'],
    });
  });

  it('completes where a branch leads nowhere', () => {
    const nodes = [branch('pick', 'a', { then: 'yes', else: null }), email('yes', null)];
    expect(advance(sequence(nodes), 'pick', decided(false))).toEqual({
      kind: 'completed',
      sent: [],
      effects: [],
      passed: [{ key: 'pick', outcome: 'else' }],
    });
  });

  describe('an offer to who owns what it sells', () => {
    const offer = { slug: 'kit', title: 'Kit', price: PRICE, fullPrice: PRICE, discountBps: 0 };
    const until = (member: string): Partial<EmailNode> => ({
      untilField: { member, offset: null, sign: 1 },
    });
    const own = { templateKey: 'emails/a', templateId: '1', deadline: null, delay: null, at: null };
    const split: Split = {
      ...{ experiment: 'x', test: 'x' },
      terms: { arms: [{ key: 'a', weight: 1 }], holdoutBps: 0, isTimed: false } as unknown as Split['terms'],
      arms: [
        { key: 'a', ...own, offer: null },
        { key: 'b', ...own, offer },
      ],
    };
    it('reminds the members once more behind the step that waits for the end', () => {
      const renew = (member: string): string[] => {
        const nodes = [
          email('renew', 'pitch', until(member)),
          email('pitch', null, { kind: 'offer', offer }),
        ];
        const own = { ...facts, date: () => MONDAY.toISOString(), owned: () => 'kit' };
        return sentKeys(advance(sequence(nodes), 'renew', own));
      };
      expect([renew('kit'), renew('club')]).toEqual([['renew', 'pitch'], ['renew']]);
    });

    it.each<[string, Partial<EmailNode>, isPassedOver: boolean]>([
      ['as usual', { offer }, true],
      ['that is asked to pass them over', { offer, toOwners: 'skip', ...until('kit') }, true],
      ['that goes to them, too', { offer, toOwners: 'send' }, false],
      ['at the end of their membership by it', { offer, ...until('kit') }, false],
      ['at the end of another membership', { offer, ...until('club') }, true],
      ['by another arm than theirs, so that no arm loses people alone', { split }, true],
      ['which is another product', { offer: { ...offer, slug: 'list' } }, false],
      ['in a mail without an offer', {}, false],
    ])('is passed over %s', (_, change, isPassedOver) => {
      const nodes = [email('pitch', 'after', { kind: 'offer', ...change }), email('after', null, day)];
      const arm = { experimentId: '1', arm: 'a', period: 0, carried: false, isNew: true };
      const progress = advance(sequence(nodes), 'pitch', {
        ...facts,
        arm: () => arm,
        date: () => MONDAY.toISOString(),
        owned: (slug) => (slug === 'kit' ? 'kit' : null),
      });
      const passed = isPassedOver ? [{ key: 'pitch', outcome: 'already owns kit' }] : [];
      expect(progress).toMatchObject({ kind: 'waiting', stepKey: 'after', passed });
      expect(sentKeys(progress)).toEqual(isPassedOver ? [] : ['pitch']);
      if (isPassedOver) expect(progress.effects).toEqual([]);
    });
  });

  describe('until when the price of an offer holds', () => {
    const offer = { slug: 'kit', title: 'Kit', price: PRICE, fullPrice: PRICE, discountBps: 0 };
    const at = (promised: Date | null, change: Partial<EmailNode>, more: Partial<Facts> = {}) => {
      const nodes = [email('pitch', null, { kind: 'offer', offer, ...change })];
      const [sent] = advance(sequence(nodes), 'pitch', {
        ...facts,
        promise: () => ({ until: promised, price: null }),
        ...more,
      }).sent;
      return [sent?.offerExpiresAt, sent?.expiresAt];
    };
    const [hour, three] = [{ deadline: parseDuration('1 hour') }, { deadline: parseDuration('72 hours') }];
    const [inAnHour, inThreeDays] = [new Date('2026-03-02T10:00:00Z'), new Date('2026-03-05T09:00:00Z')];
    const yesterday = new Date('2026-03-01T09:00:00Z');

    it.each([
      ['counts from the moment the mail is planned', null, three, inThreeDays, inThreeDays],
      ['is what an earlier mail said, where this one says nothing', inAnHour, {}, inAnHour, inAnHour],
      ['is never sooner than an earlier mail said', inThreeDays, hour, inThreeDays, inThreeDays],
      ['is later where this mail says so', inAnHour, three, inThreeDays, inThreeDays],
      ['begins anew where it was over and this mail gives another', yesterday, hour, inAnHour, inAnHour],
      ['stays over where this mail gives none', yesterday, {}, yesterday, null],
      ['has no end where no mail gives one', null, {}, null, null],
    ] as const)('%s', (_, promised, change, until, mailEnds) => {
      expect(at(promised, change)).toEqual([until, mailEnds]);
    });

    it('is the same in two mails that go at the same moment', () => {
      const nodes = [email('pitch', 'plain', { offer, ...three }), email('plain', null, { offer })];
      const { sent } = advance(sequence(nodes), 'pitch', facts);
      expect(sent.map(({ offerExpiresAt }) => offerExpiresAt)).toEqual([inThreeDays, inThreeDays]);
    });
  });

  it('keeps timed steps inside the window, and sends what somebody waits for at any hour', () => {
    const window = { days: ['mon'], from: '08:00', to: '19:00' } as const;
    const prepared = sequence([email('a', 'b'), email('b', null, day)], { window });
    const sunday = new Date('2026-03-01T03:00:00Z');
    expect(dueAt(prepared, 'a', { now: sunday, timeZone: 'UTC' })).toEqual(sunday);
    expect(dueAt(prepared, 'b', { now: MONDAY, timeZone: 'UTC' })).toEqual(new Date('2026-03-09T08:00:00Z'));
  });

  it.each([
    ['after the date', { at: null }, '2026-03-03T00:00:00Z', '2026-03-04T00:00:00Z'],
    ['at an hour of the day after it', { at: '10:30' }, '2026-03-03T00:00:00Z', '2026-03-04T10:30:00Z'],
    ['at once where both are over', { at: null }, '2026-02-10T00:00:00Z', null],
  ])('runs a step that waits for a date of the person, and has a delay besides: %s', (_, more, date, due) => {
    const until = { field: 'trialEnd', offset: null, sign: 1 as const };
    const nodes = [email('x', null, { ...day, ...more, untilField: until })];
    const known: Facts = { ...facts, date: () => date };
    const first = advance(sequence(nodes), 'x', known);
    expect(first).toMatchObject(
      due === null ? { kind: 'completed' } : { kind: 'waiting', nextAt: new Date(due) },
    );
    const woken = due === null ? known : { ...known, now: new Date(due), wait: 'over' as const };
    expect(sentKeys(advance(sequence(nodes), 'x', woken))).toEqual(['x']);
  });

  it('asks what stands behind steps that were had in the same turn, its answers looked up: hours of mails behind it were lost', () => {
    const choice: SequenceNode = {
      ...{ kind: 'choice', key: 'choose', within: null, else: 'plain' },
      cases: [{ when: { kind: 'tag', tag: 'vip' }, outcome: 'then', to: 'special' }],
    };
    const goal: SequenceNode = {
      ...{ kind: 'goal', key: 'bought', otherwise: 'end', next: 'after' },
      triggers: [{ kind: 'purchased', product: 'kit' }],
    };
    const dated = email('dated', null, { untilField: { field: 'end', offset: null, sign: 1 } });
    const terms = {
      arms: [{ key: 'a', weight: 1 }],
      holdoutBps: 0,
      isTimed: false,
    } as unknown as Split['terms'];
    const tested = email('tested', null, { split: { experiment: 't', test: 't', terms, arms: [] } });
    for (const asking of [choice, goal, dated, tested]) {
      // `c` runs in the turn in which `b` is passed over; what follows it is as far away as what follows `b`.
      for (const between of [asking.key, 'c']) {
        const nodes = [email('a', 'b'), email('b', between, day), email('c', asking.key), asking];
        const had = { a: 'ran', b: 'ran' };
        const answered: Facts = { ...facts, had, answer: () => true, date: () => '2026-03-01' };
        const progress = advance(sequence(nodes), 'a', answered);
        const ran = [...sentKeys(progress), ...progress.passed.map(({ key }) => key)];
        expect(ran[0]).toBe(between);
        expect(ran).toContain(asking.key);
        const needs = needsFrom(sequence(nodes), 'a', had).needs.map(needKey);
        const own = needsFrom(sequence([asking]), asking.key, null).needs.map(needKey);
        expect(needs).toEqual(expect.arrayContaining(own));
      }
    }
  });

  it('ends on every sequence, sends no step twice and never waits into the past', () => {
    const chain = fc.array(fc.record({ days: fc.integer({ min: 0, max: 2 }), isBranch: fc.boolean() }), {
      minLength: 1,
      maxLength: 12,
    });
    fc.assert(
      fc.property(chain, fc.boolean(), (steps, clicked) => {
        const key = (index: number): string | null => (index < steps.length ? `s${index}` : null);
        const nodes = steps.map(({ days, isBranch }, index) =>
          isBranch
            ? branch(`s${index}`, 's0', { then: key(index + 1), else: key(index + 2) })
            : email(`s${index}`, key(index + 1), { delay: { value: days, unit: 'days' } }),
        );
        const prepared = sequence(nodes);
        const seen: string[] = [];
        let now = MONDAY;
        let wait: Facts['wait'] = 'new';
        for (let at: string | null = 's0'; at !== null;) {
          const progress = advance(prepared, at, { ...facts, now, answer: () => clicked, wait });
          seen.push(...sentKeys(progress), ...progress.passed.map(({ key: passed }) => passed));
          if (progress.kind !== 'waiting' || progress.nextAt === 'deadline') break;
          // At once only for a step that gets a turn of its own.
          expect(progress.nextAt.getTime()).toBeGreaterThanOrEqual(now.getTime());
          expect(progress.stepKey).not.toBe(progress.deadline === null ? at : '');
          wait = progress.deadline === null ? 'new' : 'over';
          now = progress.nextAt;
          at = progress.stepKey;
        }
        expect(new Set(seen).size).toBe(seen.length);
        expect(seen.length).toBeGreaterThan(0);
      }),
    );
  });
});
