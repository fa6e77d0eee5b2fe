import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { importOptions } from '../../../src/imports/imports.schemas.js';
import { ImportsService } from '../../../src/imports/imports.service.js';
import { addressHash } from '../../../src/subscribers/address-hash.js';
import { comesTrue } from '../patience.js';
import { harmAtPlaces, type Harm, type Place } from '../harm-at-places.js';
import { expectThat, type Scenario } from '../scenario.js';
import type { World } from '../world.js';
import { audience } from './broadcasts.js';

const JOB = 'imports.run';
/** Seven batches of 10,000 lines. */
const NEW = 60_000;
const READERS = 1_500;
const KEPT_OUT = 400;
const SUPPRESSED = 300;
const TWICE = 2_000;
const BAD = 1_000;

const EXPECTED: Readonly<Record<string, number>> = {
  created: NEW - SUPPRESSED,
  updated: READERS - KEPT_OUT,
  keptOut: KEPT_OUT,
  suppressed: SUPPRESSED,
  duplicate: TWICE,
  rejected: BAD,
};

const READING: readonly Place[] = [
  { statement: 'select bytes from import_file', moment: 'committed' },
  { statement: 'copy import_row', moment: 'sent' },
  { statement: 'new-30000@example.org', moment: 'sent' },
  { statement: 'with several as (', moment: 'sent' },
  { statement: 'with several as (', moment: 'sent', atEnd: true },
  { statement: 'with several as (', moment: 'committed', atEnd: true },
  { statement: 'update import_job set source', moment: 'committed' },
  { statement: 'update import_job set source', moment: 'sent', atEnd: true },
];

const MERGING: readonly Place[] = [
  { statement: 'insert into import_batch', moment: 'committed' },
  { statement: 'insert into import_batch', moment: 'committed', atEnd: true },
  { statement: 'create temp table merge_batch', moment: 'sent' },
  { statement: 'from merge_batch group by outcome', moment: 'sent' },
  { statement: 'from merge_batch group by outcome', moment: 'committed', hit: 2 },
  { statement: 'update import_batch set counts', moment: 'sent' },
  { statement: 'update import_batch set counts', moment: 'sent', atEnd: true },
  { statement: 'update import_batch set counts', moment: 'committed', atEnd: true },
  { statement: 'update import_job j set counts', moment: 'committed' },
  { statement: 'update import_job j set counts', moment: 'sent', atEnd: true },
];

export const importScenarios: readonly Scenario[] = [importing('kill -9'), importing('PostgreSQL crash')];

function importing(harm: Harm): Scenario {
  return {
    name: `import of ${NEW + READERS + TWICE + BAD} rows, ${harm} at each point of reading and merging`,
    covers: harm === 'kill -9' ? 'F1 F36' : 'F4 F36',
    short: false,
    mails: 1,
    crashesServer: harm !== 'kill -9',
    run: async (world) => {
      await audience(world, READERS);
      await world.sql(
        `update subscriber set status = 'unsubscribed' where id in (select id from subscriber order by id limit $1)`,
        [KEPT_OUT],
      );
      const id = await begun(world, await table(world));
      const after = async (): Promise<string[]> => half(world, id);
      const wrong = await harmAtPlaces(world, {
        ...{ harm, places: [...READING, ...MERGING], job: JOB, after },
        isOver: async () => (await stateOf(world, id)) === 'done',
      });
      const isOver = async (): Promise<boolean> => {
        await world.wake(JOB);
        return (await stateOf(world, id)) === 'done';
      };
      const over = await comesTrue(isOver);
      await world.release();
      await world.finish();
      return [...wrong, ...expectThat(over, 'it was never done'), ...(await whole(world, id))];
    },
  };
}

/** People who are new, here, gone, suppressed, named twice, and lines that are nobody. */
async function table(world: World): Promise<string> {
  const readers = await world.sql<{ email: string }>('select email from subscriber');
  const lines = [
    ...Array.from({ length: NEW }, (_, n) => `new-${n}@example.org,Reader ${n}`),
    ...readers.map(({ email }) => `${email},Reader`),
    ...Array.from({ length: TWICE }, (_, n) => `New-${n * 7}@example.org,Somebody else`),
    ...Array.from({ length: BAD }, (_, n) => `nobody ${n},Nobody`),
  ];
  return `Email,Name\n${lines.join('\n')}\n`;
}

