import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { belief, expectedShares, type Measured } from '../../../../src/funnels/forecast/beliefs.js';
import {
  BUYS,
  BUYS_WITH_BUMP,
  CLOSES,
  DECLINES,
  LEAVES,
  STAYS,
  TAKES,
  withoutQuestions,
} from '../../../../src/funnels/forecast/choices.js';
import { arrivingAt, type Entrance } from '../../../../src/funnels/forecast/arriving.js';
import {
  drawArrivals,
  drawRates,
  hasWeekdays,
  type SignUpHistory,
} from '../../../../src/funnels/forecast/newcomers.js';
import { Draws } from '../../../../src/funnels/forecast/draws.js';
import { mergedStands, type Stand } from '../../../../src/funnels/forecast/groups.js';
import { outlook, withWaiting, type Band } from '../../../../src/funnels/forecast/outlook.js';
import { pathsFrom, type ForecastPath, type PathQuestion } from '../../../../src/funnels/forecast/paths.js';
import { readFunnelFile } from '../../../../src/funnels/yaml/funnel-file.js';
import { virtualFunnels, type VirtualFunnels } from '../../../../src/funnels/simulation/virtual-sequences.js';
import { prepareSequence } from '../../../../src/sequences/steps/prepared.js';

const DAY_MS = 86_400_000;
/** A Monday. */
const NOW = new Date('2026-03-02T09:00:00Z');
const DAYS = 30;

/** After the kit a course is offered, and what is less in place of it to those who decline. */
const WITH_UPSELLS = readFileSync('config/funnels/niche-ebook.yaml', 'utf8')
  .replace('    bump: checklist\n', '    bump: checklist\n    upsell: course\n    downsell: mini\n')
  .replace(/^offers:\n/m, 'offers:\n  - { key: course, product: course }\n  - { key: mini, product: mini }\n')
  .replace(
    /^products:\n/m,
    'products:\n  - { key: course, name: Course, price: 99.00 EUR }\n  - { key: mini, name: Mini, price: 19.00 EUR }\n',
  );

function demoFunnels(text = readFileSync('config/funnels/niche-ebook.yaml', 'utf8')): VirtualFunnels {
  const file = readFunnelFile(text);
  if (!file.ok) throw new Error('the demo cannot be read');
  const funnels = virtualFunnels([file.definition]);
  const versions = [...funnels.versions].map(([key, version]) => {
    const sequence = prepareSequence(withoutQuestions(version.sequence.definition));
    return [key, { ...version, sequence }] as const;
  });
  return { ...funnels, versions: new Map(versions) };
}

const dayOf = (at: Date): number => Math.floor(at.getTime() / DAY_MS) - Math.floor(NOW.getTime() / DAY_MS);
const question = (measured: Measured, text?: string): PathQuestion => ({
  ...{
    funnels: demoFunnels(text),
    sequences: new Map([['niche-ebook', 'niche-ebook']]),
    measured,
    from: NOW,
  },
  until: new Date(Date.parse('2026-03-02') + DAYS * DAY_MS),
});
const stand = (stepKey: string, nextAt: string, more: Partial<Stand> = {}): Stand => ({
  ...{ version: 'niche-ebook', sequence: 'niche-ebook', stepKey, nextAt: new Date(nextAt), waitUntil: null },
  ...{ timeZone: 'Europe/Berlin', count: 1, had: null, done: null, owns: null, ...more },
});
const measuredAs = (shares: Record<string, Record<string, number>>): Measured =>
  new Map(Object.entries(shares).map(([name, options]) => [name, new Map(Object.entries(options))]));
const taken = ({ choices }: ForecastPath): string =>
  choices
    .map(({ parting, option }) => `${parting.name.split(' ').at(-1)}: ${parting.options[option]}`)
    .join(', ');

