import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readTables } from '../../../src/imports/columns.js';
import { reportCsv } from '../../../src/imports/report-csv.js';
import { openTable, tablesIn } from '../../../src/imports/table-files.service.js';
import { openUpload } from '../../../src/infra/http/upload.js';
import { zipOf } from '../../support/zip.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wellspring-files-spec-'));
});
afterAll(async () => rm(folder, { recursive: true }));

async function tablesOf(bytes: Buffer): Promise<[name: string, text: string][]> {
  const path = join(folder, 'file');
  await writeFile(path, bytes);
  const found: [string, string][] = [];
  for (const table of await tablesIn(path, 'given.csv')) {
    const all: Buffer[] = [];
    for await (const piece of table.pieces()) all.push(piece);
    found.push([table.name, Buffer.concat(all).toString()]);
  }
  return found;
}

function withTwoEntries(archive: Buffer): Buffer {
  archive.writeUInt16LE(2, archive.length - 12);
  return archive;
}

describe('a file of tables', () => {
  it('is one table, or those of an archive, with the ones of people who left first', async () => {
    expect(await tablesOf(Buffer.from('email\n'))).toEqual([['given.csv', 'email\n']]);
    const long = 'ada@example.com\n'.repeat(40_000);
    const archive = zipOf({
      'subscribed_members_export_1.csv': long,
      '__MACOSX/._subscribed_members_export_1.csv': 'x',
      'read me.pdf': '%PDF',
      'nonsubscribed_members_export_1.csv': 'c',
      'a/unsubscribed_members_export_1.csv': 'b',
      'cleaned_members_export_1.csv': '',
    });
    expect(await tablesOf(archive)).toEqual([
      ['cleaned_members_export_1.csv', ''],
      ['a/unsubscribed_members_export_1.csv', 'b'],
      ['nonsubscribed_members_export_1.csv', 'c'],
      ['subscribed_members_export_1.csv', long],
    ]);
  });

  it.each([
    ['cut off', zipOf({ 'a.csv': 'email\n'.repeat(99) }).subarray(0, -30)],
    ['without a table', zipOf({ 'a.pdf': 'x' })],
    ['encrypted', zipOf({ 'a.csv': 'x' }, () => ({ flags: 1 }))],
    ['packed otherwise', zipOf({ 'a.csv': 'x' }, () => ({ method: 12 }))],
    ['with more in it than it says', zipOf({ 'a.csv': 'x'.repeat(9_999) }, () => ({ bytes: 9 }))],
    ['with less in it than it says', zipOf({ 'a.csv': 'x' }, () => ({ bytes: 9 }))],
    ['with another checksum', zipOf({ 'a.csv': 'x' }, () => ({ crc32: 1 }))],
    ['that names more than there is', withTwoEntries(zipOf({ 'a.csv': 'x' }))],
  ])('is refused when it is an archive %s', async (_, archive) => {
    await expect(tablesOf(archive)).rejects.toMatchObject({ code: 'IMPORT_FILE_INVALID' });
  });

  it('is refused before more is unpacked than an import may hold', async () => {
    const bomb = zipOf({ 'a.csv': 'x', 'b.csv': 'x' }, () => ({ bytes: 600_000_000 }));
    await expect(tablesOf(bomb)).rejects.toMatchObject({ code: 'IMPORT_FILE_TOO_LARGE' });
  });

  it('that is empty is refused by its name', async () => {
    await writeFile(join(folder, 'empty'), zipOf({ 'nobody.csv': '' }));
    const [file] = await tablesIn(join(folder, 'empty'), '');
    await expect(
      openTable(file ?? { name: '', pieces: () => (async function* () {})() }, {
        encoding: null,
        delimiter: null,
      }),
    ).rejects.toThrow('nobody.csv: it is empty');
  });
});

