import type { ListOfPerson } from '../subscribers/list.js';
import type { SubscriberStatus } from '../subscribers/subscription-status.js';
import type { Topic } from '../subscribers/topic.js';

/** Where a reader's word came from, as it stands in the history of the person. */
export const FROM_PREFERENCES = 'preferences page';

/** The words by which somebody agrees to be counted, or no longer does. They are kept with the decision. */
export const TRACKING_WORDS = 'Count the mails I open and the links I press';

export function topicWords(title: string): string {
  return `Send me mails about: ${title}`;
}

/** The words by which somebody joins or leaves a list. They are kept with the decision. */
export function listWords(title: string): string {
  return `Put me on the list: ${title}`;
}

/** How long a pause may be. */
export const PAUSE_DAYS = [7, 30, 90] as const;
export type PauseDays = (typeof PAUSE_DAYS)[number];

/** Null for anything but a length the page offers. */
export function readPauseForm(body: unknown): PauseDays | null {
  if (typeof body !== 'object' || body === null || !('days' in body)) return null;
  return PAUSE_DAYS.find((days) => String(days) === body.days) ?? null;
}

/** What reaches the address of a person, as the page of preferences says it: nothing, receipts alone, all, or not yet. */
export function standingOf(
  status: SubscriberStatus,
  block: 'all' | 'marketing' | null,
): 'unmailable' | 'off' | 'on' | 'pending' {
  if (block === 'all') return 'unmailable';
  if (block === null && status === 'active') return 'on';
  return block === null && status === 'pending' ? 'pending' : 'off';
}

export interface PreferencesForm {
  trackingConsent: boolean;
  /** The topics that the page showed: one that came up since was neither kept nor refused. */
  shown: ReadonlySet<string>;
  wanted: ReadonlySet<string>;
  /** As the two before it, of lists. */
  listsShown: ReadonlySet<string>;
  lists: ReadonlySet<string>;
}

/** Pages speak in the name of who wrote the mail, where one is known. */
export function footerOf(senderName: string | null): object {
  return senderName === null ? {} : { footer: { senderName } };
}

/** Null for anything but the page's own form: an empty POST is no decision. */
export function readPreferencesForm(body: unknown): PreferencesForm | null {
  if (typeof body !== 'object' || body === null) return null;
  const fields: Partial<Record<string, unknown>> = { ...body };
  if (fields['form'] !== 'preferences') return null;
  return {
    trackingConsent: fields['trackingConsent'] !== undefined,
    shown: new Set(texts(fields['shown'])),
    wanted: new Set(texts(fields['topic'])),
    listsShown: new Set(texts(fields['listShown'])),
    lists: new Set(texts(fields['list'])),
  };
}

/** The topics to change and how each of them is to stand. */
export function topicChanges(
  topics: readonly Pick<Topic, 'key' | 'title' | 'optedOut'>[],
  { shown, wanted }: Pick<PreferencesForm, 'shown' | 'wanted'>,
): { topicKey: string; title: string; wanted: boolean }[] {
  return topics
    .filter(({ key, optedOut }) => shown.has(key) && wanted.has(key) === optedOut)
    .map(({ key, title }) => ({ topicKey: key, title, wanted: wanted.has(key) }));
}

/** The lists to join and to leave. */
export function listChanges<One extends Pick<ListOfPerson, 'key' | 'isMember'>>(
  all: readonly One[],
  { listsShown, lists }: Pick<PreferencesForm, 'listsShown' | 'lists'>,
): (One & { wanted: boolean })[] {
  return all
    .filter(({ key, isMember }) => listsShown.has(key) && lists.has(key) !== isMember)
    .map((one) => ({ ...one, wanted: lists.has(one.key) }));
}

function texts(value: unknown): string[] {
  const list: unknown[] = Array.isArray(value) ? value : [value];
  return list.filter((item) => typeof item === 'string');
}

/**
 * What a page says for a link of a mail that leads to nobody: one that is past its end, one that we never wrote, or one
 * of somebody who is forgotten, perhaps by the first press of two.
 */
export function refusedLink({ held, minutes }: { held: string | null; minutes: number }): {
  status: number;
  heading: string;
  message: string;
} {
  if (held === null) {
    const message = 'Please open the link from the mail again, whole.';
    return { status: 404, heading: 'This link is not complete', message };
  }
  if (held !== 'expired')
    return { status: 410, heading: 'Nothing to show', message: 'Nothing is kept about you any more.' };
  const message = `The link works for ${minutes} minutes. Ask for a new one on the page of your preferences.`;
  return { status: 410, heading: 'This link has expired', message };
}
