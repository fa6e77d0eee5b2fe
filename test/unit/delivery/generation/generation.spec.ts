import { describe, expect, it } from 'vitest';
import {
  isBehind,
  judge,
  readNote,
  type Beat,
  type Fingerprint,
  type LedgerNote,
  type LedgerRow,
} from '../../../../src/delivery/generation/generation.js';

const actual: Fingerprint = { system: '7', timeline: 1, database: '16384', table: '16390' };
/** As version 0.10.0 wrote it. */
const older: LedgerRow = {
  lineage: 'a',
  generation: 2,
  counter: 50,
  fingerprint: actual,
  refused: null,
  confirmed: null,
};
const row: LedgerRow = { ...older, server: '1000.5' };
const BEAT_MS = 2_000_000;
const beat: Beat = { atMs: BEAT_MS, server: '1000.5' };
const note: LedgerNote = {
  lineage: 'a',
  generation: 2,
  counter: 50,
  folder: null,
  place: '5',
  atMs: BEAT_MS,
};
/** The server was started again after the last beat. */
const anew: Beat = { atMs: BEAT_MS, server: '3000.5' };
const verdict = (change: Partial<Parameters<typeof judge>[0]>): string => {
  const known = {
    row,
    beat,
    note,
    actual,
    hasMessages: true,
    missing: false,
    folder: null,
    place: '5',
    kept: true,
  };
  const judged = judge({ ...known, ...change });
  return judged.kind === 'refuse' ? judged.reason : judged.kind;
};

describe('whether this is the database that sent last', () => {
  it.each<[string, Partial<Parameters<typeof judge>[0]>, RegExp | string]>([
    ['the one we know', {}, 'same'],
    ['one that has gone on without us', { row: { ...row, counter: 90 } }, 'same'],
    ['a worker that has never seen it', { note: null }, 'same'],
    [
      'a worker that was at another database before',
      { note: { ...note, lineage: 'b', counter: 99 } },
      'same',
    ],
    ['one the owner has confirmed meanwhile', { row: { ...row, generation: 3, counter: 1 } }, 'same'],
    ['a first start', { row: null, note: null, hasMessages: false }, 'new'],
    ['a first start whose row was taken back', { row: null, note: { ...note, counter: 0 } }, 'new'],
    ['a first start with this version', { row: null, note: null }, 'new'],
    ['a fresh database beside an old data folder', { row: null, hasMessages: false }, 'new'],
    ['a backup of before the first start', { row: null }, /older/],
    ['a backup', { row: { ...row, counter: 49 } }, /older/],
    ['a backup of before the last confirmation', { row: { ...row, generation: 1, counter: 900 } }, /older/],
    ['a copy on the same server', { actual: { ...actual, database: '16999' } }, /copy/],
    ['a dump restored elsewhere', { actual: { ...actual, system: '8' } }, /copy/],
    ['a dump restored into the same database', { actual: { ...actual, table: '17000' } }, /copy/],
    ['a promoted replica', { actual: { ...actual, timeline: 2 } }, /promoted/],
    ['a copied data folder', { note: { ...note, folder: '11' }, folder: '12' }, /data folder is a copy/],
    ['a data folder without the database in it', { note: { ...note, folder: '11' }, folder: null }, 'same'],
    [
      'a server that does not tell who it is',
      { actual: { ...actual, system: null, timeline: null } },
      'same',
    ],
    ['a note nobody can read', { note: 'unreadable' }, /cannot be read/],
    [
      'what another worker has found out',
      { note: null, row: { ...row, refused: { reason: 'older', generation: 2, counter: 60 } } },
      'older',
    ],
    ['a server that was started anew, and the folder of before', { beat: anew }, 'same'],
    ['the same with the folder of an earlier version', { beat: anew, note: { ...note, atMs: null } }, 'same'],
    ['a server that was started anew, and an empty folder', { beat: anew, note: null }, 'unseen'],
    [
      'the same where the owner says that folders are not kept',
      { beat: anew, note: null, kept: false },
      'same',
    ],
    ['the same of a ledger without a mail', { beat: anew, note: null, hasMessages: false }, 'same'],
    [
      'a server that was started anew, and the folder of another database',
      { beat: anew, note: { ...note, lineage: 'b' } },
      'unseen',
    ],
    [
      'a server that was started anew, and a folder that was left behind an hour before its last beat',
      { beat: anew, note: { ...note, counter: 3, atMs: BEAT_MS - 3_600_000 } },
      'unseen',
    ],
    [
      'a server that was started anew, and the folder of a worker that stopped minutes before the last one',
      { beat: anew, note: { ...note, counter: 40, atMs: BEAT_MS - 300_000 } },
      'same',
    ],
    ['what somebody on this folder has sent last is not there', { beat: anew, missing: true }, 'older'],
    ['database and folder both restored file by file', { beat: anew, place: '6' }, 'unseen'],
    ['a folder that was moved, while the server ran on', { place: '6' }, 'same'],
    ['a folder whose number does not stay', { beat: anew, place: null }, 'same'],
    ['a row of an earlier version on the server that took its last beat', { row: older, note: null }, 'same'],
    [
      'a row of an earlier version on a server that was started after its last beat',
      { row: older, note: null, beat: anew },
      'unseen',
    ],
  ])('%s', (_, change, expected) => expect(verdict(change)).toMatch(expected));

  it('counts a generation before a counter', () => {
    expect(isBehind({ ...note, generation: 1, counter: 99 }, note)).toBe(true);
    expect(isBehind(note, note)).toBe(false);
    expect(isBehind({ ...note, counter: 49 }, note)).toBe(true);
  });

  it('reads back a note and nothing else', () => {
    expect(readNote(JSON.stringify(note))).toEqual(note);
    expect(readNote('{"lineage":"a","generation":1,"counter":2,"folder":null}')).toMatchObject({
      ...{ folder: null, place: null, atMs: null },
    });
    for (const text of [
      '',
      '{',
      'null',
      '[]',
      '{"lineage":"a"}',
      '{"lineage":"a","generation":1,"counter":"2"}',
    ])
      expect(readNote(text)).toBeNull();
  });
});
