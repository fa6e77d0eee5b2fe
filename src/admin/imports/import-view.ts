import type { ImportJob } from '../../imports/import-job.js';

interface ImportView {
  id: string;
  fileName: string;
  state: ImportJob['state'];
  dryRun: boolean;
  /** The state in the owner's words, and what it means to them: `good`, `warn`, `brand`, or nothing to say. */
  label: string;
  tone: string;
  createdAt: Date;
  /** Work is going on: the page looks again by itself. */
  isBusy: boolean;
  total: number;
  done: number;
  figures: { label: string; count: number; hint: string }[];
  /** Rows that the report names; 0 when there is none. */
  reported: number;
  advice: string[];
  ignored: string[];
  shape: string | null;
  mayCancel: boolean;
  mayRemap: boolean;
}

const LABELS: Readonly<Record<ImportJob['state'], readonly [label: string, tone: string]>> = {
  waiting: ['waiting for its file', ''],
  mapping: ['columns to be named', 'warn'],
  reading: ['reading the file', 'brand'],
  ready: ['about to begin', 'brand'],
  running: ['under way', 'brand'],
  checked: ['counted, nothing changed', 'warn'],
  done: ['done', 'good'],
  cancelled: ['cancelled', ''],
};

const FIGURES: readonly (readonly [name: string, label: string, hint: string])[] = [
  ['created', 'New', 'people who were not here'],
  ['updated', 'Updated', 'gaps filled, or values replaced'],
  ['unchanged', 'As they were', 'nothing new about them, or only what those who have left do not want'],
  ['skipped', 'Left alone', 'here already; only what they do not want is taken'],
  ['left', 'Unsubscribed', 'they had left elsewhere, and now here'],
  ['keptOut', 'Kept out', 'unsubscribed, bounced or complained here; only what they do not want is taken'],
  ['suppressed', 'Suppressed', 'their address is never written to; only what they do not want is taken'],
  ['duplicate', 'Repeated', 'an earlier row has the address'],
  ['rejected', 'Refused', 'rows that cannot be read; only what they say is not wanted is taken'],
];
/** Known once the file is read. */
const UNREADABLE = ['duplicate', 'rejected'];
const REPORTED = ['skipped', 'left', 'keptOut', 'suppressed', ...UNREADABLE];

const ADVICE: readonly (readonly [name: keyof ImportJob['advice'], words: string])[] = [
  ['withoutConsent', 'marked active without a word on what was agreed to: pending, and no mail'],
  ['unknownZone', 'with a time zone that is none: mails by the zone of the sequence, or UTC'],
  [
    'mixedEncoding',
    'with letters that are no UTF-8, as the rest is: they are read as Windows-1252, so look at their names',
  ],
  ['unknownLocale', 'with a language that is none, such as one in words: they have none'],
  [
    'unknownTopic',
    'of people who want no mails about a topic, while no funnel here has its key: that is kept, and holds once one has it',
  ],
  [
    'onlyNoes',
    'with a cell that cannot be read: nothing is taken but what they say is not wanted, such as mails after they left',
  ],
  ['suspect', 'with an address that looks mistyped, such as one at gmial.com'],
  ['disposable', 'with a mailbox that is thrown away after minutes'],
  ['role', 'with the address of a function such as info@, read by several people or by nobody'],
];

const BUSY = new Set<ImportJob['state']>(['reading', 'ready', 'running']);

/** What the owner's page shows of an import. */
export function importView(job: ImportJob): ImportView {
  const { id, fileName, state, dryRun, createdAt, counts, advice, source, preview } = job;
  const [label, tone] = LABELS[state];
  const count = (name: string): number => counts[name] ?? 0;
  return {
    ...{ id, fileName, state, dryRun, label, tone, createdAt },
    isBusy: BUSY.has(state),
    total: job.totalRows,
    done: Object.values(counts).reduce((sum, one) => sum + one, 0),
    figures: FIGURES.filter(([name]) => count(name) > 0 || name === 'created').map(([name, words, hint]) => ({
      ...{ label: words, count: count(name), hint },
    })),
    reported: reportedIn(job).reduce((sum, name) => sum + count(name), 0),
    advice: ADVICE.flatMap(([name, words]) => {
      const rows = advice[name] ?? 0;
      const topics = name === 'unknownTopic' ? (source?.unknownTopics ?? []) : [];
      const named = topics.length === 0 ? '' : ` (${topics.map((topic) => `“${topic}”`).join(', ')})`;
      return rows === 0
        ? []
        : [`${rows.toLocaleString('en')} ${rows === 1 ? 'row' : 'rows'} ${words}${named}.`];
    }),
    ignored: source?.ignored ?? [],
    shape: source?.shape ?? null,
    mayCancel: state !== 'done' && state !== 'cancelled',
    mayRemap: state === 'checked' && preview !== null,
  };
}

/** Of which counts the report has the rows: a dry run writes to none of them, and of a cancelled import they are gone. */
function reportedIn({ state, dryRun }: ImportJob): readonly string[] {
  if (state === 'cancelled') return [];
  return dryRun ? UNREADABLE : REPORTED;
}
