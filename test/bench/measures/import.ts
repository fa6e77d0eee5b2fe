import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { DataSource } from 'typeorm';
import { importOptions } from '../../../src/imports/imports.schemas.js';
import { ImportsService } from '../../../src/imports/imports.service.js';
import { atLeast, type BenchContext, fact, type Row } from '../bench.js';
import { openInstallation } from '../installation.js';

const BAR_PER_SECOND = 20_000;

/** A table as Mailchimp writes it, from the file to subscribers with evidence of consent and two tags each. */
export async function measure(context: BenchContext): Promise<Row[]> {
  if (!context.wants('import')) return [];
  const count = context.short ? 10_000 : 1_000_000;
  const installation = await openInstallation();
  try {
    const { app, dataSource, folder } = installation;
    const path = join(folder, 'table.csv');
    await pipeline(Readable.from(table(count)), createWriteStream(path));
    const imports = app.get(ImportsService, { strict: false });
    const { id } = await imports.create({
      fileName: 't.csv',
      dryRun: false,
      options: importOptions.parse({}),
    });
    const startedAt = performance.now();
    await imports.takeFile(id, path);
    const readAt = performance.now();
    await imports.run(id);
    const endedAt = performance.now();
    const { counts } = await imports.get(id);
    const [{ people }] = (await dataSource.query('select count(*)::int as people from subscriber')) as [
      { people: number },
    ];
    if (counts['created'] !== count || people !== count)
      throw new Error(`only ${people} of ${count} came in`);
    const perSecond = (from: number, to: number): number => count / ((to - from) / 1_000);
    const all = perSecond(startedAt, endedAt);
    const bare = await bareWrites(dataSource, count);
    return [
      fact('import: rows read and copied', perSecond(startedAt, readAt), '1/s'),
      fact('import: rows made subscribers', perSecond(readAt, endedAt), '1/s'),
      fact('import: the same rows written by bare statements', bare, '1/s'),
      fact('import: of the speed of bare statements', all / bare, 'x'),
      atLeast('import: rows from file to subscriber', all, BAR_PER_SECOND, '1/s'),
    ];
  } finally {
    await installation.close();
  }
}

/** Rows a second when nothing is read, judged or joined: all that came in, into tables with the same indexes. */
async function bareWrites(db: DataSource, count: number): Promise<number> {
  const tables = ['import_row', 'subscriber', 'consent_event', 'subscriber_tag'];
  for (const table of tables) await db.query(`create table bare_${table} (like ${table} including all)`);
  const startedAt = performance.now();
  for (const table of tables)
    await db.query(`insert into bare_${table} overriding system value select * from ${table}`);
  return count / ((performance.now() - startedAt) / 1_000);
}

function* table(count: number): Generator<string> {
  yield 'Email Address,First Name,Last Name,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,LEID,NOTES,TAGS\r\n';
  for (let from = 0; from < count; from += 1_000) {
    let text = '';
    for (let n = from; n < Math.min(from + 1_000, count); n += 1)
      text += `Reader.${n}@example.net,Grace,Reader ${n},2,2024-01-02 03:04:05,203.0.113.9,${n},,"""newsletter"",""spring, 2024"""\r\n`;
    yield text;
  }
}