describe('the ways on from a place in a sequence', () => {
  it('are all there, each once, with the mails and the income of the real run', () => {
    const paths = pathsFrom(question(new Map()), stand('offer', '2026-03-03T08:00:00Z'));
    expect(
      paths.map((path) => [
        taken(path),
        path.mails.length,
        path.income.map(({ amountMinor, currency }) => ({ amountMinor, currency })),
      ]),
    ).toEqual([
      ['offer: stays', 1, []],
      // Buying is followed by a receipt; the price is the one that was promised for 72 hours.
      ['offer: buys', 2, [{ amountMinor: 3430, currency: 'EUR' }]],
      ['offer: leaves', 1, []],
      ['offer: buys with bump', 2, [{ amountMinor: 4330, currency: 'EUR' }]],
    ]);
    expect(paths[0]?.mails).toEqual([new Date('2026-03-03T08:00:00Z')]);
  });

  it('lead buyers to what is offered after the order, and whoever declines to what stands in for it', () => {
    const paths = pathsFrom(question(new Map(), WITH_UPSELLS), stand('offer', '2026-03-03T08:00:00Z'));
    const bought = paths.filter((path) => taken(path).startsWith('offer: buys,'));
    expect(
      bought.map((path) => [
        taken(path),
        path.mails.length,
        path.income.reduce((sum, { amountMinor }) => sum + amountMinor, 0),
      ]),
    ).toEqual(
      expect.arrayContaining([
        ['offer: buys, course: closes', 2, 3430],
        ['offer: buys, course: takes', 3, 3430 + 9900],
        ['offer: buys, course: declines, mini: takes', 3, 3430 + 1900],
        ['offer: buys, course: declines, mini: closes', 2, 3430],
      ]),
    );
  });

  it('part at branches by their answers, and end where people leave or buy', () => {
    const paths = pathsFrom(question(new Map()), stand('story', '2026-03-04T08:30:00Z'));
    const texts = paths.map(taken);
    expect(new Set(texts).size).toBe(texts.length);
    expect(texts).toEqual(
      expect.arrayContaining([
        'pick: else, story: leaves',
        'pick: then, story: stays, deep-dive: stays, offer: stays',
        'pick: else, story: stays, nudge: leaves',
        'pick: else, story: stays, nudge: stays, offer: buys',
      ]),
    );
    const steps = ['pick: then', 'story: stays', 'deep-dive: stays', 'offer: stays'].join(', ');
    // Answered a day after the mail, on Thursday; a day later is Friday, the offer comes on Monday morning.
    expect(paths.find((path) => taken(path) === steps)?.mails).toEqual(
      ['2026-03-04T08:30:00Z', '2026-03-06T08:30:00Z', '2026-03-09T07:00:00Z'].map((at) => new Date(at)),
    );
    // Each of the rare ways is less than one in ten thousand.
    const sum = paths.reduce((total, { choices }) => {
      const product = choices.map(
        ({ parting, option }) => expectedShares(belief(parting, new Map()))[option] ?? 0,
      );
      return total + product.reduce((a, b) => a * b, 1);
    }, 0);
    expect(sum).toBeGreaterThan(0.999);
    expect(sum).toBeLessThan(1 + 1e-9);
  });

  it('wait to the end of a branch that people are in the midst of', () => {
    const waiting = stand('pick', '2026-03-05T08:30:00Z', { waitUntil: new Date('2026-03-05T08:30:00Z') });
    const [likely] = pathsFrom(question(measuredAs({ 'way niche-ebook pick': { else: 100 } })), waiting);
    expect(likely && taken(likely)).toBe('pick: else, nudge: stays, offer: stays');
    expect(likely?.mails[0]).toEqual(new Date('2026-03-06T08:30:00Z'));
  });
});

