import { stringify } from 'yaml';
import type { Dice } from '../../../support/dice.js';

type Options = Record<string, unknown>;

/** Clocks that change by an hour, by half an hour, by two, at midnight, for a month of fasting, by a whole day, and none. */
export const ZONES = [
  'Europe/Berlin',
  'America/New_York',
  'Australia/Lord_Howe',
  'Antarctica/Troll',
  'America/Santiago',
  'Asia/Kolkata',
  'Pacific/Auckland',
  'Africa/Casablanca',
  'Pacific/Apia',
];
export const TAGS = ['hot', 'cold', 'vip'];
export const EVENTS = ['webinar', 'call'];
const FIELDS = ['trialEnd', 'level'];

/** What people may do something about. */
export interface About {
  mails: readonly string[];
  mayBeSent: boolean;
  /** Funnels that show something after their kit. */
  upsells: readonly string[];
  start: string;
}

/** As YAML. */
export function personas(dice: Dice, about: About): string {
  const { start, mayBeSent } = about;
  const people = Array.from({ length: 6 }, (_, index) => ({
    name: `p${index + 1}`,
    ...(dice.chance(0.8) ? { timeZone: dice.pick(ZONES) } : {}),
    tags: TAGS.filter(() => dice.chance(0.2)),
    lists: ['news', 'shop'].filter(() => dice.chance(0.3)),
    ...(dice.chance(0.4)
      ? { displayName: dice.pick(['Ada Lovelace', 'bo']), locale: dice.pick(['de', 'en-GB']) }
      : {}),
    ...(dice.chance(0.3) ? { email: `Reader.${index}@Example.org` } : {}),
    // The run knows everybody beforehand, and without a mail that asks nobody is sent whom we know.
    ...(mayBeSent && dice.chance(0.4) ? { affiliate: dice.pick(['ada', 'bo']) } : {}),
    ...(dice.chance(0.2) ? { isAffiliate: true } : {}),
    fields: dice.chance(0.6) ? { trialEnd: dayAfter(start, dice.whole(0, 15)), level: dice.whole(1, 5) } : {},
    joins: `${dice.whole(0, 4_000)} minutes`,
    ...(dice.chance(0.1) ? { signsUp: false } : {}),
    ...(dice.chance(0.1) ? { trackingConsent: false } : {}),
    ...(dice.chance(0.1) ? { confirms: 'never' } : { confirms: `${dice.whole(1, 300)} minutes` }),
    does: Array.from({ length: dice.whole(0, 6) }, () => action(dice, about)),
  }));
  const cap = dice.chance(0.25)
    ? { frequencyCap: dice.pick([{ perDay: 1 }, { perWeek: 2 }, { perDay: 1, perWeek: 3 }]) }
    : {};
  const broadcasts = broadcastsFor(dice, about);
  const owner = ownerActs(dice, broadcasts, start);
  return stringify({
    seed: dice.whole(1, 1_000),
    ...cap,
    segments: SEGMENTS,
    broadcasts,
    owner,
    personas: people,
  });
}

/** One of each sort of question whose answer changes in the course of a scenario. */
const SEGMENTS = {
  tagged: { any: [{ tag: 'hot' }, { tag: 'vip' }] },
  readers: { any: [{ clicked: { withinDays: 4 } }, { opened: { broadcast: 'news-1' } }] },
  buyers: { purchased: { product: 'main-kit' } },
  sometime: {
    any: [{ field: 'trialEnd', op: 'withinDays', value: 9 }, { sequence: { key: 'main', is: 'completed' } }],
  },
  known: {
    any: [
      { list: 'news' },
      { all: [{ field: 'name', op: 'startsWith', value: 'ada' }, { not: { list: 'shop' } }] },
      { field: 'emailDomain', op: 'is', value: 'example.org' },
      { field: 'locale', op: 'oneOf', value: ['de'] },
    ],
  },
  young: {
    any: [{ confirmed: { withinDays: 2 } }, { not: { received: { funnel: 'main' } } }, { affiliate: 'ada' }],
  },
};

/** What does not fit the broadcast’s state is refused: then the scenario is no good. */
function ownerActs(dice: Dice, broadcasts: Options[], start: string): Options[] {
  if (broadcasts.length === 0 || dice.chance(0.5)) return [];
  const { key } = dice.pick(broadcasts);
  const at = (minutes: number): Options => ({
    at: new Date(Date.parse(start) + minutes * 60_000).toISOString(),
  });
  const [paused, gap] = [dice.whole(900, 14_000), dice.whole(10, 4_000)];
  const ends = dice.pick([
    [],
    [{ resumes: key, ...at(paused + gap) }],
    [{ cancels: key, ...at(paused + gap) }],
  ]);
  return dice.chance(0.2) ? [{ cancels: key, ...at(paused) }] : [{ pauses: key, ...at(paused) }, ...ends];
}

