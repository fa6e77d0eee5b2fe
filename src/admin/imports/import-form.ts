import { readTables, guessTargets, TARGETS } from '../../imports/columns.js';
import type { ImportJob, ImportOptions, ImportPreview } from '../../imports/import-job.js';
import { importOptions } from '../../imports/imports.schemas.js';
import type { FieldDefinition } from '../../subscribers/field.js';
import { namesIn, namesText } from '../../values/name-list.js';
import { NEW_FIELD_TARGETS } from './new-fields.js';
import { type Typed, typedFields } from '../forms/typed-text.js';

const MAX_TYPED_CHARS = 2_500;

/** What a column can be, in the owner's words. The rest is for our own exports, which need no mapping. */
const TARGET_WORDS: Readonly<Record<string, string>> = {
  ignore: 'Nothing: leave it out',
  email: 'Email address',
  name: 'Name',
  firstName: 'First name',
  lastName: 'Last name',
  status: 'Status',
  tags: 'Tags',
  lists: 'Lists',
  timeZone: 'Time zone',
  locale: 'Language',
  createdAt: 'Signed up at',
  consentText: 'What they agreed to',
  consentAt: 'Agreed at',
  consentIp: 'Agreed from (IP)',
  confirmedAt: 'Confirmed at',
  confirmedIp: 'Confirmed from (IP)',
  leftAt: 'Left at',
  trackingConsent: 'Agrees to be counted (true or false)',
  topicsOff: 'Topics they want no mails about',
  pausedUntil: 'Wants no mails until',
  otherFields: 'Other fields (JSON)',
};

interface ColumnChoice {
  name: string;
  header: string;
  samples: string[];
  target: string;
}

/** Columns of the table, or each header once of an archive's tables. */
function columnsOf({ tables }: ImportPreview): { header: string; samples: string[] }[] {
  const columns = new Map<string, { header: string; samples: string[] }>();
  for (const { headers, samples } of tables)
    for (const [index, header] of headers.entries()) {
      const key = tables.length === 1 ? String(index) : header.trim();
      if (columns.has(key)) continue;
      const cells = [...new Set(samples.map((row) => row[index] ?? ''))].filter((cell) => cell !== '');
      columns.set(key, { header, samples: cells });
    }
  return [...columns.values()];
}

/** What the columns are called, in the order of the form. */
export function headersOf(preview: ImportPreview): string[] {
  return columnsOf(preview).map(({ header }) => header);
}

/** The form as it is first shown: columns as they seem to be, options as they are. */
export function typedOfMapping(
  preview: ImportPreview,
  options: ImportOptions,
  definitions: ReadonlyMap<string, FieldDefinition>,
): Typed {
  const said = new Map(Object.entries(options.columns));
  const columns = columnsOf(preview);
  const isArchive = preview.tables.length > 1;
  const guessed = new Map(
    preview.tables.flatMap(({ headers }) => {
      const { targets } = guessTargets(headers, definitions);
      return headers.map((header, index) => [isArchive ? header.trim() : index, targets[index]] as const);
    }),
  );
  const typed: Typed = {
    status: options.status,
    consentText: options.consentText ?? '',
    existing: options.existing,
    tags: namesText(options.tags),
    lists: options.lists.join(', '),
    dateOrder: options.dateOrder ?? '',
  };
  for (const [index, { header }] of columns.entries()) {
    const known = said.get(isArchive ? header.trim() : `#${index + 1}`);
    typed[`column.${index}`] = known ?? guessed.get(isArchive ? header.trim() : index) ?? 'ignore';
  }
  return typed;
}

/** The fields of a POST, as text: what is none of the form's is left out. */
export function mappingTypedFrom(body: unknown): Typed {
  return typedFields(body, (name) => NAMES.test(name), MAX_TYPED_CHARS);
}

const NAMES = /^(?:status|consentText|existing|tags|lists|dateOrder|dryRun|column\.\d{1,3})$/;