describe('a forecast', () => {
  const groups = (measured: Measured, count: number, text?: string) =>
    [
      stand('story', '2026-03-04T08:30:00Z', { count }),
      stand('offer', '2026-03-03T08:00:00Z', { count: Math.ceil(count / 2) }),
    ].map((one) => ({ count: one.count, paths: pathsFrom(question(measured, text), one) }));
  const look = (measured: Measured, count: number, level: number, seed = 1) =>
    outlook(groups(measured, count), { measured, days: DAYS, dayOf, level, seed });

  it('counts people who have no choice exactly, on their days', () => {
    const certain = measuredAs(
      Object.fromEntries(
        ['story', 'nudge', 'deep-dive', 'offer'].map((step) => [
          `mail niche-ebook ${step}`,
          { [STAYS]: 1e9 },
        ]),
      ),
    );
    const sure = new Map([...certain, ['way niche-ebook pick', new Map([['then', 1e9]])]]);
    const { mails, mailsInAll, income } = look(sure, 10, 0.8);
    expect(mails.slice(0, 9).map(({ low, high }) => [low, high])).toEqual(
      [0, 5, 10, 0, 10, 0, 0, 10, 0].map((count) => [count, count]),
    );
    expect(mailsInAll.expected).toBeCloseTo(35, 5);
    expect(income).toEqual([]);
  });

  it('is the same each time for the same facts, and surer the more was measured', () => {
    const measured = (times: number): Measured =>
      measuredAs({
        'mail niche-ebook offer': {
          [STAYS]: 90 * times,
          [LEAVES]: times,
          [BUYS]: 8 * times,
          [BUYS_WITH_BUMP]: times,
        },
      });
    expect(look(measured(1), 2_000, 0.8)).toEqual(look(measured(1), 2_000, 0.8));
    const width = (times: number): number => {
      const { low = 0, high = 0 } = look(measured(times), 2_000, 0.8).income[0]?.amount ?? {};
      return high - low;
    };
    expect(width(100)).toBeLessThan(width(1) / 2);
    const wider = look(measured(1), 2_000, 0.95).income[0]?.amount;
    expect((wider?.high ?? 0) - (wider?.low ?? 0)).toBeGreaterThan(width(1));
  });

  const manyOf = (shares: Record<string, number>): Map<string, number> =>
    new Map(Object.entries(shares).map(([option, share]) => [option, share * 1e4]));

  /** Within three standard errors below what the band says; whole mails and purchases can only widen it. */
  it.each([
    [0.8, 60, 150, false],
    [0.8, 2_000, 400, false],
    [0.95, 500, 300, false],
    [0.8, 500, 300, true],
  ])(
    'covers the truth in at least %d of futures, with %i people and %i measured (with upsells: %s)',
    (level, people, history, withUpsells) => {
      const draws = new Draws(level * 1_000 + people);
      const trials = 120;
      const covered = { mails: 0, income: 0, day: 0 };
      const truth: Record<string, Record<string, number>> = {
        'mail niche-ebook story': { [STAYS]: 0.97, [LEAVES]: 0.03 },
        'mail niche-ebook nudge': { [STAYS]: 0.95, [LEAVES]: 0.05 },
        'mail niche-ebook deep-dive': { [STAYS]: 0.99, [LEAVES]: 0.01 },
        'mail niche-ebook offer': { [STAYS]: 0.88, [LEAVES]: 0.03, [BUYS]: 0.07, [BUYS_WITH_BUMP]: 0.02 },
        'way niche-ebook pick': { then: 0.3, else: 0.7 },
        'upsell course': { [CLOSES]: 0.1, [DECLINES]: 0.6, [TAKES]: 0.3 },
        'upsell mini': { [CLOSES]: 0.4, [DECLINES]: 0.4, [TAKES]: 0.2 },
      };
      const all = groups(
        new Map(Object.entries(truth).map(([name, shares]) => [name, manyOf(shares)])),
        people,
        withUpsells ? WITH_UPSELLS : undefined,
      );
      for (let trial = 0; trial < trials; trial++) {
        const measured = measuredAs(
          Object.fromEntries(
            Object.entries(truth).map(([name, shares]) => {
              const counts = draws.multinomial(history, Object.values(shares));
              return [
                name,
                Object.fromEntries(Object.keys(shares).map((option, at) => [option, counts[at] ?? 0])),
              ];
            }),
          ),
        );
        const seen = outlook(all, { measured, days: DAYS, dayOf, level, seed: trial });
        const real = { mails: 0, income: 0, day: 0 };
        for (const { count, paths } of all) {
          const shares = paths.map(({ choices }) =>
            choices.reduce(
              (product, { parting, option }) =>
                product * (truth[parting.name]?.[parting.options[option] ?? ''] ?? 0),
              1,
            ),
          );
          const sum = shares.reduce((a, b) => a + b, 0);
          const went = draws.multinomial(
            count,
            shares.map((share) => share / sum),
          );
          for (const [at, number] of went.entries()) {
            const { mails = [], income = [] } = paths[at] ?? {};
            real.mails += number * mails.length;
            real.day += number * mails.filter((mail) => dayOf(mail) === 7).length;
            real.income += number * income.reduce((total, { amountMinor }) => total + amountMinor, 0);
          }
        }
        const inside = (value: number, { low, high }: Band): number =>
          value >= low && value <= high ? 1 : 0;
        covered.mails += inside(real.mails, seen.mailsInAll);
        covered.income += inside(real.income, seen.income[0]?.amount ?? { expected: 0, low: 0, high: 0 });
        covered.day += inside(real.day, seen.mails[7] ?? { expected: 0, low: 0, high: 0 });
      }
      const least = level - 3 * Math.sqrt((level * (1 - level)) / trials);
      const lowest = Object.entries(covered).filter(([, count]) => count / trials <= least);
      expect(lowest).toEqual([]);
      // And is no wider than it need be.
      if (people >= 500)
        expect(covered.mails / trials).toBeLessThan(
          level + 3 * Math.sqrt((level * (1 - level)) / trials) + 0.02,
        );
    },
  );

  it('adds what is written already as certain', () => {
    const { inAll } = look(new Map(), 50, 0.8);
    const more = withWaiting(inAll, [3, 0, 4]);
    const moved = (one: Band, count: number): Band => ({
      ...{ expected: one.expected + count, low: one.low + count, high: one.high + count },
    });
    const none = { expected: 0, low: 0, high: 0 };
    expect(more.mails[0]).toEqual(moved(inAll.mails[0] ?? none, 3));
    expect(more.mails.slice(3)).toEqual(inAll.mails.slice(3));
    expect(more.mailsInAll).toEqual(moved(inAll.mailsInAll, 7));
    expect(more.income).toEqual(inAll.income);
  });

  it('puts few people of a step to the others of it whose time is near', () => {
    const stands = [
      stand('a', '2026-03-03T08:00:00Z', { count: 50 }),
      stand('a', '2026-03-08T08:00:00Z', { count: 40 }),
      stand('a', '2026-03-07T08:00:00Z', { count: 2 }),
      stand('b', '2026-03-07T08:00:00Z', { count: 1 }),
    ];
    expect(mergedStands(stands, 2).map(({ stepKey, count }) => [stepKey, count])).toEqual([
      ['a', 50],
      ['a', 42],
      ['b', 1],
    ]);
    expect(mergedStands(stands, 10)).toHaveLength(4);
  });
});