function broadcastsFor(dice: Dice, { start }: About): Options[] {
  const at = (minutes: number): string => new Date(Date.parse(start) + minutes * 60_000).toISOString();
  const [first, gap] = [dice.whole(1_000, 12_000), dice.whole(1_500, 7_000)];
  const tags = (): Options => ({
    tags: { [dice.pick(['any', 'all', 'none'])]: TAGS.filter(() => dice.chance(0.4)).concat('vip') },
  });
  const segments = (): Options => {
    const keys = Object.keys(SEGMENTS).filter(() => dice.chance(0.6));
    const none = Object.keys(SEGMENTS).filter((key) => !keys.includes(key) && dice.chance(0.3));
    return {
      segments: { ...(keys.length > 0 ? { any: keys } : {}), none: none.length > 0 ? none : ['buyers'] },
    };
  };
  const spread = (): Options => (dice.chance(0.4) ? { spreadMinutes: dice.whole(10, 1_500) } : {});
  // Everybody's clock shows it on another day of the change; who is past it has it as is said.
  const when = (minutes: number): Options =>
    dice.chance(0.5)
      ? { at: at(minutes), ...spread() }
      : {
          atLocal: `${at(minutes).slice(0, 11)}${dice.pick(['01:30', '02:15', '02:30', '09:00', '23:45'])}`,
          startedAt: at(minutes - dice.whole(-600, 900)),
          fallbackZone: dice.pick(ZONES),
          ifPassed: dice.pick(['nextDay', 'send', 'skip']),
          ...spread(),
        };
  const split = (): Options => ({
    split: {
      arms: [{}, { subject: 'Other news' }],
      testPercent: 60,
      waitMinutes: dice.whole(5, 900),
      judge: 'clicks',
    },
  });
  const one: Options = {
    ...{ key: 'news-1', email: 'emails/story', subject: 'News', ...when(first) },
    ...(dice.chance(0.3) ? tags() : {}),
  };
  if (one['ifPassed'] !== 'skip' && dice.chance(0.4)) Object.assign(one, split());
  const two = {
    ...{ key: 'news-2', email: 'emails/story', ...when(first + gap) },
    ...dice.pick<() => Options>([tags, segments, segments, () => ({ funnel: 'side' })])(),
  };
  const again = {
    ...{ key: 'again', email: 'emails/story', subject: 'Once more', resendOf: 'news-1' },
    ...{ at: at(first + 6_000 + dice.whole(0, 3_000)), unless: dice.pick(['opened', 'clicked']) },
  };
  return [one, two, again].slice(0, dice.pick([0, 1, 2, 3, 3]));
}

function action(dice: Dice, { mails, upsells, start }: About): Options {
  const after = { after: `${dice.whole(1, 14_000)} minutes` };
  const soon = { after: `1 minute to ${dice.whole(2, 90)} hours`, chance: dice.pick(['100%', '70%']) };
  const mail = mails.length > 0 ? dice.pick([...mails, 'every mail']) : 'every mail';
  return dice.pick<() => Options>([
    () => ({ opens: mail, ...soon }),
    () => ({ clicks: mail, ...soon }),
    () => ({ clicks: 'every mail', ...soon }),
    () => ({ [dice.pick(['opens', 'clicks'])]: 'every broadcast', ...soon }),
    () => ({
      buys: dice.pick(['main-kit', 'side-kit']),
      withBump: dice.chance(0.4),
      ...after,
      ...refunds(dice),
    }),
    () => ({
      buys: 'main-kit',
      afterMail: mail,
      ...soon,
      ...answers(dice, 'main', upsells),
      ...refunds(dice),
    }),
    () => ({ buys: 'side-kit', ...after, ...answers(dice, 'side', upsells) }),
    () => ({
      event: dice.pick(EVENTS),
      ...(dice.chance(0.5) ? { key: `k${dice.whole(1, 3)}` } : {}),
      ...after,
    }),
    () => ({ event: 'webinar', afterMail: mail, ...soon }),
    () => ({ tag: dice.pick(TAGS), ...after }),
    () => ({ untag: dice.pick(TAGS), ...after }),
    () => ({ [dice.pick(['list', 'unlist'])]: dice.pick(['news', 'shop']), ...after }),
    () => ({ pauses: '7 days', ...after }),
    () => ({ pauses: '7 days', ...after }),
    () => ({ resumes: true, ...after }),
    () => ({ becomesAffiliate: true, ...after }),
    () => ({
      set: { [dice.pick(FIELDS)]: dice.chance(0.3) ? null : dayAfter(start, dice.whole(2, 15)) },
      ...after,
    }),
    () => ({ unsubscribes: true, after: `${dice.whole(4_000, 25_000)} minutes` }),
  ])();
}

function refunds(dice: Dice): Options {
  if (dice.chance(0.6)) return {};
  const part = dice.pick([
    {},
    { refunds: '10.01 EUR' },
    { refunds: ['main-kit', 'side-kit'] },
    { refunds: ['main-list', 'side-kit'] },
  ]);
  return { refundsAfter: `${dice.whole(5, 7_000)} minutes`, ...part };
}

function answers(dice: Dice, key: string, upsells: readonly string[]): Options {
  if (!upsells.includes(key)) return {};
  const chance = (): Options => ({
    chance: dice.pick(['100%', '60%']),
    after: dice.pick(['0 minutes', '59 minutes']),
  });
  return {
    answers: [
      { takes: `${key}-more`, ...chance() },
      { declines: `${key}-more`, ...chance() },
    ],
  };
}

export function dayAfter(start: string, days: number): string {
  return new Date(Date.parse(start) + days * 86_400_000).toISOString().slice(0, 10);
}
