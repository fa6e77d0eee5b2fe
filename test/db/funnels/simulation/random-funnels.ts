import { stringify } from 'yaml';
import type { Dice } from '../../../support/dice.js';
import { dayAfter, EVENTS, personas, TAGS, ZONES } from './random-people.js';

export interface Scenario {
  start: string;
  days: number;
  /** As YAML; people sign up with the first. */
  funnels: [string, string];
  personas: string;
}

type Options = Record<string, unknown>;

/** Days before clocks change somewhere. */
const STARTS = [
  '2026-03-04',
  '2026-03-25',
  '2026-04-01',
  '2026-10-21',
  '2026-10-28',
  '2026-09-02',
  '2026-09-23',
  // Casablanca's month of fasting begins and ends; Apia leaves out a day.
  '2026-02-12',
  '2026-03-19',
  '2011-12-27',
];
/** What a step of the kind may come to, beside running and being skipped. */
const OUTCOMES: Readonly<Record<string, string[]>> = {
  if: ['then', 'else'],
  switch: ['case 1', 'case 2', 'else'],
  goal: ['reached', 'not reached'],
};
const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];

/** Two funnels with every kind of step, and people who do all there is to do. Not every one is free of contradictions. */
export function randomScenario(dice: Dice): Scenario {
  const start = `${dice.pick(STARTS)}T${two(dice.whole(0, 23))}:${two(dice.whole(0, 59))}:00Z`;
  const main = new FunnelMaker(dice, { key: 'main', other: 'side', start, read: [], drawn: [] });
  const side = new FunnelMaker(dice, {
    key: 'side',
    other: null,
    start,
    read: main.mails,
    drawn: main.drawn,
  });
  const funnels: [string, string] = [main.text(6), side.text(3)];
  const mails = [...main.mails, ...side.mails];
  const upsells = ['main', 'side'].filter(
    (key, index) => funnels[index]?.includes(`upsell: ${key}-more`) === true,
  );
  return {
    start,
    days: 21,
    funnels,
    personas: personas(dice, { mails, upsells, start, mayBeSent: funnels[0].includes('optIn: double') }),
  };
}

class FunnelMaker {
  /** Steps that send a mail, so far. */
  readonly mails: string[] = [];
  readonly #steps: { step: string; outcomes: string[] }[] = [];
  /** Split tests of mails and of paths so far, by arm. */
  readonly drawn: { split: string; arm: string }[] = [];
  #count = 0;
  /** How many arms of splits are around what is made just now: goals and waits for a date have no place there. */
  #arms = 0;

  constructor(
    private readonly dice: Dice,
    private readonly about: {
      key: string;
      other: string | null;
      start: string;
      /** Mails of the first funnel, by which people may come into the second. */
      read: readonly string[];
      /** Its arms, which the second may ask about. */
      drawn: readonly { split: string; arm: string }[];
    },
  ) {}

  text(length: number): string {
    const { key } = this.about;
    const steps = this.steps(length, 2);
    return stringify({
      funnel: key,
      title: `Funnel ${key}`,
      sender: { name: 'Ada', email: 'ada@example.com', postalAddress: '1 Main St' },
      fields: { level: 'number', trialEnd: 'date' },
      form: {
        slug: key,
        headline: 'Get it',
        consent: 'Send it to me',
        optIn: this.dice.pick(['double', 'single']),
      },
      sequence: { ...this.frame(), steps },
      products: [
        { key: `${key}-kit`, name: 'Kit', price: '49.00 EUR' },
        { key: `${key}-list`, name: 'List', price: '9.00 EUR' },
        { key: `${key}-more`, name: 'More', price: '99.95 EUR' },
      ],
      offers: this.offers(),
      ...this.maybe(0.6, 'affiliates', () => ({
        commission: '33%',
        cookie: this.dice.pick(['3 days', '60 days']),
      })),
    });
  }

