import { stringify } from 'yaml';
import type { Dice } from '../../support/dice.js';

type Options = Record<string, unknown>;

/** Clocks that change by an hour, by half an hour, by two, at midnight, and none. */
export const ZONES = [
  'Europe/Berlin',
  'America/New_York',
  'Australia/Lord_Howe',
  'Antarctica/Troll',
  'America/Santiago',
  'Asia/Kolkata',
  'Pacific/Auckland',
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
    // The run knows everybody beforehand, and without a mail that asks nobody is sent whom we know.
    ...(mayBeSent && dice.chance(0.4) ? { affiliate: dice.pick(['ada', 'bo']) } : {}),
    ...(dice.chance(0.2) ? { isAffiliate: true } : {}),
    fields: dice.chance(0.6) ? { trialEnd: dayAfter(start, dice.whole(0, 15)), level: dice.whole(1, 5) } : {},
    joins: `${dice.whole(0, 4_000)} minutes`,
    ...(dice.chance(0.1) ? { signsUp: false } : {}),
    ...(dice.chance(0.1) ? { confirms: 'never' } : { confirms: `${dice.whole(1, 300)} minutes` }),
    does: Array.from({ length: dice.whole(0, 6) }, () => action(dice, about)),
  }));
  const cap = dice.chance(0.25)
    ? { frequencyCap: dice.pick([{ perDay: 1 }, { perWeek: 2 }, { perDay: 1, perWeek: 3 }]) }
    : {};
  const broadcasts = Array.from({ length: dice.whole(0, 2) }, (_, index) => ({
    ...{ key: `news-${index + 1}`, email: 'emails/story' },
    at: new Date(Date.parse(start) + dice.whole(1_000, 20_000) * 60_000).toISOString(),
    ...(dice.chance(0.5)
      ? { tags: { [dice.pick(['any', 'all', 'none'])]: TAGS.filter(() => dice.chance(0.4)).concat('vip') } }
      : {}),
  }));
  return stringify({ seed: dice.whole(1, 1_000), ...cap, broadcasts, personas: people });
}

function action(dice: Dice, { mails, upsells, start }: About): Options {
  const after = { after: `${dice.whole(1, 14_000)} minutes` };
  const soon = { after: `1 minute to ${dice.whole(2, 90)} hours`, chance: dice.pick(['100%', '70%']) };
  const mail = mails.length > 0 ? dice.pick([...mails, 'every mail']) : 'every mail';
  return dice.pick<() => Options>([
    () => ({ opens: mail, ...soon }),
    () => ({ clicks: mail, ...soon }),
    () => ({ clicks: 'every mail', ...soon }),
    () => ({ buys: dice.pick(['main-kit', 'side-kit']), withBump: dice.chance(0.4), ...after }),
    () => ({ buys: 'main-kit', afterMail: mail, ...soon, ...answers(dice, 'main', upsells) }),
    () => ({ buys: 'side-kit', ...after, ...answers(dice, 'side', upsells) }),
    () => ({
      event: dice.pick(EVENTS),
      ...(dice.chance(0.5) ? { key: `k${dice.whole(1, 3)}` } : {}),
      ...after,
    }),
    () => ({ event: 'webinar', afterMail: mail, ...soon }),
    () => ({ tag: dice.pick(TAGS), ...after }),
    () => ({ untag: dice.pick(TAGS), ...after }),
    () => ({ becomesAffiliate: true, ...after }),
    () => ({
      set: { [dice.pick(FIELDS)]: dice.chance(0.3) ? null : dayAfter(start, dice.whole(2, 15)) },
      ...after,
    }),
    () => ({ unsubscribes: true, after: `${dice.whole(4_000, 25_000)} minutes` }),
  ])();
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
