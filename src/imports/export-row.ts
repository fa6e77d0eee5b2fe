import { checkFieldValue, type FieldDefinition } from '../subscribers/field.js';
import type { SubscriberFields } from '../subscribers/subscriber.js';
import { OWN_ADDRESS_HEADER } from './columns.js';
import { exportCell } from './export-cell.js';
import { namesText } from '../values/name-list.js';

/** A subscriber with all that an export holds of them. */
export interface ExportedPerson {
  id: string;
  email: string;
  name: string | null;
  status: string;
  timeZone: string | null;
  locale: string | null;
  fields: SubscriberFields;
  tags: string[];
  lists: string[];
  trackingConsent: boolean;
  /** What they want no mails about. */
  topicsOff: string[];
  pausedUntil: Date | null;
  createdAt: Date;
  confirmedAt: Date | null;
  consentText: string | null;
  consentAt: Date | null;
  consentIp: string | null;
  confirmedIp: string | null;
  leftAt: Date | null;
}

const HEADERS = [
  ...[
    OWN_ADDRESS_HEADER,
    'name',
    'status',
    'timeZone',
    'locale',
    'tags',
    'lists',
    'createdAt',
    'confirmedAt',
  ],
  ...['consentText', 'consentAt', 'consentIp', 'confirmedIp', 'leftAt', 'trackingConsent'],
  ...['topicsOff', 'pausedUntil', 'otherFields'],
];

/** The header, with a mark by which Excel knows the encoding. */
export function exportHeader(definitions: ReadonlyMap<string, FieldDefinition>): string {
  const fields = [...definitions.keys()].map((key) => `field:${key}`);
  return `\ufeff${[...HEADERS, ...fields].map(exportCell).join(',')}\r\n`;
}

/**
 * One line, which our own import reads back as the same person. Values of fields that are not defined, or that do not
 * fit, stand together as JSON: a cell of its own would lose whether 7 is a number or a text.
 */
export function exportRow(person: ExportedPerson, definitions: ReadonlyMap<string, FieldDefinition>): string {
  const others: SubscriberFields = { ...person.fields };
  const cells = [...definitions.values()].map((definition) => {
    const value = person.fields[definition.key];
    if (value === undefined || value === null || value === '') return '';
    if (!checkFieldValue(definition, value).ok || isUnclear(definition, value)) return '';
    delete others[definition.key];
    return String(value);
  });
  const time = (at: Date | null): string => at?.toISOString() ?? '';
  const known = [
    ...[person.email, person.name ?? '', person.status, person.timeZone ?? '', person.locale ?? ''],
    ...[namesText(person.tags), namesText(person.lists), time(person.createdAt), time(person.confirmedAt)],
    ...[person.consentText ?? '', time(person.consentAt), person.consentIp ?? '', person.confirmedIp ?? ''],
    ...[time(person.leftAt), String(person.trackingConsent)],
    ...[namesText(person.topicsOff), time(person.pausedUntil)],
    Object.keys(others).length === 0 ? '' : JSON.stringify(others),
  ];
  return `${[...known, ...cells].map(exportCell).join(',')}\r\n`;
}

/** Whether the value would not come back from a cell: a text of spaces is an empty cell to many programs. */
function isUnclear({ type }: FieldDefinition, value: string | number | boolean): boolean {
  if (type === 'number') return !/^-?\d+(\.\d+)?$/.test(String(value));
  return typeof value === 'string' && value.trim() !== value;
}
