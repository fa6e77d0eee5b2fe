import { z } from 'zod';
import { tagName, objectKey } from '../subscribers/subscribers.schemas.js';
import { TARGETS } from './columns.js';
import { ENCODINGS } from './encoding.js';
import { IMPORT_STATES, type ImportJob } from './import-job.js';
import { DATE_ORDERS } from './instant.js';

const FIELD_TARGET = /^field:[a-z][a-zA-Z0-9]{0,49}$/;
const target = z
  .string()
  .refine(
    (given) => FIELD_TARGET.test(given) || TARGETS.some((one) => one === given),
    `use one of ${TARGETS.join(', ')}, or field: and the key of a field`,
  );
const header = z.string().min(1).max(300);

/** How a table is read; for the REST interface and the command line. */
export const importOptions = z
  .strictObject({
    columns: z
      .record(header, target)
      .default({})
      .meta({
        description: `Header, or \`#2\` for the second column, to what it is: ${TARGETS.join(', ')}, or \`field:\` and the key of a field that is defined. Several tags or lists in a cell stand with commas between.`,
      }),
    status: z
      .enum(['active', 'pending'])
      .default('pending')
      .meta({ description: 'Of people whose row does not say. `active` needs `consentText`.' }),
    consentText: z.string().trim().min(1).max(2000).nullable().default(null).meta({
      description:
        'The words that everybody of the table agreed to. You vouch for it; it is kept as evidence.',
    }),
    existing: z.enum(['fill', 'overwrite', 'skip']).default('fill').meta({
      description:
        'What is known of people who are here already: gaps are filled, it is replaced, or left alone. A no, to mails, also for a while, or to being counted, counts in each of the three; `trackingConsent` true makes nobody counted who is not.',
    }),
    tags: z.array(tagName).max(20).default([]).meta({ description: 'Put on everybody of the table.' }),
    lists: z
      .array(objectKey)
      .max(20)
      .default([])
      .meta({ description: 'Lists that everybody of the table joins.' }),
    dateOrder: z.enum(DATE_ORDERS).nullable().default(null).meta({
      description:
        'How dates such as 3/4/2024 are meant. Without it those that may be two dates are refused.',
    }),
    encoding: z.enum(ENCODINGS).nullable().default(null).meta({ description: 'Found out when left out.' }),
    delimiter: z
      .enum([',', ';', '\t', '|'])
      .nullable()
      .default(null)
      .meta({ description: 'Found out when left out.' }),
  })
  .refine(({ status, consentText }) => status !== 'active' || consentText !== null, {
    path: ['consentText'],
    message: 'say what they agreed to, to import people as active whose row does not show it',
  });

export const createImport = z.strictObject({
  fileName: z.string().trim().min(1).max(255).default('import.csv'),
  dryRun: z
    .boolean()
    .default(false)
    .meta({ description: 'Count what would become of the rows, and change nobody.' }),
  options: importOptions.prefault({}),
  csv: z.string().min(1).optional().meta({
    description: 'The table itself, when it is small. A larger one follows with `PUT /imports/{id}/file`.',
  }),
});

export const importSchema = z
  .object({
    id: z.string(),
    fileName: z.string(),
    state: z.enum(IMPORT_STATES),
    dryRun: z.boolean(),
    options: z.record(z.string(), z.unknown()),
    source: z.record(z.string(), z.unknown()).nullable(),
    advice: z.record(z.string(), z.number().int()),
    progress: z.object({ totalRows: z.number().int(), doneRows: z.number().int() }),
    counts: z.record(z.string(), z.number().int()).meta({
      description:
        'Rows by what became of them: created, updated, unchanged, left, keptOut, suppressed, skipped, duplicate, rejected.',
    }),
    createdAt: z.iso.datetime(),
    stagedAt: z.iso.datetime().nullable(),
    startedAt: z.iso.datetime().nullable(),
    endedAt: z.iso.datetime().nullable(),
  })
  .meta({ id: 'Import' });

export type ImportJson = z.output<typeof importSchema>;

export function importJson(job: ImportJob): ImportJson {
  const { id, fileName, state, dryRun, options, source, advice, counts, totalRows } = job;
  return {
    ...{ id, fileName, state, dryRun, options: { ...options }, source: source && { ...source } },
    advice: Object.fromEntries(Object.entries(advice)),
    progress: { totalRows, doneRows: Object.values(counts).reduce((sum, count) => sum + count, 0) },
    counts,
    createdAt: job.createdAt.toISOString(),
    stagedAt: job.stagedAt?.toISOString() ?? null,
    startedAt: job.startedAt?.toISOString() ?? null,
    endedAt: job.endedAt?.toISOString() ?? null,
  };
}
