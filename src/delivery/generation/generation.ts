/** What is peculiar to one database: a copy or a restored dump differs in at least one of them. Null: cannot be read. */
export interface Fingerprint {
  /** Of the cluster, given once by initdb. */
  system: string | null;
  /** Grows when a replica is promoted or a cluster is recovered to a point in time. */
  timeline: number | null;
  database: string;
  /** Of table `setting`: a dump that was restored into the same database has made it anew. */
  table: string;
}

/** How far the ledger has come. `generation` grows by the owner's word, `counter` while workers run. */
export interface LedgerToken {
  /** Made at the first start; the same through all confirmations. */
  lineage: string;
  generation: number;
  counter: number;
}

/** In the database. */
export interface LedgerRow extends LedgerToken {
  fingerprint: Fingerprint;
  /** A worker has seen that this database is not, or not any more, the one that sent last. */
  refused: { reason: string; generation: number; counter: number } | null;
  confirmed: { at: string; unsent: Unsent } | null;
}

/** In the data folder of each process: what it has last seen in the database. */
export interface LedgerNote extends LedgerToken {
  /** Inode of the data folder when the database itself lives in it; a copied folder has another. */
  folder: string | null;
}

/** What to do with mails that may have gone out after the backup was made. */
export type Unsent = 'keep' | 'hold' | 'cancel';
export const UNSENT = ['keep', 'hold', 'cancel'] as const;

export type Verdict =
  /** A database that has never sent. */
  | { kind: 'new' }
  /** The one we know, or one that has gone on without us. */
  | { kind: 'same' }
  /** `shared`: true of the database, so every worker has to know; else only this process's note is broken. */
  | { kind: 'refuse'; reason: string; shared: boolean };

const COPY =
  'this database is a copy of the one that sent last, or was restored, upgraded or promoted: mails may already have gone out';
const OLDER = 'this database is older than what was sent from it: a backup was restored';
const FOLDER = 'this data folder is a copy: the other one may be sending';
const UNREADABLE = 'ledger.json in the data folder cannot be read';

/**
 * Whether mails may go out of this database. The worst that a wrong "same" does is that people get mails twice, the
 * worst that a wrong "refuse" does is that the owner is asked once.
 */
export function judge({
  row,
  note,
  actual,
  hasMessages,
  folder,
}: {
  row: LedgerRow | null;
  note: LedgerNote | null | 'unreadable';
  actual: Fingerprint;
  hasMessages: boolean;
  folder: string | null;
}): Verdict {
  if (row?.refused) return { kind: 'refuse', reason: row.refused.reason, shared: true };
  if (note === 'unreadable') return { kind: 'refuse', reason: UNREADABLE, shared: false };
  if (row === null) {
    // A note says that there was a row. Without any mail it is simply another, fresh database.
    return note !== null && hasMessages ? { kind: 'refuse', reason: OLDER, shared: true } : { kind: 'new' };
  }
  if (differs(row.fingerprint, actual)) return { kind: 'refuse', reason: COPY, shared: true };
  // A note of another lineage is of a database this process worked on before.
  if (note === null || note.lineage !== row.lineage) return { kind: 'same' };
  if (isBehind(row, note)) return { kind: 'refuse', reason: OLDER, shared: true };
  if (note.folder !== null && folder !== null && note.folder !== folder)
    return { kind: 'refuse', reason: FOLDER, shared: true };
  return { kind: 'same' };
}

/** Whether `one` has not come as far as `other`. */
export function isBehind(one: LedgerToken, other: LedgerToken): boolean {
  if (one.generation !== other.generation) return one.generation < other.generation;
  return one.counter < other.counter;
}

/** What could not be read on either side says nothing. */
function differs(kept: Fingerprint, actual: Fingerprint): boolean {
  const differ = <T>(a: T | null, b: T | null): boolean => a !== null && b !== null && a !== b;
  return (
    differ(kept.system, actual.system) ||
    differ(kept.timeline, actual.timeline) ||
    kept.database !== actual.database ||
    kept.table !== actual.table
  );
}

/** Null for anything that is not a note of ours. */
export function readNote(text: string): LedgerNote | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const { lineage, generation, counter, folder } = value as Partial<Record<keyof LedgerNote, unknown>>;
  const whole = (one: unknown): one is number =>
    typeof one === 'number' && Number.isSafeInteger(one) && one >= 0;
  if (typeof lineage !== 'string' || !whole(generation) || !whole(counter)) return null;
  return { lineage, generation, counter, folder: typeof folder === 'string' ? folder : null };
}
