import { existsSync } from 'node:fs';
import { mkdtemp, rm, rmdir, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ExportsService } from '../../../src/imports/exports.service.js';
import { forgetImportedRows } from '../../../src/imports/forget.queries.js';
import type { ImportJob } from '../../../src/imports/import-job.js';
import { importOptions } from '../../../src/imports/imports.schemas.js';
import { ImportsService } from '../../../src/imports/imports.service.js';
import { SubscribersService } from '../../../src/subscribers/subscribers.service.js';
import { SuppressionsService } from '../../../src/subscribers/suppressions.service.js';
import { API_KEY, startTestApp, type TestApp } from '../../support/app.js';

let t: TestApp;
let folder: string;
beforeAll(async () => {
  t = await startTestApp();
  folder = await mkdtemp(join(tmpdir(), 'wellspring-round-trip-'));
  await t.dataSource.query(
    `insert into subscriber_field (key, label, type, choices, created_at) values ('plan', 'Plan', 'text', '[]', now()),
       ('age', 'Age', 'number', '[]', now()), ('born', 'Born', 'date', '[]', now()), ('vip', 'VIP', 'boolean', '[]', now()),
       ('size', 'Size', 'choice', '["S", "=L"]', now())`,
  );
  await t.dataSource.query(
    `insert into list (key, title, created_at) values ('news', 'N', now()), ('vip', 'V', now())`,
  );
});
afterAll(async () => {
  await t.close();
  await rm(folder, { recursive: true });
});

const odd = fc.constantFrom(
  '=1+1',
  "'=1",
  "''x",
  '-5',
  '-a',
  '@x',
  '\t=1',
  'a,b',
  'a"b',
  'a\nb',
  'a\r\nb',
  ' x ',
  '',
  'é',
  '+49',
  ';',
  '😀',
);
const word = fc
  .oneof(odd, fc.string({ unit: 'grapheme', maxLength: 12 }))
  .filter((text) => !text.includes('\0'));
const name = word
  .map((text) => text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '').trim())
  .filter((text) => text !== '');
const at = fc
  .integer({ min: 1_500_000_000_000, max: 1_760_000_000_000 })
  .map((ms) => new Date(ms).toISOString());
const person = fc.record({
  status: fc.constantFrom('pending', 'active', 'unsubscribed', 'bounced', 'complained'),
  name: fc.option(name),
  timeZone: fc.option(fc.constantFrom('Europe/Berlin', 'America/New_York')),
  locale: fc.option(fc.constantFrom('en', 'de-AT')),
  tracking: fc.boolean(),
  fields: fc.record(
    {
      plan: fc.oneof(word, fc.constant(7)),
      age: fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer(), fc.constant('7')),
      born: fc.constantFrom('2000-02-29', 'never'),
      vip: fc.boolean(),
      size: fc.constantFrom('S', '=L', 'XL'),
      loose: fc.oneof(word, fc.integer(), fc.boolean()),
    },
    { requiredKeys: [] },
  ),
  tags: fc.uniqueArray(name, { maxLength: 3 }),
  lists: fc.subarray(['news', 'vip']),
  createdAt: at,
  consent: fc.option(
    fc.record({
      text: word.filter((text) => text.trim() !== ''),
      at,
      ip: fc.option(fc.constantFrom('203.0.113.9', '2001:db8::1')),
    }),
  ),
  confirmedAt: at,
  leftAt: at,
  topicsOff: fc.subarray(['niche-ebook', 'news']),
  pausedDays: fc.option(fc.integer({ min: 1, max: 90 })),
});
type Person = typeof person extends fc.Arbitrary<infer T> ? T : never;

async function exported(): Promise<string> {
  let text = '';
  for await (const piece of await t.app
    .get(ExportsService, { strict: false })
    .subscribers(null, 'command line'))
    text += piece;
  return text;
}

