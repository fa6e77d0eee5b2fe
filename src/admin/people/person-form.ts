import { type FieldDefinition, readFieldText } from '../../subscribers/field.js';
import type { Subscriber, SubscriberFields } from '../../subscribers/subscriber.js';
import { nameSchema, tagName } from '../../subscribers/subscribers.schemas.js';
import { canonicalTimeZone } from '../../values/zoned-time.js';
import type { FormProblem } from '../forms/form-problems.schemas.js';
import { namesIn, namesText } from '../../values/name-list.js';
import { typedTexts } from '../forms/typed-text.js';

const MAX_CHARS = 6_000;

/**
 * What stands in the form of a person, by the names of its fields: `name`, `timeZone`, `tags`, `field.KEY`. Each comes with
 * what it was when the form was made (`was.…`), and only what differs is a change: what a sequence or the person did
 * meanwhile stays.
 */
export interface PersonTyped {
  now: Record<string, string>;
  was: Record<string, string>;
  /** Ids of lists: those the person was on, and is to be on. */
  listsWere: string[];
  lists: string[];
}

interface PersonChange {
  name?: string | null;
  timeZone?: string | null;
  fields: SubscriberFields;
  tags: { added: string[]; removed: string[] };
  lists: { added: string[]; removed: string[] };
}

export function typedOfPerson(
  person: Pick<Subscriber, 'name' | 'timeZone' | 'tags' | 'fields'>,
  definitions: ReadonlyMap<string, FieldDefinition>,
  lists: string[],
): PersonTyped {
  const now: Record<string, string> = {
    ...{ name: person.name ?? '', timeZone: person.timeZone ?? '', tags: namesText(person.tags) },
    ...Object.fromEntries(
      [...definitions.keys()].map((key) => [`field.${key}`, valueText(person.fields[key])] as const),
    ),
  };
  return { now, was: now, listsWere: lists, lists };
}

/** A value as it stands in a form; `true` and `false` are the choices of a yes or no. */
export function valueText(value: unknown): string {
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : '';
}

export function personTypedFrom(
  body: unknown,
  definitions: ReadonlyMap<string, FieldDefinition>,
): PersonTyped {
  const text = typedTexts(body, MAX_CHARS);
  const names = ['name', 'timeZone', 'tags', ...[...definitions.keys()].map((key) => `field.${key}`)];
  const all = (prefix: string): Record<string, string> =>
    Object.fromEntries(names.map((name) => [name, text(`${prefix}${name}`)]));
  return { now: all(''), was: all('was.'), listsWere: many(body, 'was.list'), lists: many(body, 'list') };
}

function many(body: unknown, name: string): string[] {
  const value: unknown = Reflect.get(Object(body), name);
  return [value].flat().filter((one) => typeof one === 'string');
}

/** What is to change, or what is wrong with which field. */
export function readPerson(
  typed: PersonTyped,
  definitions: ReadonlyMap<string, FieldDefinition>,
): { ok: true; change: PersonChange } | { ok: false; problems: FormProblem[] } {
  const problems: FormProblem[] = [];
  const { now, was } = typed;
  const changed = (name: string): boolean => inOneLine(now[name]) !== inOneLine(was[name]);
  const fields: SubscriberFields = {};
  for (const definition of definitions.values()) {
    const name = `field.${definition.key}`;
    const text = now[name] ?? '';
    if (!changed(name)) continue;
    const read = text === '' ? null : readFieldText(definition, text);
    if (read === null) fields[definition.key] = null;
    else if (read.ok) fields[definition.key] = read.value;
    else problems.push({ name, label: definition.label, message: `must be ${read.allowed}` });
  }
  const given = nameSchema.safeParse(now['name']);
  if (changed('name') && !given.success)
    problems.push({
      ...{ name: 'name', label: 'Name' },
      message: given.error.issues[0]?.message ?? 'is no name',
    });
  const zone = canonicalTimeZone(now['timeZone'] ?? '');
  if (changed('timeZone') && now['timeZone'] !== '' && zone === null)
    problems.push({ name: 'timeZone', label: 'Time zone', message: 'use one such as Europe/Berlin' });
  const tags = differenceOf(namesIn(was['tags'] ?? ''), namesIn(now['tags'] ?? ''));
  const wrong = tags.added.find((tag) => !tagName.safeParse(tag).success);
  if (wrong !== undefined)
    problems.push({ name: 'tags', label: 'Tags', message: 'use at most 100 characters for each' });
  if (problems.length > 0) return { ok: false, problems };
  return {
    ok: true,
    change: {
      ...(changed('name') ? { name: given.data || null } : {}),
      ...(changed('timeZone') ? { timeZone: zone } : {}),
      ...{ fields, tags, lists: differenceOf(typed.listsWere, typed.lists) },
    },
  };
}

/** As a field of one line gives its text back, without the line breaks that came from elsewhere. */
function inOneLine(text = ''): string {
  return text.replaceAll(/[\r\n]/g, '');
}

function differenceOf(
  before: readonly string[],
  after: readonly string[],
): { added: string[]; removed: string[] } {
  return {
    added: after.filter((one) => !before.includes(one)),
    removed: before.filter((one) => !after.includes(one)),
  };
}
