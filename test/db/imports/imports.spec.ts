import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { importOptions } from '../../../src/imports/imports.schemas.js';
import { ImportsService } from '../../../src/imports/imports.service.js';
import type { ImportJob } from '../../../src/imports/import-job.js';
import { becomesTrue } from '../../../src/infra/database/postmaster.js';
import { JobRunner } from '../../../src/infra/jobs/job-runner.js';
import { SubscribersService } from '../../../src/subscribers/subscribers.service.js';
import { SuppressionsService } from '../../../src/subscribers/suppressions.service.js';
import { API_KEY, startTestApp, type TestApp } from '../../support/app.js';
import { zipOf } from '../../support/zip.js';

let t: TestApp;
let imports: ImportsService;
let folder: string;
beforeAll(async () => {
  t = await startTestApp();
  imports = t.app.get(ImportsService, { strict: false });
  folder = await mkdtemp(join(tmpdir(), 'wellspring-imports-spec-'));
  await t.dataSource.query(
    `insert into subscriber_field (key, label, type, created_at) values ('plan', 'Plan', 'text', now()), ('age', 'Age', 'number', now())`,
  );
  await t.dataSource.query(`insert into list (key, title, created_at) values ('news', 'News', now())`);
});
afterAll(async () => {
  await t.close();
  await rm(folder, { recursive: true });
});
beforeEach(async () => {
  await t.dataSource.query(
    'delete from subscriber; delete from subscriber_tag; delete from consent_event; delete from suppression',
  );
});

const api = (method: 'get' | 'post' | 'put', path: string) =>
  t.http[method](`/api/v1/imports${path}`).set('Authorization', `Bearer ${API_KEY}`);