async function seed(people: readonly Person[]): Promise<void> {
  const db = t.dataSource;
  for (const [index, one] of people.entries()) {
    const email = `P${index}+x@example.com`;
    const [{ id }] = await db.query(
      `insert into subscriber (email, email_key, name, status, time_zone, locale, fields, tracking_consent, created_at, confirmed_at, updated_at,
         paused_until)
       values ($1, lower($1), $2, $3, $4, $5, $6, $7, $8, $9, $8, $10::timestamptz + $11 * interval '1 day') returning id`,
      [
        email,
        one.name,
        one.status,
        one.timeZone,
        one.locale,
        JSON.stringify(one.fields),
        one.tracking,
        one.createdAt,
        one.status === 'pending' ? null : one.confirmedAt,
        t.clock.now(),
        one.pausedDays,
      ],
    );
    await db.query(
      'insert into tag (name, created_at) select unnest($1::text[]), now() on conflict do nothing',
      [one.tags],
    );
    await db.query('insert into subscriber_tag select $1, id, now() from tag where name = any ($2::text[])', [
      id,
      one.tags,
    ]);
    await db.query('insert into list_member select id, $1, now() from list where key = any ($2::text[])', [
      id,
      one.lists,
    ]);
    await db.query('insert into topic_opt_out select $1, unnest($2::text[]), now()', [id, one.topicsOff]);
    if (one.consent)
      await db.query(
        `insert into consent_event (subscriber_id, kind, purpose, consent_text, ip, at) values ($1, 'granted', 'marketing', $2, $3, $4)`,
        [id, one.consent.text, one.consent.ip, one.consent.at],
      );
    if (one.status === 'unsubscribed')
      await db.query(
        `insert into consent_event (subscriber_id, kind, purpose, at) values ($1, 'withdrawn', 'marketing', $2)`,
        [id, one.leftAt],
      );
  }
}

/** All that a person decided and is, as the tables have it: a column that the export lacks makes no difference to two exports. */
async function kept(): Promise<unknown> {
  return t.dataSource.query(
    `select s.email, s.email_key, s.name, s.status, s.time_zone, s.locale, s.fields, s.tracking_consent, s.created_at, s.confirmed_at,
       s.paused_until, array(select topic_key from topic_opt_out o where o.subscriber_id = s.id order by 1) as topics_off,
       array(select t.name from subscriber_tag g join tag t on t.id = g.tag_id where g.subscriber_id = s.id order by 1) as tags,
       array(select l.key from list_member m join list l on l.id = m.list_id where m.subscriber_id = s.id order by 1) as lists
     from subscriber s order by s.email`,
  );
}

it('an export is read back by the import as the same people, byte for byte when exported again', async () => {
  const imports = t.app.get(ImportsService, { strict: false });
  const path = join(folder, 'export.csv');
  const empty = async (): Promise<void> => {
    await t.dataSource.query('delete from subscriber');
    await t.dataSource.query('delete from suppression');
  };
  await fc.assert(
    fc.asyncProperty(fc.array(person, { minLength: 1, maxLength: 25 }), async (people) => {
      await empty();
      await seed(people);
      const first = await exported();
      const before = await kept();
      await empty();
      await writeFile(path, first);
      const { id } = await imports.create({
        fileName: 'export.csv',
        dryRun: false,
        options: importOptions.parse({}),
      });
      await imports.takeFile(id, path);
      await imports.run(id);
      expect((await imports.get(id)).counts).toMatchObject({ created: people.length, rejected: 0 });
      expect(await kept()).toEqual(before);
      expect(await exported()).toBe(first);
    }),
    { numRuns: 20 },
  );
});

