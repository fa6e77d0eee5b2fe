import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CONFIG, type Config } from '../../../src/infra/config.js';
import { TrackingChoiceService } from '../../../src/privacy/tracking-choice.service.js';
import { HitRecorder } from '../../../src/tracking/hit-recorder.service.js';
import { encodeIds, signToken } from '../../../src/values/signed-token.js';
import { linkIn, startTestApp, type TestApp } from '../../support/app.js';
import { newReader, preferencesForm, type Reader } from '../../support/reader.js';

const EVIDENCE = { ip: '127.0.0.1', userAgent: '', pageUrl: '' };
const GATE = 42;

let t: TestApp;
beforeAll(async () => {
  t = await startTestApp();
});
afterAll(async () => t.close());

const seen = async ({ id }: Reader): Promise<unknown> => {
  const [row] = await t.dataSource.query<unknown[]>(
    `select (select count(*)::int from tracking_event e join message m on m.id = e.message_id where m.subscriber_id = $1) as hits,
       (select count(*)::int from visit v where v.subscriber_id = $1) as visits`,
    [id],
  );
  return row;
};

/** Until so many connections wait for a lock. */
const untilWaiting = async (most: number): Promise<void> => {
  for (let count = 0; count < most;) {
    const [row] = await t.dataSource.query<{ count: number }[]>(
      `select count(*)::int as count from pg_locks where not granted and locktype = 'advisory'
         and database = (select oid from pg_database where datname = current_database())`,
    );
    count = row?.count ?? 0;
  }
};

describe('what is seen in the moment in which the consent to being counted is taken back', () => {
  it('stayed where it came between the deletion and its commit', async () => {
    const reader = await newReader(t, 'between@example.com');
    const [mail] = await t.dataSource.query<{ id: string }[]>(
      'select max(id) as id from message where subscriber_id = $1',
      [reader.id],
    );
    const { secretKey } = t.app.get<Config>(CONFIG);
    const m = signToken(secretKey, 'message', encodeIds([mail?.id ?? '']));
    const { later } = await t.dataSource.transaction(async (manager) => {
      await t.app.get(TrackingChoiceService, { strict: false }).save(manager, reader.id, false, EVIDENCE);
      await t.http.get(linkIn(reader.welcome, /\/c\//)).expect(302);
      const hit = t.app.get(HitRecorder).flush();
      const look = t.http.get(`/offer/launch-kit?m=${m}`).expect(200);
      const both = Promise.all([hit, look]);
      await Promise.race([both, untilWaiting(2)]);
      return { later: both };
    });
    await later;
    expect(await seen(reader)).toEqual({ hits: 0, visits: 0 });
  });

  it('stayed where it was being written down when the deletion began', async () => {
    const reader = await newReader(t, 'before@example.com');
    await t.dataSource.query(
      `create function pass_gate() returns trigger language plpgsql as
         $$ begin perform pg_advisory_xact_lock_shared(${GATE}); return new; end $$`,
    );
    await t.dataSource.query(
      'create trigger gate before insert on tracking_event for each row execute function pass_gate()',
    );
    const gate = t.dataSource.createQueryRunner();
    await gate.query('select pg_advisory_lock($1)', [GATE]);
    await t.http.get(linkIn(reader.welcome, /\/c\//)).expect(302);
    const hit = t.app.get(HitRecorder).flush();
    await untilWaiting(1);
    const form = preferencesForm({ topics: ['niche-ebook'], tracking: false });
    const saved = t.http.post(reader.preferences).type('form').send(form).expect(200);
    const both = Promise.all([hit, saved]);
    await Promise.race([saved, untilWaiting(2)]);
    await gate.query('select pg_advisory_unlock($1)', [GATE]);
    await gate.release();
    await both;
    expect(await seen(reader)).toEqual({ hits: 0, visits: 0 });
  });
});