async function staged(table: string | Buffer, options: object, dryRun = false): Promise<string> {
  const path = join(folder, 'table.csv');
  await writeFile(path, table);
  const { id } = await imports.create({ fileName: 't.csv', dryRun, options: importOptions.parse(options) });
  await imports.takeFile(id, path);
  return id;
}
async function take(table: string | Buffer, options: object = {}, dryRun = false): Promise<ImportJob> {
  const id = await staged(table, options, dryRun);
  await imports.run(id);
  return imports.get(id);
}
async function counts(table: string | Buffer, options: object = {}): Promise<Record<string, number>> {
  return Object.fromEntries(
    Object.entries((await take(table, options)).counts).filter(([, count]) => count > 0),
  );
}
async function people(): Promise<Record<string, string>> {
  const rows: { email: string; status: string }[] = await t.dataSource.query(
    'select email, status from subscriber order by email',
  );
  return Object.fromEntries(rows.map(({ email, status }) => [email, status]));
}
async function known(
  email: string,
  status: string,
  rest: { name?: string; fields?: object } = {},
): Promise<string> {
  const rows: { id: string }[] = await t.dataSource.query(
    `insert into subscriber (email, email_key, name, status, fields, confirmed_at, created_at, updated_at)
     values ($1, lower($1), $2, $3, $4, case when $3 = 'active' then timestamptz '2025-01-01' end, now(), now()) returning id`,
    [email, rest.name ?? null, status, JSON.stringify(rest.fields ?? {})],
  );
  return rows[0]?.id ?? '';
}
/** For a lock. */
async function somebodyWaits(): Promise<boolean> {
  const [{ waiting }] = await t.dataSource.query(
    `select count(*)::int as waiting from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
  );
  return waiting > 0;
}
const active = { status: 'active', consentText: 'Send me tips' };

describe('an import', () => {
  it('makes subscribers with their evidence, tags, lists and fields', async () => {
    const table =
      'email,name,plan,age,tags,OPTIN_TIME,created_at\nAda@example.com,Ada,pro,41,"a,b",,2024-01-02\nbob@example.com,,,,,,\n';
    expect(await counts(table, { ...active, tags: ['imported'], lists: ['news'] })).toEqual({ created: 2 });
    const [ada] = await t.dataSource.query(
      `select s.*, array(select t.name from subscriber_tag st join tag t on t.id = st.tag_id where st.subscriber_id = s.id order by 1) as tags,
         (select count(*)::int from list_member m where m.subscriber_id = s.id) as lists from subscriber s where email = 'Ada@example.com'`,
    );
    expect(ada).toMatchObject({
      ...{ email_key: 'ada@example.com', status: 'active', name: 'Ada', fields: { plan: 'pro', age: 41 } },
      ...{ tags: ['a', 'b', 'imported'], lists: 1, created_at: new Date('2024-01-02T00:00:00Z') },
    });
    const evidence = await t.dataSource.query(
      'select kind, purpose, consent_text, page_url, length(text_hash) as hash, at from consent_event where subscriber_id = $1',
      [ada.id],
    );
    expect(evidence).toEqual([
      {
        ...{ kind: 'granted', purpose: 'marketing', consent_text: 'Send me tips', hash: 32 },
        ...{ page_url: expect.stringMatching(/^import:\d+$/), at: new Date('2024-01-02T00:00:00Z') },
      },
    ]);
  });

  it('brings nobody back: neither suppressed, nor unsubscribed, nor bounced people, whatever the table says', async () => {
    const suppressions = t.app.get(SuppressionsService, { strict: false });
    const entry = { scope: 'all', reason: 'erased', source: 'test' } as const;
    await suppressions.add(t.dataSource.manager, { ...entry, emailKey: 'erased@example.com' });
    await known('supp@example.com', 'pending');
    await suppressions.add(t.dataSource.manager, {
      ...entry,
      scope: 'marketing',
      emailKey: 'supp@example.com',
    });
    const left = await known('left@example.com', 'active');
    await t.dataSource.transaction((m) => t.app.get(SubscribersService).unsubscribe(m, left, 'page'));
    await known('bounced@example.com', 'bounced', { name: 'Old' });
    const table = `email,status,name\n${['erased', 'supp', 'left', 'bounced'].map((name) => `${name.toUpperCase()}@example.com,active,New`).join('\n')}`;
    for (const existing of ['fill', 'overwrite', 'skip'])
      expect(await counts(table, { ...active, existing })).toEqual({ suppressed: 3, keptOut: 1 });
    expect(await people()).toEqual({
      ...{
        'supp@example.com': 'pending',
        'left@example.com': 'unsubscribed',
        'bounced@example.com': 'bounced',
      },
    });
    const [{ name }] = await t.dataSource.query(
      `select name from subscriber where email = 'bounced@example.com'`,
    );
    expect(name).toBe('Old');
  });

  it('takes a no for a no: who left elsewhere is left here and suppressed, unless they came back later', async () => {
    await known('here@example.com', 'active');
    await known('back@example.com', 'active');
    const table =
      'Email Address,OPTIN_TIME,UNSUB_TIME\nhere@example.com,,2025-06-01 00:00:00\nback@example.com,,2024-06-01 00:00:00\nnew@example.com,,2024-06-01 00:00:00\n';
    expect(await counts(table)).toEqual({ left: 1, unchanged: 1, created: 1 });
    expect(await people()).toEqual({
      ...{
        'here@example.com': 'unsubscribed',
        'back@example.com': 'active',
        'new@example.com': 'unsubscribed',
      },
    });
    const suppressed = await t.dataSource.query('select scope, reason, source from suppression');
    expect(suppressed).toEqual(
      Array.from({ length: 2 }, () => ({ scope: 'marketing', reason: 'unsubscribed', source: 'import' })),
    );
  });

  it('fills gaps, overwrites or leaves alone whom it finds, and makes pending people active only with evidence', async () => {
    const ada = { name: 'Ada', fields: { plan: 'free', note: 'x' } };
    await known('a@example.com', 'active', ada);
    await known('p@example.com', 'pending');
    const table = 'email,name,plan,age,status\na@example.com,Other,pro,41,active\np@example.com,,,,active\n';
    expect(await counts(table, { existing: 'skip' })).toEqual({ skipped: 2 });
    const fields = async (): Promise<unknown> =>
      (await t.dataSource.query(`select name, fields from subscriber where email = 'a@example.com'`))[0];
    expect(await counts(table)).toEqual({ updated: 1, unchanged: 1 });
    expect(await fields()).toEqual({ name: 'Ada', fields: { plan: 'free', note: 'x', age: 41 } });
    expect(await counts(table, { existing: 'overwrite', consentText: 'Yes' })).toEqual({ updated: 2 });
    expect(await fields()).toEqual({ name: 'Other', fields: { plan: 'pro', note: 'x', age: 41 } });
    expect(await people()).toMatchObject({ 'p@example.com': 'active' });
    expect(await counts(table, { existing: 'overwrite', consentText: 'Yes' })).toEqual({ unchanged: 2 });
    const [{ count }] = await t.dataSource.query('select count(*)::int from consent_event');
    expect(count).toBe(1);
  });

  it('counts in a dry run what the real run then does, and changes nobody before', async () => {
    await known('a@example.com', 'active');
    await known('gone@example.com', 'unsubscribed');
    await t.app.get(SuppressionsService, { strict: false }).add(t.dataSource.manager, {
      ...{ emailKey: 's@example.com', scope: 'all', reason: 'hard_bounce', source: 'test' },
    });
    const rows = [
      'a@example.com,Ada,x',
      'A@EXAMPLE.com,Ada,x',
      'gone@example.com,,',
      's@example.com,,',
      'wrong,,',
      'n@example.com,N,y',
    ];
    const table = `email,name,tags\n${rows.join('\n')}\n"bad"x,1,2\n`;
    const before = await people();
    const dry = await take(table, active, true);
    expect(dry).toMatchObject({
      state: 'checked',
      counts: { updated: 1, duplicate: 1, keptOut: 1, suppressed: 1, rejected: 2, created: 1 },
    });
    expect(await people()).toEqual(before);
    await api('post', `/${dry.id}/run`).expect(200);
    expect(await t.app.get(JobRunner).run('imports.run')).toBe('done');
    const real = await imports.get(dry.id);
    expect(real).toMatchObject({ state: 'done', dryRun: false });
    expect(real.counts).toEqual(dry.counts);
    expect(Object.values(real.counts).reduce((sum, count) => sum + count)).toBe(real.totalRows);
    await api('post', `/${dry.id}/run`).expect(409);
  });

  it('goes on after a crash where it was, without doubles, and twice at once does no harm', async () => {
    const lines = Array.from({ length: 20_500 }, (_, n) => `p${n}@example.com,${n}`);
    const id = await staged(`email,age\n${lines.join('\n')}`, active);
    const stop = new AbortController();
    await imports.run(id, { signal: stop.signal, onProgress: () => stop.abort() });
    expect(await imports.get(id)).toMatchObject({
      state: 'running',
      // The batches under way, of which there are two, are ended.
      counts: { created: 19_999 },
    });
    // What a crash leaves of a batch under way: nothing.
    await t.dataSource
      .transaction(async (manager) => {
        await manager.query(`update import_batch set counts = '{}' where import_id = $1`, [id]);
        throw new Error('crash');
      })
      .catch(() => undefined);
    await Promise.all([imports.run(id), imports.run(id)]);
    expect(await imports.get(id)).toMatchObject({ state: 'done', counts: { created: 20_500 } });
    const [{ people: all, events }] = await t.dataSource.query(
      `select (select count(*)::int from subscriber) as people, (select count(*)::int from consent_event where kind = 'granted') as events`,
    );
    expect([all, events]).toEqual([20_500, 20_500]);
  }, 120_000);

  it('that is asked for to the end does not end while another worker holds the last batch, and takes it over', async () => {
    await known('out@example.com', 'active');
    const id = await staged('email,status\nada@example.com,active\nout@example.com,bounced\n', active);
    await imports.run(id, { signal: AbortSignal.abort() });
    const worker = t.dataSource.createQueryRunner();
    await worker.startTransaction();
    await worker.query('select from import_batch where import_id = $1 for update', [id]);
    await imports.run(id);
    expect(await imports.get(id)).toMatchObject({ state: 'running' });
    const command = imports.run(id, { toTheEnd: true });
    expect(await becomesTrue(somebodyWaits, 20_000)).toBe(true);
    await worker.rollbackTransaction();
    await worker.release();
    await command;
    expect(await imports.get(id)).toMatchObject({ state: 'done', counts: { created: 1, left: 1 } });
    const reported = [];
    for await (const rows of imports.report(id)) reported.push(...rows);
    expect(reported).toMatchObject([{ email: 'out@example.com' }]);
  });

  it('leaves what they typed to who signs up while their row is taken', async () => {
    const id = await staged('email,name\nada@example.com,File\nbob@example.com,Bob\n', active);
    const signup = t.dataSource.createQueryRunner();
    await signup.startTransaction();
    await signup.query(
      `insert into subscriber (email, email_key, name, status, created_at, updated_at)
       values ('ada@example.com', 'ada@example.com', 'Typed', 'pending', now(), now())`,
    );
    const run = imports.run(id);
    expect(await becomesTrue(somebodyWaits, 20_000)).toBe(true);
    await signup.commitTransaction();
    await signup.release();
    await run;
    expect((await imports.get(id)).counts).toMatchObject({ updated: 1, created: 1 });
    expect(await t.dataSource.query('select name, status from subscriber order by email')).toEqual([
      { name: 'Typed', status: 'active' },
      { name: 'Bob', status: 'active' },
    ]);
  });

  it('puts back nothing that changes at the moment of its merge: a name, an unsubscribe, who comes back', async () => {
    await known('name@example.com', 'active', { name: 'Old' });
    await known('gone@example.com', 'active');
    await known('back@example.com', 'active');
    const table =
      'email,status,age,stopped\nname@example.com,active,41,\ngone@example.com,active,42,\nback@example.com,unsubscribed,,2025-06-01\n';
    const id = await staged(table, { ...active, columns: { stopped: 'leftAt' } });
    const live = t.dataSource.createQueryRunner();
    await live.startTransaction();
    await live.query(
      `update subscriber set name = case email when 'name@example.com' then 'New' end,
         status = case email when 'gone@example.com' then 'unsubscribed' else status end,
         confirmed_at = case email when 'back@example.com' then timestamptz '2025-12-01' else confirmed_at end`,
    );
    const run = imports.run(id);
    expect(await becomesTrue(somebodyWaits, 20_000)).toBe(true);
    await live.commitTransaction();
    await live.release();
    await run;
    expect((await imports.get(id)).counts).toMatchObject({ updated: 1, keptOut: 1, unchanged: 1 });
    const rows = await t.dataSource.query(`select name, status, fields from subscriber order by id`);
    expect(rows).toEqual([
      { name: 'New', status: 'active', fields: { age: 41 } },
      { name: null, status: 'unsubscribed', fields: {} },
      { name: null, status: 'active', fields: {} },
    ]);
  });

  it('that fails again and again holds up no other', async () => {
    await t.dataSource.query(
      `create function broken() returns trigger language plpgsql as $$ begin raise exception 'broken'; end $$;
       create trigger broken before insert on subscriber for each row when (new.email_key = 'broken@example.com') execute function broken()`,
    );
    const [bad, good] = [
      await staged('email\nbroken@example.com\n', active),
      await staged('email\nada@example.com\n', active),
    ];
    await imports.runOpen(new AbortController().signal);
    await t.dataSource.query('drop function broken cascade');
    expect(await people()).toEqual({ 'ada@example.com': 'active' });
    expect((await imports.get(good)).state).toBe('done');
    await imports.runOpen(new AbortController().signal);
    expect((await imports.get(bad)).state).toBe('done');
  });

  it('that is refused leaves nothing, and may be sent again', async () => {
    const { id } = await imports.create({
      fileName: 't.csv',
      dryRun: false,
      options: importOptions.parse({}),
    });
    const send = (text: string) => api('put', `/${id}/file`).set('content-type', 'text/csv').send(text);
    for (const text of ['', 'name,age\nAda,41\n', 'email,email\na@example.com,b@example.com\n'])
      expect((await send(text).expect(422)).body).toMatchObject({ code: 'IMPORT_FILE_INVALID' });
    expect((await send('email\na@example.com\n').expect(200)).body).toMatchObject({
      state: 'ready',
      progress: { totalRows: 1 },
    });
    await send('email\nb@example.com\n').expect(409);
    const other = await imports.create({ fileName: 'z', dryRun: true, options: importOptions.parse({}) });
    const archive = zipOf({ 'one.csv': 'email\nz@example.com\n', 'two.csv': 'email\ny@example.com\n' });
    const sent = await api('put', `/${other.id}/file`).set('content-type', 'application/zip').send(archive);
    expect(sent.body).toMatchObject({ state: 'ready', progress: { totalRows: 2 } });
    await t.app.get(JobRunner).run('imports.run');
    expect(await people()).toEqual({ 'a@example.com': 'pending' });
  });

  it.each([
    ['UTF-8 with a mark', Buffer.from('\ufeffemail;name\na@example.com;Zoë\n')],
    ['UTF-16', Buffer.from('\ufeffemail\tname\r\na@example.com\tZoë\r\n', 'utf16le')],
    ['big-endian UTF-16', Buffer.from('\ufeffemail,name\na@example.com,Zoë\n', 'utf16le').swap16()],
    ['Windows-1252', Buffer.from('email,name\na@example.com,Zoë\n', 'latin1')],
    ['an old Mac', Buffer.from('email,name\ra@example.com,Zoë\r')],
    [
      'a late accent',
      Buffer.concat([
        Buffer.from(`email,name\n${`${'x'.repeat(3_000)},\n`.repeat(120)}`),
        Buffer.from('a@example.com,Zoë\n', 'latin1'),
      ]),
    ],
  ])('reads a table from %s', async (_, table) => {
    await take(table);
    expect(await t.dataSource.query('select email, name from subscriber')).toEqual([
      { email: 'a@example.com', name: 'Zoë' },
    ]);
  });
});

describe('the report of an import', () => {
  it('names line and reason of every row that came to nothing, and runs nothing in a spreadsheet', async () => {
    await known('gone@example.com', 'unsubscribed');
    const { body } = await api('post', '')
      .send({ csv: 'email,name\n=cmd(),x\ngone@example.com,\na@example.com,A\nA@example.com,A\n"x"y,\n' })
      .expect(201);
    await t.app.get(JobRunner).run('imports.run');
    const { text, headers } = await api('get', `/${body.id}/rejected`).expect(200);
    expect(headers['content-type']).toContain('text/csv');
    const lines = text.replace('\ufeff', '').trim().split('\r\n');
    expect(lines).toEqual([
      '"line","reason","address","email","name"',
      `"2","email: it has no @","","'=cmd()","x"`,
      '"3","they unsubscribed, bounced or complained here","gone@example.com"',
      '"5","the same address as in line 4","A@example.com"',
      expect.stringContaining('"6","there is text behind a closing quotation mark"'),
    ]);
  });

  it('keeps no addresses longer than it must', async () => {
    const { id } = await take('email\na@example.com\nwrong\n');
    const left = async (): Promise<number> =>
      (await t.dataSource.query('select count(*)::int as n from import_row where import_id = $1', [id]))[0].n;
    await imports.clean();
    expect(await left()).toBe(1);
    t.clock.advance(31 * 86_400_000);
    await imports.clean();
    expect(await left()).toBe(0);
  });

  it.each([
    ['active without words of consent', { options: { status: 'active' } }],
    ['a target that is none', { options: { columns: { x: 'password' } } }],
    ['a delimiter that is none', { options: { delimiter: 'x' } }],
    ['an option it does not know', { options: { merge: true } }],
  ])('is never asked for: %s is refused', async (_, body) => {
    expect((await api('post', '').send(body)).status).toBe(422);
  });
});