  /** With something more to buy after the kit, or in place of it. */
  private offers(): Options[] {
    const { dice } = this;
    const { key } = this.about;
    const kit = { key: `${key}-kit`, product: `${key}-kit`, discount: '30%', bump: `${key}-list` };
    if (dice.chance(0.4)) return [kit];
    const more = { key: `${key}-more`, product: `${key}-more` };
    const mini = { key: `${key}-mini`, product: `${key}-list`, discount: '50%' };
    return [
      { ...kit, upsell: more.key, ...this.maybe(0.7, 'downsell', () => mini.key) },
      { ...more, ...this.maybe(0.5, 'upsell', () => mini.key) },
      mini,
    ];
  }

  private frame(): Options {
    const { dice } = this;
    const exits = [
      ...[
        { purchased: `${this.about.key}-kit` },
        ...[{ tag: 'cold' }, { untagged: dice.pick(TAGS) }, { unlisted: 'news' }],
        { event: 'call' },
        { field: 'level', over: 4 },
        { affiliate: dice.pick(['bo', 'self']) },
      ],
      ...(this.mails.length > 0 ? [{ clicked: dice.pick(this.mails) }] : []),
    ];
    return {
      ...this.maybe(0.4, 'window', () => this.window()),
      ...this.maybe(0.3, 'quietHours', () => ({ from: '21:30', to: '07:15' })),
      ...this.maybe(0.3, 'fallbackTimezone', () => dice.pick(ZONES)),
      ...this.maybe(0.3, 'priority', () => dice.whole(1, 9)),
      ...this.maybe(0.5, 'exitOn', () => exits.filter(() => dice.chance(0.35))),
      ...this.maybe(0.4, 'reentry', () => dice.pick(['always', 'after 3 days', 'per event', 'never'])),
      ...this.maybe(this.about.other === null ? 0.7 : 0.2, 'enterOn', () => [
        dice.pick<Options>([
          { tag: 'hot' },
          { event: 'webinar' },
          { purchased: `${this.about.key}-kit` },
          ...[{ tag: 'vip' }, { untagged: 'vip' }, { list: 'shop' }, { refunded: `${this.about.key}-kit` }],
          { field: 'level', over: 3 },
          { affiliate: dice.pick(['any', 'ada', 'self']) },
          ...this.about.read.flatMap((step) => [
            { clicked: step, sequence: 'main' },
            { opened: step, sequence: 'main' },
          ]),
        ]),
      ]),
    };
  }

  private steps(length: number, depth: number): Options[] {
    return Array.from({ length }, (_, place) => this.step(depth, place === length - 1));
  }

