import { OVERDUE_POLICIES } from '../../delivery/message/overdue.js';
import { sendingSettings, type Limit, type SendingSettings } from '../../delivery/pacing/sending.schemas.js';
import { type Typed, typedFields } from '../forms/typed-text.js';

interface LimitsFormError {
  /** By field name. */
  errors: Record<string, string>;
}

const GROUPS = ['gmail', 'outlook', 'yahoo', 'other'] as const;
const MAX_ROWS = 200;
const MAX_TYPED_CHARS = 300;

/** What a field takes, said when it does not take what was typed. By the last part of its name. */
const ADVICE: Readonly<Record<string, string>> = {
  perSecond: 'Use a number from 0.001 to 100,000, such as 2.5, or leave it empty.',
  perDay: 'Use a whole number from 1 to 1,000,000,000, or leave it empty.',
  startedOn: 'Use a day such as 2026-01-31, or leave it empty.',
  domain: 'Use the domain of a sender in lower case, such as news.example.com.',
  afterHours: 'Use a whole number from 1 to 720.',
  policy: 'Choose what becomes of late mails.',
};

/** The fields of the form, filled with the limits that are set, with one empty row for another sender. */
export function typedOfLimits({ global, senders, groups, overdue }: SendingSettings): Typed {
  const typed: Typed = { 'overdue.policy': overdue.policy, 'overdue.afterHours': String(overdue.afterHours) };
  const put = (name: string, limit: Limit | null | undefined): void => {
    typed[`${name}.perSecond`] = String(limit?.perSecond ?? '');
    typed[`${name}.perDay`] = String(limit?.perDay ?? '');
  };
  put('global', global);
  for (const group of GROUPS) put(`groups.${group}`, groups[group]);
  const rows = Object.entries(senders).sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [row, [domain, limit]] of [...rows, ['', undefined] as const].entries()) {
    typed[`senders.${row}.domain`] = domain;
    put(`senders.${row}`, limit);
    typed[`senders.${row}.startedOn`] = limit?.warmUp?.startedOn ?? '';
  }
  return typed;
}

/** The fields of a POST, as text: what is none of the form's is left out. */
export function limitsTypedFrom(body: unknown): Typed {
  return typedFields(body, (name) => /^(global|groups|senders|overdue)\./.test(name), MAX_TYPED_CHARS);
}

/** How many rows of senders were typed. */
function senderRows(typed: Typed): number {
  const rows = Object.keys(typed).flatMap((name) => /^senders\.(\d{1,3})\.domain$/.exec(name)?.[1] ?? []);
  return Math.min(MAX_ROWS, Math.max(0, ...rows.map((row) => Number(row) + 1)));
}

/**
 * The limits as they were typed, or what is wrong with each field. Bursts, which the form does not show, stay as they are
 * in `before`. A row without a domain and without limits is nobody's.
 */
export function readLimits(typed: Typed, before: SendingSettings): SendingSettings | LimitsFormError {
  const errors: Record<string, string> = {};
  const limit = (name: string, old: Limit | null | undefined): Record<string, unknown> => {
    const perSecond = numberOf(typed[`${name}.perSecond`]);
    const burst = perSecond === undefined ? undefined : old?.burst;
    const perDay = numberOf(typed[`${name}.perDay`]);
    return without({ perSecond, burst, perDay });
  };
  const rowOf = new Map<string, number>();
  const senders: Record<string, unknown> = {};
  for (let row = 0; row < senderRows(typed); row++) {
    const domain = typed[`senders.${row}.domain`] ?? '';
    const startedOn = typed[`senders.${row}.startedOn`] ?? '';
    const warmUp = startedOn === '' ? undefined : { startedOn };
    const limits = without({ ...limit(`senders.${row}`, before.senders[domain]), warmUp });
    const isEmpty = Object.keys(limits).length === 0;
    if (domain === '' && !isEmpty)
      errors[`senders.${row}.domain`] = 'Name the domain that these limits are for.';
    if (domain === '') continue;
    if (rowOf.has(domain)) errors[`senders.${row}.domain`] = 'This domain stands here twice.';
    rowOf.set(domain, row);
    senders[domain] = limits;
  }
  const groups = GROUPS.map((group) => [group, limit(`groups.${group}`, before.groups[group])] as const);
  const parsed = sendingSettings.safeParse({
    global: limit('global', before.global),
    groups: Object.fromEntries(groups.filter(([, one]) => Object.keys(one).length > 0)),
    senders,
    overdue: { policy: typed['overdue.policy'], afterHours: numberOf(typed['overdue.afterHours']) },
  });
  for (const { path } of parsed.error?.issues ?? []) {
    const field = fieldAt(path.map(String), rowOf);
    errors[field] ??= ADVICE[field.slice(field.lastIndexOf('.') + 1)] ?? 'This is not possible.';
  }
  return parsed.success && Object.keys(errors).length === 0 ? parsed.data : { errors };
}