describe('the tables of an archive', () => {
  const tables = [
    { name: 'cleaned_x.csv', headers: ['Email Address', 'LEID', 'CLEAN_TIME'] },
    { name: 'nonsubscribed_x.csv', headers: ['Email Address', 'LEID', 'Shoe'] },
    { name: 'subscribed_x.csv', headers: ['Email Address', 'LEID', 'OPTIN_TIME'] },
  ];

  it('have the status of their file, and a column need stand in one of them only', () => {
    const definitions = new Map([
      ['shoe', { key: 'shoe', label: 'x', type: 'number' as const, choices: [] }],
    ]);
    const read = readTables(tables, { Shoe: 'field:shoe' }, definitions);
    expect(read).toMatchObject({
      ok: true,
      tables: [
        { status: 'bounced' },
        { status: 'pending', targets: ['email', 'ignore', 'field:shoe'] },
        { status: 'active' },
      ],
    });
    expect(readTables(tables, { Hat: 'name' }, definitions)).toMatchObject({ ok: false });
  });

  it('are named in the report of what came to nothing', async () => {
    const source = {
      ...{
        shape: 'mailchimp' as const,
        encoding: 'utf-8' as const,
        delimiter: ',',
        columns: [],
        ignored: [],
      },
      tables: [
        { name: 'a.csv', linesBefore: 0 },
        { name: 'b.csv', linesBefore: 10 },
      ],
    };
    let text = '';
    const rows = [
      { line: 10, reason: 'email: it has no @', email: null, cells: ['x'] },
      { line: 12, reason: 'the same address as in line 3', email: 'a@example.com', cells: null },
    ];
    for await (const piece of reportCsv(
      source,
      (async function* () {
        yield rows;
      })(),
    ))
      text += piece;
    expect(text.trim().split('\r\n').slice(1)).toEqual([
      '"a.csv","10","email: it has no @","","x"',
      '"b.csv","2","the same address as in line 3 of a.csv","a@example.com"',
    ]);
  });
});

describe('an uploaded file', () => {
  const form = (file: Buffer, name = 'people.csv'): Buffer =>
    Buffer.concat([
      Buffer.from('--b1\r\nContent-Disposition: form-data; name="note"\r\n\r\n--b\r\nhello\r\n'),
      Buffer.from(`--b1\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\n`),
      Buffer.from('Content-Type: text/csv\r\n\r\n'),
      file,
      Buffer.from('\r\n--b1\r\nContent-Disposition: form-data; name="after"\r\n\r\nx\r\n--b1--\r\n'),
    ]);
  async function received(body: Buffer, cuts: number[], type = 'multipart/form-data; boundary=b1') {
    const places = [0, ...cuts.map((cut) => cut % (body.length + 1)).toSorted((a, b) => a - b), body.length];
    async function* cut(): AsyncGenerator<Buffer> {
      for (const [index, end] of places.slice(1).entries()) yield body.subarray(places[index], end);
    }
    const { fileName, pieces } = await openUpload(cut(), type);
    const all: Buffer[] = [];
    for await (const piece of pieces) all.push(piece);
    return { fileName, file: Buffer.concat(all).toString('latin1') };
  }

  it('comes out as it went in, wherever the body is cut and whatever it holds', async () => {
    const piece = fc.constantFrom('\r\n', '--b1', '--', '\r', '\n', 'a', '\r\n--b', 'é', '"');
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { maxLength: 12 }).map((all) => all.join('')),
        fc.array(fc.nat(), { maxLength: 6 }),
        async (text, cuts) => {
          fc.pre(!`\r\n${text}`.includes('\r\n--b1'));
          expect(await received(form(Buffer.from(text, 'latin1')), cuts)).toEqual({
            fileName: 'people.csv',
            file: text,
          });
        },
      ),
    );
  });

  it.each([
    [
      'no file',
      Buffer.from('--b1\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n--b1--'),
      undefined,
    ],
    ['half of one', form(Buffer.from('x'.repeat(99))).subarray(0, 250), undefined],
    ['nothing', Buffer.alloc(0), undefined],
    ['no boundary', form(Buffer.from('x')), 'multipart/form-data'],
    ['a header without end', Buffer.from(`--b1\r\n${'x'.repeat(20_000)}`), undefined],
  ])('is missing in a body of %s', async (_, body, type) => {
    await expect(received(body, [7], type)).rejects.toMatchObject({ code: 'UPLOAD_INVALID' });
  });
});
