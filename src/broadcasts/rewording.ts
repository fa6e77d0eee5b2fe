import { isDeepStrictEqual } from 'node:util';
import { DomainError } from '../values/domain-error.js';
import type { Broadcast, BroadcastDraft } from './broadcast.js';
import type { FrozenOffer } from './broadcast-offer.js';
import { wordsOf, type Split, type Words } from './split.js';

/** What the owner may change of a broadcast that stands still. The mail is taken as it is written now. */
const CHANGEABLE = ['title', 'template', 'subject'] as const;

export type Rewording = Pick<Partial<BroadcastDraft>, (typeof CHANGEABLE)[number]>;

/** A mail by itself, as the preflight judges and stores it. */
export interface OneMail extends Pick<Broadcast, 'template' | 'subject' | 'sender' | 'audience' | 'topic'> {
  offer: Broadcast['offer'];
  offers: FrozenOffer[] | null;
  split: Split | null;
}

/**
 * What is left of a change of a paused broadcast when all that stays as it is is taken out. Throws `BROADCAST_STATE_CONFLICT`,
 * with the field, for what its mails are under way with, and for the words of a split test that is not decided.
 */
export function rewordingOf(broadcast: Broadcast, change: Partial<BroadcastDraft>): Rewording {
  const { title, template, subject, ...others } = change;
  const now: Partial<Record<string, unknown>> = { ...broadcast };
  const field = Object.entries(others).find(
    ([name, value]) => value !== undefined && !isDeepStrictEqual(value, now[name]),
  )?.[0];
  if (field !== undefined)
    throw refused(
      broadcast,
      field,
      `${field}: it has been started and keeps it; while it is paused its words may be changed: ${CHANGEABLE.join(', ')}`,
    );
  const words = template !== undefined || subject !== undefined;
  if (words && broadcast.split !== null && broadcast.startedAt !== null && broadcast.decision === null)
    throw refused(
      broadcast,
      template === undefined ? 'subject' : 'template',
      'its split test compares the words that it began with: let it be decided first, or cancel it',
    );
  return {
    ...(title === undefined ? {} : { title }),
    ...(template === undefined ? {} : { template }),
    ...(subject === undefined ? {} : { subject }),
  };
}

/** The arm whose words wait for the rest of the audience; null where no test was decided. */
export function armOfRest({ split, decision }: Pick<Broadcast, 'split' | 'decision'>): number | null {
  return split === null || decision === null ? null : decision.arm;
}

/**
 * The words that mails go with from now on, `change` among them: of a test that is decided those of the arm that goes to the rest,
 * before a broadcast has begun those of all arms.
 */
export function waitingWords(broadcast: Broadcast, change: Rewording = {}): OneMail {
  const arm = armOfRest(broadcast);
  const { sender, audience, topic } = broadcast;
  const own =
    arm === null ? broadcast : (mailsOf(broadcast).at(hasOwnRest(broadcast) ? -1 : arm) ?? broadcast);
  const { template = own.template, subject = own.subject } = change;
  const words = { template, subject, sender, audience, topic };
  if (arm === null)
    return { ...words, offer: broadcast.offer, offers: broadcast.offers, split: broadcast.split };
  const offers = broadcast.offers?.filter(({ place }) => place === arm).map((one) => ({ ...one, place: 0 }));
  return { ...words, offer: own.offer ?? null, offers: offers ?? null, split: null };
}

/** Whether the rest gets other words than the arm that goes to it was tested with. */
function hasOwnRest({ decision }: Pick<Broadcast, 'decision'>): boolean {
  return decision?.words !== undefined;
}

/** The words of its mails: those of each arm as they were tested, and behind them those of the rest where these are others. */
export function mailsOf(broadcast: Broadcast): Words[] {
  const arms = wordsOf(broadcast);
  const { words, arm } = broadcast.decision ?? {};
  return words === undefined || arm === undefined ? arms : [...arms, { ...arms[arm], ...words }];
}

/** The version of the words that mails go with from now on. */
export function waitingVersion(broadcast: Broadcast): string {
  const { armTemplateIds, templateId, reworded } = broadcast;
  const arm = armOfRest(broadcast);
  const own = (arm === null ? null : armTemplateIds?.[arm]) ?? templateId;
  return reworded?.[own] ?? own;
}

/**
 * By version, the one that mails have got in its place since. Whatever version a mail was written with, also one by a planner that
 * had read the words before they were changed, it leads to the last.
 */
export function rewordedTo(
  before: Readonly<Record<string, string>> | null,
  { from, to }: { from: string; to: string },
): Record<string, string> {
  const moved = Object.entries(before ?? {}).map(([old, last]) => [old, last === from ? to : last] as const);
  return Object.fromEntries([...moved, [from, to] as const].filter(([old, last]) => old !== last));
}

/** Whether its words were changed in the pause that it is in, with mails written already. */
export function isReworded({ startedAt, pausedAt, rewordedAt }: Broadcast): boolean {
  return startedAt !== null && rewordedAt !== null && (pausedAt === null || rewordedAt >= pausedAt);
}

function refused({ id, state }: Broadcast, field: string, message: string): DomainError {
  return new DomainError('BROADCAST_STATE_CONFLICT', message, { id, state, field, allowed: CHANGEABLE });
}
