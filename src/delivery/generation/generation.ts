import { jsonObject } from '../../values/json-object.js';

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

/** What was judged: a claim takes nothing from any other run of the server, nor from a ledger that is not as far. */
export interface Fence extends LedgerToken {
  server: string;
}

/** In the database. */
export interface LedgerRow extends LedgerToken {
  fingerprint: Fingerprint;
  /** A worker has seen that this database is not, or not any more, the one that sent last. */
  refused: { reason: string; generation: number; counter: number } | null;
  confirmed: { at: string; unsent: Unsent } | null;
  /** When the server that took the last beat was started, in seconds; rows of 0.10.0 do not say. */
  server?: string;
  /** What a worker has asked that could not tell whether this is the ledger of last time. Void once another could. */
  asked?: string;
  /** Where its numbers were last moved on, see {@link placeOf}: a backup that is restored says another, or none. */
  moved?: string;
}

/** The row's age and the server it is on, of one statement. */
export interface Beat {
  /** When a worker last wrote into the row, by the database's clock. */
  atMs: number;
  /** When the server that answers was started, in seconds, as {@link LedgerRow.server}. */
  server: string;
}

/** In the data folder of each process: what it has last seen in the database. */
export interface LedgerNote extends LedgerToken {
  /** Inode of the data folder when the database itself lives in it; a copied folder has another. */
  folder: string | null;
  /** Inode of the data folder, wherever the database lives. Null: not known, as in notes of 0.10.0. */
  place: string | null;
  /** When it was written, by the database's clock. Null in notes of 0.10.0. */
  atMs: number | null;
}

/** What to do with mails that may have gone out after the backup was made. */
export type Unsent = 'keep' | 'hold' | 'cancel';
export const UNSENT = ['keep', 'hold', 'cancel'] as const;

export type Verdict =
  /** A database that has never sent. */
  | { kind: 'new' }
  /** The one we know, or one that has gone on without us. */
  | { kind: 'same' }
  /** This process cannot tell; another one may. */
  | { kind: 'unseen'; reason: string }
  /** `shared`: true of the database, so every worker has to know; else only this process's note is broken. */
  | { kind: 'refuse'; reason: string; shared: boolean };

const COPY =
  'this database is a copy of the one that sent last, or was restored, upgraded or promoted: mails may already have gone out';
const OLDER = 'this database is older than what was sent from it: a backup was restored';
const FOLDER = 'this data folder is a copy: the other one may be sending';
const UNSEEN =
  'the database was started anew, and this data folder has not seen what was sent from it last: its disk may have been copied, or an older state of it restored';
const UNREADABLE = 'ledger.json in the data folder cannot be read';

/** Workers that run together write their notes within a minute of each other; this is for those that stop together. */
const TOGETHER_MS = 600_000;

export interface Standing {
  row: LedgerRow | null;
  beat: Beat;
  note: LedgerNote | null | 'unreadable';
  actual: Fingerprint;
  hasMessages: boolean;
  /** Whether a witness of an earlier run of the server, and of this generation, tells of what this run does not know. */
  missing: boolean;
  folder: string | null;
  place: string | null;
  /** Whether the data folder is the same from one start to the next. */
  kept: boolean;
}

/**
 * Whether mails may go out of this database. The worst that a wrong "same" does is that people get mails twice, the
 * worst that a wrong "refuse" does is that the owner is asked once.
 *
 * A copy of a disk has the fingerprint of its original, but it has to be started: while the server that took the last
 * beat still runs, there can be no doubt, and any folder is welcome. Of a server that was started anew somebody must know
 * that it is as it was left: a folder that saw the last beats. Its own next beat then speaks for all others.
 */
export function judge(standing: Standing): Verdict {
  const { row, beat, note, actual, hasMessages, folder, kept } = standing;
  if (row?.refused) return { kind: 'refuse', reason: row.refused.reason, shared: true };
  if (note === 'unreadable') return { kind: 'refuse', reason: UNREADABLE, shared: false };
  if (row === null) {
    // A note says that there was a row, but for that which is written with the row, when this may have been taken back.
    // Without any mail it is simply another, fresh database.
    return note !== null && note.counter > 0 && hasMessages
      ? { kind: 'refuse', reason: OLDER, shared: true }
      : { kind: 'new' };
  }
  if (differs(row.fingerprint, actual)) return { kind: 'refuse', reason: COPY, shared: true };
  // A note of another lineage is of a database this process worked on before.
  const known = note !== null && note.lineage === row.lineage ? note : null;
  if (known !== null && isBehind(row, known)) return { kind: 'refuse', reason: OLDER, shared: true };
  if (standing.missing) return { kind: 'refuse', reason: OLDER, shared: true };
  if (known !== null && isAnother(known.folder, folder))
    return { kind: 'refuse', reason: FOLDER, shared: true };
  if (isSameRun(row, beat) || !hasMessages || !kept) return { kind: 'same' };
  const saw = known !== null && sawLastBeats(known, beat) && !isAnother(known.place, standing.place);
  return saw ? { kind: 'same' } : { kind: 'unseen', reason: UNSEEN };
}

/** Which run of the server, and which database and table in it: each restored backup is at another. */
export function placeOf({ server }: Pick<Beat, 'server'>, { database, table }: Fingerprint): string {
  return [server, database, table].join('/');
}

/** Whether the server has been running since the row was last written. */
export function isSameRun({ server }: Pick<LedgerRow, 'server'>, beat: Beat): boolean {
  return server === undefined ? beat.atMs > Number(beat.server) * 1000 : server === beat.server;
}

/** A folder that was left behind long before says nothing about the rest. */
function sawLastBeats({ atMs }: LedgerNote, beat: Beat): boolean {
  return atMs === null || beat.atMs - atMs <= TOGETHER_MS;
}

function isAnother(kept: string | null, actual: string | null): boolean {
  return kept !== null && actual !== null && kept !== actual;
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
export function readNote(json: string): LedgerNote | null {
  const value = jsonObject(json);
  if (value === null) return null;
  const { lineage, generation, counter, ...rest } = value;
  const text = (one: unknown): string | null => (typeof one === 'string' ? one : null);
  const whole = (one: unknown): one is number =>
    typeof one === 'number' && Number.isSafeInteger(one) && one >= 0;
  if (typeof lineage !== 'string' || !whole(generation) || !whole(counter)) return null;
  const atMs = typeof rest.atMs === 'number' && Number.isFinite(rest.atMs) ? rest.atMs : null;
  return { lineage, generation, counter, folder: text(rest.folder), place: text(rest.place), atMs };
}