/** Where the form shows what is wrong at a path of the settings. */
function fieldAt([head = '', key = '', ...rest]: string[], rowOf: ReadonlyMap<string, number>): string {
  if (head !== 'senders') return [head, key, ...rest].join('.');
  const last = rest.at(-1) ?? 'domain';
  return `senders.${rowOf.get(key) ?? 0}.${last === 'warmUp' ? 'startedOn' : last}`;
}

/** Empty is no limit; what is no number is kept as NaN, which no limit takes. A comma is read as a point. */
function numberOf(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined;
  return /^\d+([.,]\d+)?$/.test(text) ? Number(text.replace(',', '.')) : Number.NaN;
}

function without(given: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

const LABELS: Readonly<Record<string, string>> = {
  gmail: 'To Gmail',
  outlook: 'To Outlook',
  yahoo: 'To Yahoo',
  other: 'To all other servers',
};

const POLICY_WORDS: Readonly<Record<(typeof OVERDUE_POLICIES)[number], string>> = {
  send: 'Send them all the same',
  skip: 'Do not send them',
  ask: 'Hold them until I decide',
};

const FIELD_WORDS: Readonly<Record<string, string>> = {
  perSecond: 'mails a second',
  perDay: 'mails a day',
  startedOn: 'warm-up since',
  domain: 'domain',
  afterHours: 'hours late',
  policy: 'what becomes of them',
};

/** Which field a message is about, where it does not stand beside it: `To Gmail, mails a day`. */
function placeOf(name: string, typed: Typed): string {
  const [head = '', key = ''] = name.split('.');
  const field = FIELD_WORDS[name.slice(name.lastIndexOf('.') + 1)] ?? name;
  if (head === 'global') return `All mails, ${field}`;
  if (head === 'groups') return `${LABELS[key] ?? key}, ${field}`;
  if (head === 'overdue') return `Late newsletters, ${field}`;
  const domain = typed[`senders.${key}.domain`] ?? '';
  return `${domain === '' ? 'Another sender' : `From ${domain}`}, ${field}`;
}

interface LimitField {
  name: string;
  label: string;
  value: string;
  error: string | null;
}

/** What the page shows: the fields in groups, each with what was typed and what is wrong with it. */
export function limitsPage(typed: Typed, errors: Record<string, string>): object {
  const field = (name: string, label: string): LimitField => ({
    ...{ name, label, value: typed[name] ?? '' },
    error: errors[name] ?? null,
  });
  const pace = (name: string): LimitField[] => [
    field(`${name}.perSecond`, 'Mails a second'),
    field(`${name}.perDay`, 'Mails a day'),
  ];
  const senders = Array.from({ length: senderRows(typed) }, (_, row) => ({
    legend: typed[`senders.${row}.domain`] || 'Another sender',
    domain: field(`senders.${row}.domain`, 'Domain of the sender'),
    fields: pace(`senders.${row}`),
    warmUp: field(`senders.${row}.startedOn`, 'Warm-up since'),
  }));
  return {
    sections: [
      { legend: 'All mails', fields: pace('global') },
      ...GROUPS.map((group) => ({ legend: LABELS[group], fields: pace(`groups.${group}`) })),
    ],
    senders,
    policies: OVERDUE_POLICIES.map((value) => ({
      ...{ value, words: POLICY_WORDS[value] },
      checked: typed['overdue.policy'] === value,
    })),
    policyError: errors['overdue.policy'] ?? null,
    afterHours: field('overdue.afterHours', 'Hours late'),
    problems: Object.entries(errors).map(([name, message]) => ({
      name,
      message: `${placeOf(name, typed)}: ${message}`,
    })),
  };
}