it('exports a segment alone, over REST', async () => {
  await t.dataSource.query('delete from subscriber');
  await seed(fc.sample(person, { numRuns: 3, seed: 1 }).map((one) => ({ ...one, tags: [] })));
  await t.dataSource.query(`insert into tag (name, created_at) values ('only', now())`);
  await t.dataSource.query(
    `insert into subscriber_tag select s.id, t.id, now() from subscriber s, tag t where s.email_key = 'p1+x@example.com' and t.name = 'only'`,
  );
  const key = (path: string) =>
    t.http.get(`/api/v1/exports/subscribers${path}`).set('Authorization', `Bearer ${API_KEY}`);
  await t.http
    .post('/api/v1/segments')
    .set('Authorization', `Bearer ${API_KEY}`)
    .send({ key: 'only', title: 'Only', conditions: { tag: 'only' } })
    .expect(201);
  const { text, headers } = await key('?segment=only').expect(200);
  expect(headers['content-disposition']).toContain('only.csv');
  expect(text.match(/^"P\d/gm)).toEqual(['"P1']);
  await key('?segment=gone').expect(404);
  await t.http.get('/api/v1/exports/subscribers').expect(401);
});

it('writes new people in the order of addresses, in which two imports of the same people cannot end in a deadlock, with ids in that of the file', async () => {
  await t.dataSource.query('delete from subscriber');
  await t.dataSource.query(
    `create sequence writes;
     create function numbered() returns trigger language plpgsql as $$ begin new.name := nextval('writes'); return new; end $$;
     create trigger numbered before insert on subscriber for each row execute function numbered()`,
  );
  const imports = t.app.get(ImportsService, { strict: false });
  const path = join(folder, 'reversed.csv');
  await writeFile(path, 'email\nz@example.com\nm@example.com\na@example.com\n');
  const options = importOptions.parse({});
  const { id } = await imports.create({ fileName: 'reversed.csv', dryRun: false, options });
  await imports.takeFile(id, path);
  await imports.run(id);
  await t.dataSource.query('drop function numbered cascade; drop sequence writes');
  expect(await t.dataSource.query('select email, name as written from subscriber order by id')).toEqual([
    { email: 'z@example.com', written: '3' },
    { email: 'm@example.com', written: '2' },
    { email: 'a@example.com', written: '1' },
  ]);
});

it('keeps the counts of an import that was cancelled half-way, and not its batches', async () => {
  const imports = t.app.get(ImportsService, { strict: false });
  const { id } = await imports.create({ fileName: 't.csv', dryRun: false, options: importOptions.parse({}) });
  await t.dataSource.query(
    `with begun as (update import_job set state = 'running', counts = '{"rejected": 1}' where id = $1)
     insert into import_batch (import_id, from_line, to_line, counts)
     values ($1, 0, 10000, '{"created": 3}'), ($1, 10000, 20000, '{"created": 2, "updated": 1}'), ($1, 20000, 30000, null)`,
    [id],
  );
  const before = (await imports.cancel(id)).counts;
  await imports.clean();
  expect(before).toEqual({ created: 5, updated: 1, rejected: 1 });
  expect((await imports.get(id)).counts).toEqual(before);
  expect(await t.dataSource.query('select 1 from import_batch where import_id = $1', [id])).toEqual([]);
});

it('leaves no file for good that a process was reading when it was killed', async () => {
  const at = (): Promise<string> => mkdtemp(join(tmpdir(), 'wellspring-import-'));
  const [killed, underWay] = [await at(), await at()];
  await utimes(killed, 0, new Date(t.clock.now().getTime() - 90_000_000));
  await t.app.get(ImportsService, { strict: false }).clean();
  expect([killed, underWay].map((path) => existsSync(path))).toEqual([false, true]);
  await rmdir(underWay);
});

async function taken(table: string, options: object = {}, dryRun = false): Promise<ImportJob> {
  const imports = t.app.get(ImportsService, { strict: false });
  const path = join(folder, 'noes.csv');
  await writeFile(path, table);
  const { id } = await imports.create({ fileName: 't.csv', dryRun, options: importOptions.parse(options) });
  await imports.takeFile(id, path);
  await imports.run(id);
  return imports.get(id);
}
const statusOf = async (email: string): Promise<unknown> =>
  t.dataSource.query('select status from subscriber where email_key = $1', [email]);

it('takes the no of an address that stands twice in a table: they were written to, as the first row had them', async () => {
  const rows = ['twice@example.com,active', 'other@example.com,active', 'twice@example.com,unsubscribed'];
  const job = await taken(`email,status\n${rows.join('\n')}\n`, { consentText: 'Yes.' });
  expect(job.counts).toMatchObject({ created: 2, duplicate: 1 });
  expect(await statusOf('twice@example.com')).toEqual([{ status: 'unsubscribed' }]);
  await taken(
    `email,status,confirmed_at,unsubscribed_at
back@example.com,unsubscribed,,2019-01-01T00:00:00Z
back@example.com,active,2024-01-01T00:00:00Z,
dead@example.com,unsubscribed,,2019-01-01T00:00:00Z
dead@example.com,bounced,,
`,
    { consentText: 'Yes.', columns: { confirmed_at: 'confirmedAt', unsubscribed_at: 'leftAt' } },
  );
  expect(await statusOf('back@example.com')).toEqual([{ status: 'active' }]);
  expect(await statusOf('dead@example.com')).toEqual([{ status: 'bounced' }]);
});

it('takes a complaint about somebody whom the owner wanted no newsletters to go to; it was lost', async () => {
  await taken('email\nblocked@example.com\n', { status: 'active', consentText: 'Yes.' });
  const suppressions = t.app.get(SuppressionsService, { strict: false });
  const entry = {
    emailKey: 'blocked@example.com',
    scope: 'marketing',
    reason: 'manual',
    source: 'api',
  } as const;
  await suppressions.add(t.dataSource.manager, entry);
  const job = await taken('email,status\nblocked@example.com,complained\n');
  expect(job.counts).toMatchObject({ left: 1 });
  expect(await statusOf('blocked@example.com')).toEqual([{ status: 'complained' }]);
  const reasons = (await suppressions.of('blocked@example.com')).map(
    ({ scope, reason }) => `${scope} ${reason}`,
  );
  expect(reasons).toContain('all complaint');
});

it('bars all mail to who had left here and whom a table calls dead or a complainant: receipts still went to them', async () => {
  await t.dataSource.query('delete from subscriber; delete from suppression');
  const suppressions = t.app.get(SuppressionsService, { strict: false });
  const names = ['dead', 'angry', 'gone', 'nobody'].map((name) => `${name}@example.com`);
  await taken(`email\n${names.slice(0, 3).join('\n')}\n`, { status: 'active', consentText: 'Yes.' });
  const people: { id: string }[] = await t.dataSource.query('select id from subscriber');
  for (const { id } of people)
    await t.dataSource.transaction((m) => t.app.get(SubscribersService).unsubscribe(m, id, 'page'));
  const entry = { emailKey: 'nobody@example.com', scope: 'marketing', reason: 'manual' } as const;
  await suppressions.add(t.dataSource.manager, { ...entry, source: 'api' });
  const said = ['bounced', 'complained', 'unsubscribed', 'bounced'];
  const table = `email,status\n${names.map((name, nth) => `${name},${said[nth]}`).join('\n')}\n`;
  expect((await taken(table)).counts).toMatchObject({ left: 2, suppressed: 2 });
  const scopes = names.map(async (name) => (await suppressions.of(name)).map(({ scope }) => scope).join(' '));
  expect(await Promise.all(scopes)).toEqual([
    ...['all marketing', 'all marketing', 'marketing', 'all marketing'],
  ]);
  expect(await t.dataSource.query('select email, status from subscriber order by id')).toEqual([
    { email: 'dead@example.com', status: 'bounced' },
    { email: 'angry@example.com', status: 'complained' },
    { email: 'gone@example.com', status: 'unsubscribed' },
  ]);
  expect((await taken(table)).counts).toMatchObject({ suppressed: 4 });
});

it('takes the topics that somebody known wants no mails about, and not where they have decided about it here since', async () => {
  await t.dataSource.query('delete from subscriber; delete from suppression');
  await taken('email\nhere@example.com\nback@example.com\n', { status: 'active', consentText: 'Yes.' });
  await t.dataSource.query(
    `insert into consent_event (subscriber_id, kind, purpose, at)
     select id, 'granted', 'topic:news', now() from subscriber where email = 'back@example.com'`,
  );
  const table = 'wellspring:email,topicsOff\nhere@example.com,"news,other"\nback@example.com,news\n';
  expect((await taken(table)).counts).toMatchObject({ updated: 1, unchanged: 1 });
  expect((await taken(table)).counts).toMatchObject({ unchanged: 2 });
  const said = await t.dataSource.query(
    `select s.email, o.topic_key as key, e.kind from topic_opt_out o join subscriber s on s.id = o.subscriber_id
       join consent_event e on e.subscriber_id = s.id and e.purpose = 'topic:' || o.topic_key order by 2`,
  );
  expect(said).toEqual([
    { email: 'here@example.com', key: 'news', kind: 'withdrawn' },
    { email: 'here@example.com', key: 'other', kind: 'withdrawn' },
  ]);
});

it('refuses a real run whose rows are gone since the dry one; it said done and took nobody', async () => {
  const { id } = await taken('email\nlate@example.com\n', {}, true);
  await t.dataSource.query('delete from import_row where import_id = $1', [id]);
  const imports = t.app.get(ImportsService, { strict: false });
  await expect(imports.runForReal(id)).rejects.toMatchObject({
    code: 'IMPORT_STATE_CONFLICT',
    message: expect.stringContaining('no longer kept'),
  });
});

it('forgets with a person also a refused row of theirs, which only its cells name', async () => {
  await taken('email,created_at\nForget@example.com,3/4/2024\nunforget@example.com,3/4/2024\n');
  const refused = async (): Promise<unknown> =>
    t.dataSource.query(
      `select cells[1] as address from import_row where problem like '%two dates%' order by 1`,
    );
  expect(await refused()).toEqual([{ address: 'Forget@example.com' }, { address: 'unforget@example.com' }]);
  await t.dataSource.transaction(async (manager) => forgetImportedRows(manager, 'forget@example.com'));
  expect(await refused()).toEqual([{ address: 'unforget@example.com' }]);
});