describe('newcomers', () => {
  const TODAY = Math.floor(NOW.getTime() / DAY_MS);
  const history = (perDay: (day: number) => number, days = 28): SignUpHistory => ({
    ...{ first: TODAY - days, end: TODAY },
    counts: new Map(
      Array.from({ length: days }, (_, place): [number, number] => [
        TODAY - days + place,
        perDay(TODAY - days + place),
      ]),
    ),
  });
  const entrance = (own: SignUpHistory): Entrance => ({
    ...{ version: 'niche-ebook', sequence: 'niche-ebook', history: own },
  });
  const look = (own: SignUpHistory, level = 0.8, seed = 1, days = DAYS) => {
    const asked = { ...question(new Map()), until: new Date((TODAY + days) * DAY_MS) };
    const arriving = arrivingAt([entrance(own)], asked);
    return outlook([], { measured: new Map(), days, dayOf, level, seed }, arriving);
  };
  const none = { expected: 0, low: 0, high: 0 };

  it('are none without history, of a sequence of today, or of one nobody signed up for', () => {
    for (const own of [history(() => 0), history(() => 5, 0)]) {
      const { newcomers, inAll } = look(own);
      expect(newcomers).toMatchObject({ people: none, mailsInAll: none, income: [] });
      expect(inAll.mailsInAll).toEqual(none);
    }
  });

  it('come at the rate they came at, today for what is left of it, and get the mails of the sequence from their day on', () => {
    const { newcomers, mailsInAll, inAll } = look(history(() => 20));
    // 29 days and the 15 hours that are left of today.
    expect(Math.abs(newcomers.people.expected / (20 * (29 + 15 / 24)) - 1)).toBeLessThan(0.02);
    expect(newcomers.mails[0]?.expected).toBeGreaterThan(10);
    // Both are Tuesdays: the first has nobody who came days ago.
    expect(newcomers.mails[22]?.expected).toBeGreaterThan((newcomers.mails[1]?.expected ?? 0) * 1.2);
    expect(newcomers.income[0]?.amount.expected).toBeGreaterThan(0);
    expect(mailsInAll).toEqual(none);
    expect(inAll).toEqual({ ...newcomers, people: undefined });
  });

  it('come by weekdays only where the data show that they differ', () => {
    const noise = new Draws(3);
    const even = history(() => noise.poisson(6));
    const monday = history((day) => noise.poisson((day + 3) % 7 === 0 ? 30 : 3));
    expect([hasWeekdays(even), hasWeekdays(monday)]).toEqual([false, true]);
    expect(hasWeekdays({ ...monday, first: TODAY - 27 })).toBe(false);
    const rates = drawRates(monday, new Draws(1)).perDay;
    expect(rates[0]).toBeGreaterThan(5 * Math.max(...rates.slice(1)) * 0.6);
    expect(new Set(drawRates(even, new Draws(1)).perDay).size).toBe(1);
  });

  it.each<[level: number, rate: number, bursts: boolean]>([
    [0.8, 0.4, false],
    [0.8, 5, false],
    [0.95, 40, false],
    [0.8, 10, true],
  ])(
    'lie in the band at least %d of the time, where %d a day come by chance (in bursts: %s)',
    (level, rate, bursts) => {
      const draws = new Draws(Math.round(level * 1_000 + rate));
      const trials = 150;
      let covered = 0;
      const day = (): number => draws.poisson(bursts ? (draws.gamma(2.5) * rate) / 2.5 : rate);
      for (let trial = 0; trial < trials; trial++) {
        const own = history(day);
        const futures = Array.from({ length: 120 }, () => {
          const rates = drawRates(own, draws);
          let sum = 0;
          for (let ahead = 0; ahead < 30; ahead++)
            sum += drawArrivals(rates, { day: TODAY + ahead, weight: 1 }, draws);
          return sum;
        }).toSorted((a, b) => a - b);
        const at = (share: number): number => futures[Math.round(share * 119)] ?? 0;
        const real = Array.from({ length: 30 }, day).reduce((a, b) => a + b, 0);
        if (real >= at((1 - level) / 2) && real <= at((1 + level) / 2)) covered++;
      }
      const error = 3 * Math.sqrt((level * (1 - level)) / trials);
      // Four weeks do not tell exactly how much they differ where people come in bursts.
      expect(covered / trials).toBeGreaterThan(level - error - (bursts ? 0.05 : 0));
      // And the band is no wider than it need be; with few people it is whole numbers that widen it.
      if (rate >= 5) expect(covered / trials).toBeLessThan(level + error + 0.03);
    },
  );
});
