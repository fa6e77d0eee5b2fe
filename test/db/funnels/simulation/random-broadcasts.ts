import { stringify } from 'yaml';
import type { Dice } from '../../../support/dice.js';
import { ZONES } from './random-people.js';

type Options = Record<string, unknown>;

const MINUTE_MS = 60_000;
/** Days before clocks change somewhere. */
const STARTS = [
  '2026-03-06',
  '2026-03-27',
  '2026-04-03',
  '2026-10-23',
  '2026-10-30',
  '2026-02-12',
  '2011-12-27',
];
/** Some of them are skipped, or come twice, where clocks change. */
const HOURS = ['01:30', '02:15', '02:30', '09:00', '18:30', '23:45'];
const ARMS = ['a', 'b', 'c', 'd'];

/** A funnel with a shop, whose readers get broadcasts that have every option. Not every one is free of contradictions. */
export function randomBroadcasts(dice: Dice): {
  start: string;
  days: number;
  text: string;
  personas: string;
} {
  const start = `${dice.pick(STARTS)}T${String(dice.whole(0, 23)).padStart(2, '0')}:${dice.whole(10, 59)}:00Z`;
  const text = stringify({
    ...{ funnel: 'shop', title: 'Shop' },
    sender: { name: 'Ada', email: 'ada@example.com', postalAddress: '1 Main St' },
    form: { slug: 'shop', headline: 'Get it', consent: 'Send it to me', optIn: 'single' },
    sequence: {
      ...maybe(dice, 0.3, { priority: dice.pick([3, 5, 7]) }),
      steps: [
        { key: 'hello', email: 'emails/story' },
        { key: 'later', email: 'emails/story', delay: '2 days', ...maybe(dice, 0.5, { at: '09:00' }) },
      ],
    },
    products: [{ key: 'kit', name: 'Kit', price: '49.00 EUR' }],
    offers: [{ key: 'kit', product: 'kit' }],
  });
  const broadcasts = new BroadcastMaker(dice, start).all();
  const cap = dice.chance(0.3) ? { frequencyCap: dice.pick([{ perDay: 1 }, { perWeek: 2 }]) } : {};
  const personas = stringify({
    ...{ seed: dice.whole(1, 1_000), ...cap, segments: { clickers: { clicked: { broadcast: 'one' } } } },
    ...{ broadcasts, owner: ownerActs(dice, broadcasts, start), personas: readers(dice) },
  });
  return { start, days: 9, text, personas };
}

class BroadcastMaker {
  constructor(
    private readonly dice: Dice,
    private readonly start: string,
  ) {}

  all(): Options[] {
    const { dice } = this;
    const one = {
      ...{ key: 'one', email: 'emails/story', subject: 'One' },
      ...this.tested(dice.whole(1_500, 2_500)),
    };
    const two = {
      ...{ key: 'two', email: 'emails/story', subject: 'Two' },
      ...(dice.chance(0.5) ? this.tested(dice.whole(3_000, 5_000)) : this.plain(dice.whole(3_000, 5_000))),
      ...maybe(dice, 0.5, { segments: { none: ['clickers'] } }),
    };
    const again = {
      ...{ key: 'again', email: 'emails/story', subject: 'Once more', resendOf: 'one' },
      ...this.plain(dice.whole(6_500, 9_000), true),
      unless: dice.pick(['opened', 'clicked']),
    };
    return dice.pick([[one], [one, two], [one, two, again], [one, again]]);
  }

  private at(minutes: number): string {
    return new Date(Date.parse(this.start) + minutes * MINUTE_MS).toISOString();
  }

  private plain(minutes: number, isAgain = false): Options {
    const { dice } = this;
    const more = {
      ...maybe(dice, 0.3, { priority: dice.whole(1, 9) }),
      ...maybe(dice, 0.4, { spreadMinutes: dice.whole(10, 1_500) }),
      ...maybe(dice, 0.2, { expiresAt: this.at(minutes + 4_000) }),
      ...(isAgain ? {} : maybe(dice, 0.3, { offer: this.offer(minutes) })),
    };
    if (dice.chance(0.4)) return { at: this.at(minutes), ...more };
    return { ...this.local(minutes, isAgain), ...more, ifPassed: dice.pick(['nextDay', 'send', 'skip']) };
  }

  /** At a price of its own, or as it is sold. */
  private offer(minutes: number): Options {
    const { dice } = this;
    const own = { discount: dice.pick(['20%', '50%']), until: this.at(minutes + dice.whole(4_500, 9_000)) };
    return { key: 'kit', ...(dice.chance(0.7) ? own : {}) };
  }

  private local(minutes: number, isAgain = false): Options {
    const { dice } = this;
    const whose = dice.chance(0.3) ? { timezone: dice.pick(ZONES) } : { fallbackZone: dice.pick(ZONES) };
    // Before the first clock shows it, or when some are past it.
    const startedAt = this.at(minutes + dice.whole(isAgain ? 0 : -900, 600));
    return { atLocal: `${this.at(minutes).slice(0, 11)}${dice.pick(HOURS)}`, ...whose, startedAt };
  }

