import type { Encoding } from './encoding.js';
import type { DateOrder } from './instant.js';
import type { Shape, Target } from './columns.js';

export const IMPORT_STATES = [
  'waiting',
  'mapping',
  'reading',
  'ready',
  'running',
  'checked',
  'done',
  'cancelled',
] as const;
/**
 * `waiting`: for its file. `mapping`: the file is here, and the owner says what its columns are. `reading`: its rows are
 * being taken. `ready`: they are here. `checked`: a dry run is over, and the real one may begin.
 */
export type ImportState = (typeof IMPORT_STATES)[number];

export interface ImportOptions {
  /** Header, or `#2` for the second column, to what it is. */
  columns: Record<string, Target>;
  /** Of people whose table does not say. */
  status: 'active' | 'pending';
  /** The words that everybody of the table agreed to; the owner vouches for it. */
  consentText: string | null;
  existing: 'fill' | 'overwrite' | 'skip';
  tags: string[];
  lists: string[];
  dateOrder: DateOrder | null;
  encoding: Encoding | null;
  delimiter: string | null;
}

/** What was found out about the file. */
export interface ImportSource {
  shape: Shape;
  encoding: Encoding;
  delimiter: string;
  columns: { header: string; target: Target }[];
  ignored: string[];
  /** Of the topics that nobody here can name, some; left out in a job of before they were named. */
  unknownTopics?: string[];
  /** One, or those of an archive, in the order they are read. A line of the second stands behind the last of the first. */
  tables: { name: string; linesBefore: number }[];
}

/** What the owner sees of a file before saying what its columns are. Gone when the import is over. */
export interface ImportPreview {
  tables: { name: string; headers: string[]; samples: string[][] }[];
  /** Why it could not be read as the owner said, when it was tried. */
  problem?: string;
}

/** Worth knowing, and no reason to refuse a row. */
export interface ImportAdvice {
  /** Addresses that look mistyped, such as those at gmial.com. */
  suspect: number;
  disposable: number;
  role: number;
  /** Said to be active, without any word on what they agreed to: they stay pending. */
  withoutConsent: number;
  /** Time zones that are none (IANA): their mails go by the sequence's own zone, UTC when it names none. */
  unknownZone: number;
  /** Languages that are none (BCP 47), as those in words. */
  unknownLocale: number;
  /** In a table of UTF-8, lines with bytes that are none: read as Windows-1252, as of a name that was pasted from elsewhere. */
  mixedEncoding: number;
  /** Topics that they want no mails about and that are no funnel here, or none yet: nothing stops until there is one. */
  unknownTopic: number;
  /** A cell of theirs cannot be read: nothing is taken but what they do not want. */
  onlyNoes: number;
}

/** Rows by what became of them; those that were refused, and those that repeat an address, are counted at once. */
export type ImportCounts = Record<string, number>;

export interface ImportJob {
  id: string;
  fileName: string;
  state: ImportState;
  dryRun: boolean;
  options: ImportOptions;
  source: ImportSource | null;
  preview: ImportPreview | null;
  advice: Partial<ImportAdvice>;
  totalRows: number;
  counts: ImportCounts;
  createdAt: Date;
  stagedAt: Date | null;
  startedAt: Date | null;
  endedAt: Date | null;
}
