import { Document, isMap, isScalar, parseDocument, visit } from 'yaml';
import { funnelKey } from '../../funnels/funnels.schemas.js';
import { parseEmailAddress } from '../../values/email-address.js';
import { parseMoney } from '../../values/money.js';
import type { FormProblem } from '../forms/form-problems.schemas.js';
import { keyOfTitle } from '../forms/own-key.js';
import { typedTexts } from '../forms/typed-text.js';

const MAX_KEY = 40;

interface NewField {
  name: string;
  label: string;
  placeholder: string;
  most: number;
  hint?: string;
  type?: 'email';
  isOptional?: true;
  /** A word for programs. */
  isPlain?: true;
  /** Where it stands in the text of the funnel; none for what has its own way. */
  path?: readonly (string | number)[];
}

interface FieldGroup {
  title: string;
  hint?: string;
  fields: readonly NewField[];
}

const optional = (field: Omit<NewField, 'isOptional'>): NewField => ({ ...field, isOptional: true });

/** What a new funnel is asked for; the rest is written in its text. */
export const NEW_FUNNEL: readonly FieldGroup[] = [
  {
    title: 'The funnel',
    fields: [
      { name: 'title', label: 'Name', placeholder: 'Tea in thirty letters', most: 120 },
      optional({
        ...{ name: 'key', label: 'Key', placeholder: 'tea', most: MAX_KEY, isPlain: true },
        hint: 'Its name in addresses such as /p/tea, and for programs. It stays as it is. Left empty, it is made of the name.',
      }),
    ],
  },
  {
    title: 'Who writes',
    hint: 'It stands in every mail, as the law asks.',
    fields: [
      optional({
        name: 'senderName',
        label: 'Your name',
        placeholder: 'Ada Winters',
        most: 100,
        path: ['sender', 'name'],
      }),
      optional({
        ...{
          name: 'senderEmail',
          label: 'Your address for answers',
          placeholder: 'ada@example.com',
          most: 254,
        },
        ...{ type: 'email', path: ['sender', 'email'] },
      }),
      optional({
        ...{
          name: 'postalAddress',
          label: 'Your postal address',
          placeholder: '12 Mill Lane, Springfield',
          most: 300,
        },
        path: ['sender', 'postalAddress'],
      }),
    ],
  },
  {
    title: 'The sign-up page',
    fields: [
      optional({
        ...{
          name: 'headline',
          label: 'Headline',
          placeholder: 'A month of tea, one letter a day',
          most: 200,
        },
        path: ['form', 'headline'],
      }),
      optional({
        ...{
          name: 'consent',
          label: 'What people agree to',
          placeholder: 'Send me the letters about tea.',
          most: 500,
        },
        ...{ path: ['form', 'consent'], hint: 'Word for word: it is kept as the evidence of their consent.' },
      }),
    ],
  },
  {
    title: 'What you sell',
    fields: [
      optional({
        ...{ name: 'product', label: 'Product', placeholder: 'The tea chest', most: 120 },
        path: ['products', 0, 'name'],
      }),
      optional({
        ...{
          name: 'price',
          label: 'Price',
          placeholder: '49.00 EUR',
          most: 40,
          path: ['products', 0, 'price'],
        },
      }),
    ],
  },
];

const FIELDS = NEW_FUNNEL.flatMap(({ fields }) => fields);

/** By the names of the fields. */
export type NewFunnelTyped = Readonly<Record<string, string>>;

export function newFunnelTyped(body: unknown): NewFunnelTyped {
  const text = typedTexts(body, 600);
  const typed = Object.fromEntries(FIELDS.map(({ name }) => [name, text(name)]));
  return { ...typed, key: text('key').toLowerCase() };
}

/** The key as it was typed, or as it is made of the name. */
export function keyTyped({ key = '', title = '' }: NewFunnelTyped): string {
  return key === '' ? keyOfTitle(title).slice(0, MAX_KEY).replace(/-$/, '') : key;
}

export function newFunnelProblems(typed: NewFunnelTyped): FormProblem[] {
  const problems: FormProblem[] = [];
  const say = (name: string, message: string): void => {
    problems.push({ name, label: FIELDS.find((field) => field.name === name)?.label ?? '', message });
  };
  const { title = '', senderEmail = '', price = '' } = typed;
  const key = keyTyped(typed);
  if (title === '') say('title', 'give it a name');
  if ((title !== '' || typed['key'] !== '') && (!funnelKey.safeParse(key).success || key.length > MAX_KEY))
    say('key', `use letters from a to z, digits and hyphens, at most ${MAX_KEY}`);
  for (const { name, most } of FIELDS)
    if ((typed[name] ?? '').length > most && name !== 'key') say(name, `use at most ${most} characters`);
  const email = senderEmail === '' ? null : parseEmailAddress(senderEmail);
  if (email?.ok === false) say('senderEmail', email.reason);
  if (price !== '' && !isPrice(price)) say('price', 'write it as 49.00 EUR');
  return problems;
}

function isPrice(text: string): boolean {
  try {
    return parseMoney(text).amountMinor >= 0;
  } catch {
    return false;
  }
}

/**
 * The demonstration as the text that a new funnel begins with: with what was typed in its place, and with names of its own
 * where two funnels may not have the same.
 */
export function startingYaml(demo: string, typed: NewFunnelTyped): string {
  const document: Document = parseDocument(demo);
  const key = keyTyped(typed);
  const keys = new Set(
    ['products', 'offers'].flatMap((list) => {
      const found: unknown = document.toJS();
      const all: unknown = Object(found) === found ? Reflect.get(Object(found), list) : [];
      return Array.isArray(all) ? all.map((one: { key?: unknown }) => String(one.key)) : [];
    }),
  );
  visit(document, {
    Scalar: (place, node) => {
      if (place !== 'key' && isScalar(node) && typeof node.value === 'string' && keys.has(node.value))
        node.value = `${key}-${node.value}`;
    },
  });
  document.setIn(['funnel'], key);
  document.setIn(['title'], typed['title']);
  document.setIn(['form', 'slug'], key);
  for (const { name, path } of FIELDS) if (path && typed[name]) document.setIn(path, typed[name]);
  // What the demonstration says of itself is none of the new funnel's.
  const first = isMap(document.contents) ? document.contents.items[0]?.key : undefined;
  if (isScalar(first)) delete first.commentBefore;
  if (isMap(document.contents)) delete document.contents.commentBefore;
  document.commentBefore = ' Begun from the demonstration: change what is yours, and apply it.';
  return document.toString({ lineWidth: 110 });
}