  private step(depth: number, isLast: boolean): Options {
    const { dice } = this;
    const key = `s${++this.#count}`;
    const kinds = [
      'email',
      'email',
      'email',
      'offer',
      'wait',
      'tag',
      'untag',
      'set',
      ...(this.#arms > 0 ? [] : ['goal']),
      'notify',
      'webhook',
    ];
    const kind = dice.pick([
      ...kinds,
      ...(depth > 0 ? ['if', 'if', 'switch', 'split', 'split'] : []),
      ...(isLast ? ['end', ...(this.about.other === null ? [] : ['move', 'move'])] : []),
    ]);
    const made: Options = { key, ...this.ofKind(kind, depth) };
    this.#steps.push({ step: key, outcomes: ['ran', 'skipped', ...(OUTCOMES[kind] ?? [])] });
    const test = made['split'] as { arms: { key: string }[]; holdout?: string } | undefined;
    const arms = [...(test?.arms ?? []), ...(test?.holdout === undefined ? [] : [{ key: 'holdout' }])];
    this.drawn.push(...arms.map(({ key: arm }) => ({ split: key, arm })));
    if (kind === 'email' || kind === 'offer') this.mails.push(key);
    return made;
  }

  private ofKind(kind: string, depth: number): Options {
    const { dice } = this;
    const ways = (): Options[] => this.steps(dice.whole(0, 2), depth - 1);
    switch (kind) {
      case 'email':
        return { email: 'emails/story', ...this.timing(), ...this.maybe(0.2, 'split', () => this.split()) };
      case 'offer':
        return {
          ...{ offer: `${this.about.key}-kit`, email: 'emails/offer', ...this.timing() },
          ...this.maybe(0.7, 'deadline', () => dice.pick(['36 hours', '2 days', '1 week'])),
          ...this.maybe(0.4, 'toOwners', () => dice.pick(['send', 'send', 'skip'])),
        };
      case 'wait':
        return dice.chance(0.5)
          ? { wait: dice.pick(['90 minutes', '1 day', '30 hours']) }
          : { wait: true, at: dice.pick(['02:30', '09:30', '23:45']) };
      case 'tag':
        return { tag: dice.chance(0.3) ? ['vip', 'hot'] : dice.pick(TAGS), ...this.timing(0.3) };
      case 'untag':
        return { untag: dice.pick(TAGS), ...this.timing(0.3) };
      case 'set':
        return {
          set: dice.chance(0.5) ? { level: dice.whole(1, 5) } : { trialEnd: this.day(), level: null },
        };
      case 'goal':
        return {
          goal: dice.pick([
            ...[
              { purchased: `${this.about.key}-kit` },
              { tag: 'vip' },
              { event: 'webinar' },
              { field: 'level', is: 2 },
              { affiliate: dice.pick(['any', 'self']) },
            ],
            ...this.mails.map((step) => (dice.chance(0.5) ? { clicked: step } : { opened: step })),
          ]),
          otherwise: dice.pick(['continue', 'end']),
        };
      case 'notify':
        return { notify: 'Look here', ...this.timing(0.3) };
      case 'webhook':
        return { webhook: 'https://hooks.example.com/in', ...this.timing(0.3) };
      case 'end':
        return { end: true, ...this.timing(0.3) };
      case 'move':
        return { move: this.about.other, ...this.timing(0.3) };
      case 'if':
        return {
          if: this.timed((waits) => this.condition(1, waits)),
          then: ways(),
          else: ways(),
        };
      case 'split':
        return { split: this.paths(depth) };
      default:
        return {
          ...this.timed((waits) => ({
            switch: [
              { if: this.condition(1, waits), then: ways() },
              { if: this.condition(1, waits), then: ways() },
            ],
          })),
          else: ways(),
        };
    }
  }

  private paths(depth: number): Options {
    const { dice } = this;
    this.#arms++;
    const arms = Array.from({ length: dice.whole(2, 3) }, (_, arm) => ({
      key: `a${arm + 1}`,
      ...this.maybe(0.5, 'weight', () => dice.whole(1, 3)),
      steps: this.steps(dice.whole(arm === 0 ? 0 : 1, 3), depth - 1),
    }));
    this.#arms--;
    return { judge: 'revenue', arms, ...this.maybe(0.4, 'holdout', () => '30%') };
  }

  private split(): Options {
    const { dice } = this;
    const other = dice.pick<() => Options>([
      () => ({ delay: this.delay() }),
      () => ({ subject: 'Another subject' }),
      () => ({ subject: 'Later', delay: this.delay(), at: '09:30' }),
    ])();
    return {
      judge: 'clicks',
      arms: [{ key: 'a' }, { key: 'b', weight: dice.whole(1, 3), ...other }],
      ...this.maybe(0.4, 'holdout', () => '30%'),
    };
  }

  /** Only where people wait has something come since they do. */
  private timed(ask: (waits: boolean) => Options): Options {
    const within = this.maybe(0.6, 'within', () => this.delay());
    return { ...ask('within' in within), ...within };
  }

  private condition(depth: number, waits: boolean): Options {
    const { dice } = this;
    const { drawn } = this.about;
    const leaves: (() => Options)[] = [
      () => ({ tag: dice.pick(TAGS) }),
      () => ({ event: dice.pick(EVENTS), ...(waits ? this.maybe(0.6, 'since', () => 'step') : {}) }),
      () => ({ purchased: `${this.about.key}-kit` }),
      () => ({ affiliate: dice.pick(['any', 'none', 'self', 'ada', 'bo']) }),
      () =>
        dice.pick([
          { field: 'level', over: 2 },
          { field: 'level', is: 3 },
          { field: 'trialEnd', exists: true },
          { field: 'level', atLeast: 3 },
          { field: 'trialEnd', after: this.day() },
          { field: 'trialEnd', inNextDays: 5 },
          { field: 'trialEnd', withinDays: 5 },
          { field: 'locale', oneOf: ['de', 'fr'] },
          { field: 'email', startsWith: 'reader' },
        ]),
      ...(this.mails.length > 0
        ? ['clicked', 'clicked', 'opened'].map((kind) => () => ({ [kind]: dice.pick(this.mails) }))
        : []),
      ...(this.#steps.length > 0
        ? [
            () => {
              const { step, outcomes } = dice.pick(this.#steps);
              return { step, was: dice.pick(outcomes) };
            },
          ]
        : []),
      ...(this.drawn.length > 0
        ? [() => ({ ...dice.pick(this.drawn) }), () => ({ ...dice.pick(this.drawn) })]
        : []),
    ];
    if (drawn.length > 0) leaves.push(() => ({ ...dice.pick([...drawn]), sequence: 'main' }));
    const kind = depth > 0 ? dice.pick(['leaf', 'leaf', 'leaf', 'all', 'any', 'not']) : 'leaf';
    if (kind === 'not') return { not: this.condition(0, waits) };
    if (kind === 'leaf') return dice.pick(leaves)();
    return { [kind]: [this.condition(0, waits), this.condition(0, waits)] };
  }

  private timing(probability = 0.8): Options {
    const { dice } = this;
    if (!dice.chance(probability)) return {};
    const when = dice.pick<() => Options>([
      () => ({ delay: this.delay() }),
      () => ({ delay: this.delay() }),
      () => ({ delay: dice.pick(['1 day', '2 days', '1 week']), at: dice.pick(['02:30', '09:30', '18:00']) }),
      ...(this.#arms > 0
        ? []
        : [
            () => ({ until: dice.pick([this.day(), `${this.day()} 02:15`, `${this.day()}T08:20:00Z`]) }),
            () => ({
              until: {
                field: 'trialEnd',
                ...this.maybe(0.6, dice.pick(['plus', 'minus']), () => this.delay()),
              },
            }),
          ]),
    ])();
    return {
      ...when,
      ...this.maybe(0.2, 'onDays', () =>
        DAYS.filter(() => dice.chance(0.6))
          .concat('wed')
          .filter(first),
      ),
      ...this.maybe(0.2, 'window', () => this.window()),
      ...this.maybe(0.15, 'quietHours', () => ({ from: '01:00', to: '05:30' })),
      ...this.maybe(0.25, 'expires', () =>
        dice.pick([this.day(), `${this.day()} 09:30`, `${this.day()}T12:00:00Z`]),
      ),
    };
  }

  private delay(): string {
    return this.dice.pick(['45 minutes', '5 hours', '23 hours', '1 day', '2 days', '3 days', '1 week']);
  }

  private window(): Options {
    return this.dice.pick([
      { days: ['mon', 'tue', 'wed', 'thu', 'fri'], from: '08:00', to: '19:00' },
      { days: ['sat', 'sun', 'wed'], from: '01:30', to: '10:00' },
      { days: DAYS, from: '22:00', to: '03:00' },
    ]);
  }

  /** Within the simulation or shortly before it. */
  private day(): string {
    return dayAfter(this.about.start, this.dice.whole(-2, 18));
  }

  private maybe(probability: number, name: string, value: () => unknown): Options {
    return this.dice.chance(probability) ? { [name]: value() } : {};
  }
}

function first<T>(value: T, index: number, all: readonly T[]): boolean {
  return all.indexOf(value) === index;
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}