  /** With a split test: arms that have hours go at them, so nothing else says when. */
  private tested(minutes: number): Options {
    const { dice } = this;
    const hasHours = dice.chance(0.5);
    const hasDelays = !hasHours && dice.chance(0.4);
    const arms = ARMS.slice(0, dice.whole(2, 4)).map((key, place) => ({
      ...(place > 0 && (!hasHours || dice.chance(0.6)) ? { subject: `Arm ${key}` } : {}),
      ...(hasHours && dice.chance(0.7) ? { at: dice.pick(HOURS) } : {}),
      ...(hasDelays && dice.chance(0.6) ? { delayMinutes: dice.whole(5, 1_500) } : {}),
      ...(place > 0 ? maybe(dice, 0.3, { offer: this.offer(minutes) }) : {}),
    }));
    const judge = dice.pick(['clicks', 'revenue']);
    const split = {
      ...{ arms, judge, testPercent: dice.pick([40, 60, 80]), waitMinutes: dice.whole(5, 900) },
      ...(judge === 'revenue'
        ? { revenueCap: { amountMinor: dice.pick([3_000, 9_000]), currency: 'EUR' } }
        : {}),
      ...maybe(dice, 0.5, { holdout: dice.pick(['10%', '19%']) }),
      ...maybe(dice, 0.5, { alpha: dice.pick([0.001, 0.2]) }),
      ...maybe(dice, 0.6, {
        guardRails: dice.pick([{ unsubscribes: '1%' }, { unsubscribes: '3%', complaints: '1%' }]),
      }),
    };
    const when = hasHours
      ? { ...this.local(minutes), ...maybe(dice, 0.3, { ifPassed: 'nextDay' }) }
      : { ...this.plain(minutes), ...maybe(dice, 0.4, { spreadMinutes: dice.whole(30, 600) }) };
    return { ...when, ...maybe(dice, 0.3, { offer: this.offer(minutes) }), split };
  }
}

/** What does not fit a broadcast's state is refused: then the scenario is no good. */
function ownerActs(dice: Dice, broadcasts: readonly Options[], start: string): Options[] {
  if (dice.chance(0.4)) return [];
  const key = dice.pick(broadcasts)['key'];
  let minutes = dice.whole(1_600, 5_000);
  const at = (): Options => ({ at: new Date(Date.parse(start) + minutes * MINUTE_MS).toISOString() });
  const acts: Options[] = [];
  for (let count = dice.whole(1, 2); count > 0; count--) {
    acts.push({ pauses: key, ...at() });
    minutes += dice.whole(10, 2_500);
    acts.push({ resumes: key, ...at() });
    minutes += dice.whole(10, 900);
  }
  return dice.chance(0.15) ? [...acts, { cancels: key, ...at() }] : acts;
}

function readers(dice: Dice): Options[] {
  const soon = (): Options => ({
    after: `1 minute to ${dice.whole(1, 40)} hours`,
    chance: dice.pick(['100%', '60%']),
  });
  const action = (): Options => {
    const [about, arm] = dice.pick<[string, Options]>([
      ['every broadcast', {}],
      ['broadcast one', { arm: dice.pick(ARMS) }],
    ]);
    return dice.pick<() => Options>([
      () => ({ clicks: about, ...arm, ...soon() }),
      () => ({ clicks: about, ...arm, ...soon() }),
      () => ({ opens: about, ...arm, ...soon() }),
      () => ({
        buys: 'kit',
        afterMail: about,
        ...arm,
        ...soon(),
        ...maybe(dice, 0.4, { refundsAfter: '3 hours' }),
      }),
      () => ({ unsubscribes: true, afterMail: about, ...arm, ...soon() }),
      () => ({
        unsubscribes: true,
        afterMail: 'broadcast one',
        arm: dice.pick(['b', 'c']),
        after: '1 minute',
      }),
      () => ({ pauses: '7 days', after: `${dice.whole(1, 6_000)} minutes` }),
    ])();
  };
  // What most of them like wins now and then, few as they are.
  const liked = { clicks: 'broadcast one', arm: dice.pick(ARMS.slice(0, 2)), after: '9 minutes' };
  const isLiked = dice.chance(0.5);
  return Array.from({ length: 3 }, (_, index) => ({
    ...{ name: `p${index + 1}`, count: dice.whole(5, 10), joins: '0 minutes to 1 day' },
    ...maybe(dice, 0.8, { timeZone: [dice.pick(ZONES), dice.pick(ZONES), dice.pick(ZONES)] }),
    ...maybe(dice, 0.1, { trackingConsent: false }),
    does: [...(isLiked ? [liked] : []), ...Array.from({ length: dice.whole(1, 3) }, action)],
  }));
}

function maybe(dice: Dice, probability: number, options: Options): Options {
  return dice.chance(probability) ? options : {};
}
