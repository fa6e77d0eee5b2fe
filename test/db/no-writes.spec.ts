import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { becomesTrue } from '../../src/infra/database/postmaster.js';
import { API_KEY, startTestApp, type TestApp } from '../support/app.js';
import { OWNER, ownerPages } from '../support/owner-pages.js';

describe('a database that answers and takes no writes', () => {
  let t: TestApp;
  let key: string;
  let cookie: string;
  beforeAll(async () => {
    t = await startTestApp();
    t.app.useLogger(false);
    await t.dataSource.query(
      `insert into subscriber (email, email_key, status, created_at, updated_at)
       values ('ann@example.com', 'ann@example.com', 'active', now(), now())`,
    );
    const made = await t.http
      .post('/api/v1/api-keys')
      .set('Authorization', `Bearer ${API_KEY}`)
      .send({ name: 'backup' })
      .expect(201);
    key = (made.body as { key: string }).key;
    ({ cookie } = await ownerPages(t));
    await t.dataSource.query(
      `do $$ begin execute format('alter database %I set default_transaction_read_only = on', current_database()); end $$`,
    );
    // It holds for new connections alone.
    await t.dataSource.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
    );
    await t.dataSource.query('select pg_terminate_backend(pg_backend_pid())').catch(() => undefined);
    const isReadOnly = async (): Promise<boolean> =>
      t.dataSource.query<unknown[]>(`select 1 where current_setting('transaction_read_only') = 'on'`).then(
        (rows) => rows.length > 0,
        () => false,
      );
    if (!(await becomesTrue(isReadOnly, 20_000))) throw new Error('it takes writes still');
    t.clock.advance(2 * 3_600_000);
  });
  afterAll(async () => t.close());

  const read = (path: string) => t.http.get(path).set('Authorization', `Bearer ${key}`);

  it('is read with a key that was made here as with that of the environment: it was answered 500', async () => {
    expect((await read('/api/v1/exports/subscribers').expect(200)).text).toContain('ann@example.com');
    await read('/api/v1/subscribers').expect(200);
  });

  it('is read on the pages of who has signed in', async () => {
    const { text } = await t.http.get('/admin/subscribers/export.csv').set('Cookie', cookie).expect(200);
    expect(text).toContain('ann@example.com');
  });

  it('says on the page Sending that nothing is sent: it said that mails may go out', async () => {
    const { text } = await t.http.get('/admin/sending').set('Cookie', cookie).expect(200);
    expect(text).not.toContain('mails may go out');
    expect(text).toContain('takes no writes: nothing is sent');
    expect((await read('/api/v1/sending/state').expect(200)).body).toMatchObject({ takesWrites: false });
  });

  it('asks for patience whoever wants to write, and says why: it was called a mistake of ours', async () => {
    const answers = [
      await t.http.post('/admin/login').set('Accept', 'text/html').type('form').send(OWNER),
      await t.http
        .post('/api/v1/subscribers')
        .set('Authorization', `Bearer ${key}`)
        .send({ email: 'bo@example.com' }),
    ];
    for (const { status, headers, text } of answers) {
      expect([status, headers['retry-after']]).toEqual([503, '60']);
      expect(text).toContain('Nothing can be saved right now, so this was not done');
    }
  });

  it('keeps who signs up, and says that a mail comes: they were turned away', async () => {
    const { text } = await t.http
      .post('/p/niches')
      .type('form')
      .send({ email: 'bo@example.com' })
      .expect(200);
    expect(text).toContain('You will get a mail shortly');
  });
});
