import { MAIL_VARIABLES, type MailKind } from './template-variables.js';

/** A tag of another mail system in a mail that was brought from there: readers would see it as it stands. */
interface ForeignTag {
  tag: string;
  /** Not so where the words may stand there on purpose, as in a letter about programs: a warning is all that is due. */
  isSure: boolean;
  message: string;
}

/**
 * Each matches a whole tag; its first group is the name in it.
 * - `always`: no letter has this form by chance.
 * - `known`: one may have it, but not around the name of what mail systems fill in.
 * - `address`: one may have it around any name; for the address of a link it makes no sense.
 * - `only-address`: the same, and elsewhere these are plain words, which nothing is said of.
 */
const FORMS: readonly { form: RegExp; sure: 'always' | 'known' | 'address' | 'only-address' }[] = [
  // *|FNAME|*
  { form: /\*\|([A-Za-z][^|\n<>]{0,60})\|\*/g, sure: 'always' },
  // %recipient.name%
  { form: /%(recipient\.\w{1,40})%/g, sure: 'always' },
  // %FIRSTNAME%, %unsubscribe_url%
  {
    form: /(?<!%)%((?:first|last|full|sender)[_-]?(?:name|info)|e-?mail|unsubscribe\w{0,20})%(?!%)/gi,
    sure: 'always',
  },
  // %%{unsubscribe_url}%%
  { form: /%%\{([A-Za-z][^%\n<>]{0,60}?)\}%%/g, sure: 'always' },
  // %%first_name%%
  { form: /%%([A-Za-z][^%\n<>]{0,60}?)%%/g, sure: 'known' },
  // [[data:city:"here"]]
  { form: /\[\[((?:data|var):[^\]\n<>]{1,60})\]\]/gi, sure: 'always' },
  // [[firstname]]
  { form: /\[\[((?:first|last|full)?[_-]?name|e-?mail|unsubscribe\w{0,20})\]\]/gi, sure: 'known' },
  // [firstname,fallback=there]
  { form: /(?<!\[)\[(\w{1,30},\s*fallback=[^\]\n<>]{0,60})\](?!\]|\()/gi, sure: 'always' },
  // [firstname], [subscriber:firstname | default:reader], [link:subscription_unsubscribe_url]
  {
    form: /(?<!\[)\[((?:first|last|full)[_-]?name|(?:subscriber|link):[^\]\n<>]{1,60})\](?!\]|\()/gi,
    sure: 'known',
  },
  // [unsubscribe]
  { form: /(?<!\[)\[(unsubscribe|webversion)\](?!\]|\()/gi, sure: 'only-address' },
  // {contactfield=city}
  { form: /(?<!\{)\{contactfield=(\w{1,40})\}(?!\})/g, sure: 'always' },
  // {!firstname_fix}
  { form: /(?<!\{)\{!(\w{1,40})\}(?!\})/g, sure: 'known' },
  // {$name}
  { form: /(?<!\{)\{\$(\w{1,40})\}(?!\})/g, sure: 'address' },
  // {first_name}, {unsubscribe_url}
  {
    form: /(?<![{$#%])\{((?:first|last|full)[_-]?name|unsubscribe\w{0,20})(?:,[^{}\n<>]{0,60})?\}(?!\})/gi,
    sure: 'known',
  },
  // <%= name %>
  { form: /<%[=-]?(?=\s{0,40}[^\s%])([^%\n]{1,100})%>/g, sure: 'always' },
  // ~Contact.FirstName~
  { form: /~(Contact\.\w{1,40})~/g, sure: 'always' },
  // <unsubscribe>
  { form: /<(unsubscribe|webversion|forwardtoafriend)\b[^<>]{0,200}>/gi, sure: 'always' },
];
const KNOWN = /(?:first|last|full)[_-]?name|e-?mail|unsub/i;
const ADDRESS = /\s(?:href|src)\s*=\s*(?:"([^"]*)"|'([^']*)')/gi;
/** Editors write the scheme before what is no address. */
const BEFORE_ADDRESS = /^\s*(?:https?:\/\/)?/i;

/** What each is called here, by what is left of a name without its signs. The first that fits. */
const OURS: readonly (readonly [RegExp, string])[] = [
  [/unsub|optout|subscription_?cancel/, 'unsubscribeUrl'],
  [/preference|updateprofile|manage/, 'preferencesUrl'],
  [/optinurl|confirm/, 'confirmUrl'],
  [/(?:sender|from|company|organi[sz]ation|list)_?name|listcompany|^company$/, 'sender.name'],
  [/postal|listaddress|senderinfo|(?:physical|mailing|company)address/, 'sender.postalAddress'],
  [/first|fname|givenname|recipientfirst/, 'subscriber.firstName'],
  [/email/, 'subscriber.email'],
  [/^(?:recipient|subscriber|contact|user|data|var)?(?:full)?name$/, 'subscriber.name'],
];

/** Beginnings and ends of what is not shown, or prints what it says: style sheets have brackets and braces of their own. */
const NOT_READ = [
  ['<style', '</style>'],
  ['<mj-style', '</mj-style>'],
  ['<!--', '-->'],
  ['{{', '}}'],
  ['{%', '%}'],
] as const;

/** Each tag of another system once, in the order of the text, which is a subject or the HTML of a mail as Liquid. */
export function foreignTags(text: string, kind: MailKind): ForeignTag[] {
  const read = NOT_READ.reduce((rest, [begin, end]) => cutOut(rest, begin, end), text);
  const addresses = new Set(
    [...read.matchAll(ADDRESS)].map(({ 0: all, 1: double, 2: single = '', index }) => {
      const address = double ?? single;
      return index + all.length - 1 - address.length + startOf(address);
    }),
  );
  const found = FORMS.flatMap(({ form, sure }) =>
    [...read.matchAll(form)].flatMap(({ 0: tag, 1: name = '', index }) => {
      const isAddress = addresses.has(index);
      if (sure === 'only-address' && !isAddress) return [];
      return [
        {
          tag,
          name,
          index,
          isSure: isAddress || sure === 'always' || (sure === 'known' && KNOWN.test(name)),
        },
      ];
    }),
  );
  const tags = new Map<string, ForeignTag>();
  for (const { tag, name, isSure } of found.toSorted((a, b) => a.index - b.index))
    if (isSure || !tags.has(tag))
      tags.set(tag, {
        ...{ tag, isSure },
        message: `${tag} ${isSure ? 'is' : 'looks like'} a tag of another mail system, which readers would see as it stands; ${ourWay(name, kind)}`,
      });
  return [...tags.values()];
}

/** In one pass: a pattern would look for the end of each anew. */
function cutOut(text: string, begin: string, end: string): string {
  const lower = text.toLowerCase();
  let kept = '';
  for (let at = 0; ;) {
    const start = lower.indexOf(begin, at);
    const close = start < 0 ? -1 : lower.indexOf(end, start);
    if (close < 0) return kept + text.slice(at);
    kept += `${text.slice(at, start)} `;
    at = close + end.length;
  }
}

/** Whether an address is made of such a tag. */
export function hasForeignTag(address: string): boolean {
  return FORMS.some(({ form, sure }) => {
    const at = address.search(form);
    return sure === 'only-address' ? at === startOf(address) : at >= 0;
  });
}

/** Where an address begins that may have a scheme before it. */
function startOf(address: string): number {
  return BEFORE_ADDRESS.exec(address)?.[0].length ?? 0;
}

/** What is said behind the name of a variable that mails of this kind do not have. */
export function hintOf(name: string, kind: MailKind): string {
  const ours = ourName(name, kind);
  return ours === null ? '' : `; here it is {{ ${ours} }}`;
}

/** What another system's name for a variable is called here; null when it is none that mails of this kind have. */
function ourName(name: string, kind: MailKind): string | null {
  const plain = name
    .split(/[,|]|\bdefault\b/)[0]
    ?.replace(/[^A-Za-z]/g, '')
    .toLowerCase();
  const ours = OURS.find(([form]) => form.test(plain ?? ''))?.[1];
  const known: readonly string[] = MAIL_VARIABLES[kind];
  return ours !== undefined && known.includes(ours) ? ours : null;
}

function ourWay(name: string, kind: MailKind): string {
  const ours = ourName(name, kind);
  return ours === null
    ? 'a field of your own is {{ subscriber.fields.NAME }} here'
    : `here it is {{ ${ours} }}`;
}

/** `{{#if x}}`, `{{{ x }}}`, `{{> part}}` and their likes, which Liquid cannot read. */
const BRACES = /\{\{\{[^{}\n]{0,100}\}\}\}|\{\{~?\s*([#/^>!&])[^{}\n]{0,100}\}\}/;
/** Tags of other template languages, and what does the same here. */
const TAGS: Readonly<Record<string, string>> = {
  unsubscribe: '{{ unsubscribeUrl }}',
  manage_preferences: '{{ preferencesUrl }}',
  set: '{% assign %}',
  extends: '<mj-include path="…" />',
  include: '<mj-include path="…" />',
  layout: '<mj-include path="…" />',
  render: '<mj-include path="…" />',
};

/** Why a line that Liquid cannot read is none, and what is written here in its place; null where it looks like ours. */
export function foreignBraces(line: string): string | null {
  const [tag, sign] = BRACES.exec(line) ?? [];
  if (tag === undefined) return null;
  const instead: Readonly<Record<string, string>> = {
    '#': /\beach\b/.test(tag) ? '{% for %}…{% endfor %}' : '{% if %}…{% endif %}',
    '/': /\beach\b/.test(tag) ? '{% endfor %}' : '{% endif %}',
    '^': '{% unless %}…{% endunless %}',
    '>': '<mj-include path="…" />',
    '!': '{% comment %}…{% endcomment %}',
  };
  return `${tag} is a tag of Handlebars; here it is ${instead[sign ?? ''] ?? '{{ … }}'}`;
}

/** For a tag that Liquid does not know, or that would read a part from elsewhere; null where nothing here does the same. */
export function insteadOfTag(name: string): string | null {
  return Object.hasOwn(TAGS, name) ? (TAGS[name] ?? null) : null;
}
