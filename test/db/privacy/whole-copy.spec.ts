import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ErasureService } from '../../../src/privacy/erasure.service.js';
import { PersonalDataService } from '../../../src/privacy/personal-data.service.js';
import { startTestApp, type TestApp } from '../../support/app.js';
import { newReader } from '../../support/reader.js';

/** Tables that an erasure changes and the copy need not read, each with the reason. */
const NOT_READ: Readonly<Record<string, string>> = {
  enrollment_step: 'which steps are done, as the mails and webhooks of the copy show them',
  field_block: 'a count of many people’s fields',
  field_signal: 'a field that has changed, until sequences have been told; the profile has it',
  idempotency_key: 'answers to those who work with the API, which tell of them until they are erased',
  list_signal: 'a list joined or left, until sequences have been told; the lists have it',
  mailbox_mail: 'the mails themselves, where the built-in mailbox takes the place of a relay',
  message_attempt: 'each try of a mail whose end the copy has',
  owner_notice: 'what was told to the owner and not to them',
  seen_to_forget: 'that what was seen of them goes, within a minute',
  sequence_signal: 'that something began a sequence, until it has; the sequences have it',
  subscriber_tag: 'read with the subscriber',
  suppression: 'read by its own service',
  tag_signal: 'a tag that has changed, until sequences have been told; the tags have it',
  topic_opt_out: 'read with the topics',
  topic_to_leave: 'that their series of a topic ends, within a minute; the sequences have it',
};

let t: TestApp;
beforeAll(async () => {
  t = await startTestApp();
});
afterAll(async () => t.close());

describe('the copy of one’s data', () => {
  it('has their row in a table that was refused and the click that waits for a confirmation: both were left out', async () => {
    const email = 'tabled.a+b@example.com';
    const { id } = await newReader(t, email);
    await t.dataSource.query(
      `with job as (insert into import_job (file_name, state, dry_run, options, created_at)
         values ('people.csv', 'done', false, '{}', now()) returning id)
       insert into import_row (import_id, line, email_key, problem, cells) select id, l.line, l.key, l.problem, l.cells from job, (values
         (2, $1::text, null, null), (3, null, 'no', array['Tabled.A+B@example.com', 'Rita']),
         (4, null, 'no', array[$1, 'friend@example.net']), (5, null, 'no', array['x' || $1]),
         (6, null, 'no', array['tabledxa+b@example.com'])) l (line, key, problem, cells)`,
      [email],
    );
    await t.dataSource.query(
      `with partner as (insert into affiliate (code, name, email, email_key, mailbox, state, created_at, updated_at)
         values ('ada', 'Ada', 'ada@example.net', 'ada@example.net', 'ada@example.net', 'active', now(), now()) returning id)
       insert into signup_referral (signup_id, affiliate_id, touched_at, touches)
       select g.id, a.id, '2026-03-01T10:00:00Z', jsonb_build_array(
           jsonb_build_object('affiliateId', a.id::text, 'at', '2026-03-01T10:00:00.000Z'),
           jsonb_build_object('affiliateId', a.id::text, 'at', '2026-02-01T10:00:00.000Z'))
         from signup g, partner a where g.subscriber_id = $1`,
      [id],
    );
    const { imports, affiliateLinks } = await t.app.get(PersonalDataService, { strict: false }).of(id);
    expect(imports.map(({ file, line, cells }) => [file, line, cells])).toEqual([
      ['people.csv', 2, null],
      ['people.csv', 3, ['Tabled.A+B@example.com', 'Rita']],
      ['people.csv', 4, null],
    ]);
    expect(affiliateLinks).toEqual([
      { affiliate: 'ada', clickedAt: new Date('2026-03-01T10:00:00Z'), keptBy: 'sign-up to be confirmed' },
      { affiliate: 'ada', clickedAt: new Date('2026-02-01T10:00:00Z'), keptBy: 'earlier click' },
    ]);
    await t.app.get(ErasureService, { strict: false }).erase(id, 'test');
    const left: { line: number }[] = await t.dataSource.query('select line from import_row order by 1');
    expect(left.map(({ line }) => line)).toEqual([5, 6]);
  });

  it('reads every table that the erasure changes: rows of imports and clicks that wait were left out', async () => {
    const { id } = await newReader(t, 'everywhere@example.com');
    await t.dataSource.query(`create table touched (name text not null)`);
    await t.dataSource.query(
      `create function note_touched() returns trigger language plpgsql as $$ begin insert into touched values (tg_table_name); return null; end $$`,
    );
    const tables: { name: string }[] = await t.dataSource.query(
      `select table_name as name from information_schema.tables
        where table_schema = 'public' and table_type = 'BASE TABLE' and table_name <> 'touched'`,
    );
    for (const { name } of tables)
      await t.dataSource.query(
        `create trigger note_touched after update or delete on "${name}" for each statement execute function note_touched()`,
      );
    await t.app.get(ErasureService, { strict: false }).erase(id, 'test');
    const touched: { name: string }[] = await t.dataSource.query(
      'select distinct name from touched order by 1',
    );
    const read = readFileSync('src/privacy/personal-data.queries.ts', 'utf8');
    const left = touched
      .map(({ name }) => name)
      .filter((name) => !new RegExp(`(?:from|join) ${name}\\b`).test(read));
    expect(left).toEqual(Object.keys(NOT_READ).toSorted());
  });
});