/** The import as the owner begins it on the page; its rows are read by a worker. */
async function begun(world: World, csv: string): Promise<string> {
  const path = join(tmpdir(), `wellspring-fault-${randomUUID()}.csv`);
  await writeFile(path, csv);
  try {
    return await world.inProduct(async ({ app, config }) => {
      const hashes = Array.from({ length: SUPPRESSED }, (_, n) =>
        addressHash(config.secretKey, `new-${NEW - 1 - n}@example.org`),
      );
      await world.sql(
        `insert into suppression (email_hash, scope, reason, source, created_at)
         select h, 'all', 'hard_bounce', 'test', now() from unnest($1::bytea[]) h`,
        [hashes],
      );
      const imports = app.get(ImportsService, { strict: false });
      const options = importOptions.parse({
        status: 'active',
        consentText: 'Weekly news, please',
        tags: ['moved'],
      });
      const { id } = await imports.create({ fileName: 'people.csv', dryRun: false, options });
      await imports.keepFile(id, path);
      await imports.begin(id, { options, dryRun: false });
      return id;
    });
  } finally {
    await rm(path);
  }
}

async function stateOf(world: World, id: string): Promise<string> {
  const [row] = await world.sql<{ state: string }>('select state from import_job where id = $1', [id]);
  return row?.state ?? 'gone';
}

/** Between two harms: all rows of the file or none, and of each batch all or nothing. */
async function half(world: World, id: string): Promise<string[]> {
  const [found] = await world.sql<Record<'rows' | 'made' | 'tagged' | 'granted' | 'counted', number>>(
    `select (select count(*)::int from import_row where import_id = $1) as rows,
       (select count(*)::int from subscriber where email_key like 'new-%') as made,
       (select count(*)::int from subscriber_tag) as tagged,
       (select count(*)::int from consent_event where page_url = 'import:' || $1::bigint and kind = 'granted') as granted,
       (select coalesce(sum(value::int), 0)::int from (
          select counts from import_batch where import_id = $1 and counts is not null
          union all select counts from import_job j where id = $1 and not exists (select from import_batch b where b.import_id = j.id)) c
          cross join jsonb_each_text(c.counts) where key = 'created') as counted`,
    [id],
  );
  if (!found) return ['nothing is there'];
  const { rows, made, granted, counted } = found;
  const all = NEW + READERS + TWICE + BAD;
  return [
    ...expectThat(rows === 0 || rows === all, `${rows} of ${all} rows were read`),
    ...expectThat(
      made === counted && granted === made,
      `${made} made, ${granted} with consent, ${counted} counted`,
    ),
  ];
}

/** At the end: what the counts say is what is there, and nobody is there twice. */
async function whole(world: World, id: string): Promise<string[]> {
  const [job] = await world.sql<{ counts: Record<string, number> }>(
    'select counts from import_job where id = $1',
    [id],
  );
  const counts = Object.entries(EXPECTED).filter(([key, count]) => job?.counts[key] !== count);
  const [found] = await world.sql<
    Record<'people' | 'mailboxes' | 'tagged' | 'granted' | 'batches' | 'pieces', number>
  >(
    `select (select count(*)::int from subscriber) as people, (select count(distinct lower(email))::int from subscriber) as mailboxes,
       (select count(*)::int from subscriber_tag) as tagged,
       (select count(distinct subscriber_id)::int from consent_event where page_url = 'import:' || $1::bigint) as granted,
       (select count(*)::int from import_batch) as batches, (select count(*)::int from import_file) as pieces`,
    [id],
  );
  const { created = 0, updated = 0 } = EXPECTED;
  const expected = {
    ...{ people: created + READERS, mailboxes: created + READERS, tagged: created + updated },
    ...{ granted: created, batches: 0, pieces: 0 },
  };
  const others = Object.entries(expected).filter(
    ([key, count]) => found?.[key as keyof typeof expected] !== count,
  );
  return [
    ...expectThat(counts.length === 0, `counted ${JSON.stringify(job?.counts)}`),
    ...expectThat(
      others.length === 0,
      `found ${JSON.stringify(found)}, expected ${JSON.stringify(expected)}`,
    ),
  ];
}
