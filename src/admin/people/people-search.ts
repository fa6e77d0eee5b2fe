import type { Condition } from '../../segments/condition.js';
import { SUBSCRIBER_STATUSES, type SubscriberStatus } from '../../subscribers/subscription-status.js';
import { typedTexts } from '../forms/typed-text.js';

/** What the owner looks for; empty texts are not asked. */
export interface PeopleSearch {
  q: string;
  status: SubscriberStatus | '';
  /** Key of a segment. */
  segment: string;
  tag: string;
  /** Key of a list. */
  list: string;
}

const MAX_CHARS = 200;

/** From the query of the page; what is none of it, or no status, is left out. */
export function readSearch(query: Record<string, unknown>): PeopleSearch {
  const text = typedTexts(query, MAX_CHARS);
  return {
    q: text('q'),
    status: SUBSCRIBER_STATUSES.find((status) => status === text('status')) ?? '',
    segment: text('segment'),
    tag: text('tag'),
    list: text('list'),
  };
}

/**
 * The search as conditions, beside those of its segment; null when everybody is meant. A whole address is looked up, which
 * an index serves; a part of one, or of a name, is looked for in everybody.
 */
export function conditionOfSearch(
  { q, status, tag, list }: PeopleSearch,
  segment: Condition | null,
): Condition | null {
  const parts: Condition[] = [
    ...(segment === null ? [] : [segment]),
    ...(tag === '' ? [] : [{ tag }]),
    ...(list === '' ? [] : [{ list }]),
    ...(status === '' ? [] : [{ status: [status] }]),
    ...(q === '' ? [] : [conditionOfText(q)]),
  ];
  return parts.length === 0 ? null : { all: parts };
}

/** What of everybody is looked for, without words that somebody typed, which may be an address; null when everybody is meant. */
export function partOfSearch({ q, status, segment, tag, list }: PeopleSearch): string | null {
  const parts = [
    ...(segment === '' ? [] : [`segment ${segment}`]),
    ...(status === '' ? [] : [`status ${status}`]),
    ...(tag === '' ? [] : ['a tag']),
    ...(list === '' ? [] : ['a list']),
    ...(q === '' ? [] : ['a name or address']),
  ];
  return parts.length === 0 ? null : parts.join(', ');
}

function conditionOfText(q: string): Condition {
  if (/^[^\s@]+@[^\s@]+\.[^\s@.]{2,}$/.test(q)) return { field: 'email', op: 'is', value: q };
  return {
    any: [
      { field: 'email', op: 'contains', value: q },
      { field: 'name', op: 'contains', value: q },
    ],
  };
}

/** The search as a query to go on with, empty or ending in `&`. */
export function queryOfSearch(search: object): string {
  const given = Object.entries(search).filter(([, value]) => value !== '');
  return given.map(([name, value]) => `${name}=${encodeURIComponent(String(value))}&`).join('');
}