type MappingRead =
  { ok: true; options: ImportOptions; dryRun: boolean } | { ok: false; errors: Record<string, string> };

/** The form as options of an import, or what is wrong with which field of it. */
export function readMapping(
  typed: Typed,
  preview: ImportPreview,
  { definitions, lists }: { definitions: ReadonlyMap<string, FieldDefinition>; lists: ReadonlySet<string> },
): MappingRead {
  const columns = columnsOf(preview);
  const isArchive = preview.tables.length > 1;
  const parsed = importOptions.safeParse({
    columns: Object.fromEntries(
      columns.map(({ header }, index) => [
        isArchive ? header.trim() : `#${index + 1}`,
        typed[`column.${index}`] ?? 'ignore',
      ]),
    ),
    status: typed['status'],
    // Words left in the field say nothing while the owner does not vouch for them: with them, everybody would be active.
    consentText: typed['status'] === 'active' ? typed['consentText'] || null : null,
    existing: typed['existing'],
    dateOrder: typed['dateOrder'] === '' ? null : typed['dateOrder'],
    tags: namesIn(typed['tags'] ?? ''),
    lists: namesIn(typed['lists'] ?? ''),
  });
  if (!parsed.success) {
    const errors: Record<string, string> = {};
    for (const { path, message } of parsed.error.issues)
      errors[String(path[0] ?? 'columns')] ??= ADVICE[String(path[0])] ?? message;
    return { ok: false, errors };
  }
  const unknown = parsed.data.lists.find((key) => !lists.has(key));
  if (unknown !== undefined) return { ok: false, errors: { lists: `There is no list “${unknown}”.` } };
  const read = readTables(preview.tables, parsed.data.columns, definitions);
  if (!read.ok)
    return { ok: false, errors: { columns: read.problems.map(({ message }) => message).join(' ') } };
  return { ok: true, options: parsed.data, dryRun: typed['dryRun'] !== 'no' };
}

const ADVICE: Readonly<Record<string, string>> = {
  consentText: 'Say what they agreed to: without it nobody can be imported as active.',
  tags: 'Use at most 20 tags of at most 100 characters, with commas between them.',
  lists: 'Use keys of lists, with commas between them.',
};

interface MappingView {
  columns: ColumnChoice[];
  targets: { value: string; label: string }[];
  newTargets: readonly { value: string; label: string }[];
  typed: Typed;
  errors: Record<string, string>;
  tables: string[];
  shape: string | null;
}

const SHAPE_NAMES: Readonly<Record<string, string>> = {
  wellspring: 'Wellspring',
  mailchimp: 'Mailchimp',
  kit: 'Kit',
  mailerlite: 'MailerLite',
  aweber: 'AWeber',
};

export function mappingView(
  { preview }: Pick<ImportJob, 'preview'>,
  definitions: ReadonlyMap<string, FieldDefinition>,
  { typed, errors }: { typed: Typed; errors: Record<string, string> },
): MappingView {
  const tables = preview?.tables ?? [];
  const columns = preview === null ? [] : columnsOf(preview);
  const own = [...definitions.values()].map(({ key, label }) => ({ value: `field:${key}`, label }));
  const known = TARGETS.map((value) => ({ value, label: TARGET_WORDS[value] ?? value }));
  return {
    columns: columns.map(({ header, samples }, index) => ({
      ...{ name: `column.${index}`, header, samples },
      target: typed[`column.${index}`] ?? 'ignore',
    })),
    targets: [
      ...known.filter(({ value }) => value === 'ignore'),
      ...known.filter(({ value }) => value !== 'ignore'),
      ...own,
    ],
    newTargets: NEW_FIELD_TARGETS,
    ...{ typed, errors: { ...(preview?.problem === undefined ? {} : { file: preview.problem }), ...errors } },
    tables: tables.length > 1 ? tables.map(({ name }) => name) : [],
    shape: SHAPE_NAMES[guessTargets(tables[0]?.headers ?? [], definitions).shape] ?? null,
  };
}
