import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { BroadcastUpkeep } from '../../../src/broadcasts/broadcast-upkeep.service.js';
import { BroadcastLastLook } from '../../../src/broadcasts/broadcast-last-look.service.js';
import { pgPool } from '../../../src/infra/database/pg-pool.js';
import { AlertsService } from '../../../src/infra/alerts/alerts.service.js';
import { becomesTrue } from '../../../src/infra/database/postmaster.js';
import { JobRunner } from '../../../src/infra/jobs/job-runner.js';
import { untilWaiting, empty } from '../../support/database.js';
import { OPENED_AT } from '../delivery/post-office.js';
import { openDesk, type Desk } from './desk.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const SUBJECT = 'News for {{ subscriber.fields.city }}';

describe('a broadcast that was started for later', () => {
  let desk: Desk;
  beforeAll(async () => {
    desk = await openDesk();
  });
  afterAll(async () => desk.t.close());
  beforeEach(async () => {
    await desk.clear();
    await empty(desk.t.db, 'written_mail');
    await desk.people(20);
    await give('Springfield');
  });

  const give = async (city: string, email = '%'): Promise<unknown> =>
    desk.t.db.query(
      `update subscriber set fields = jsonb_build_object('city', $1::text) where email like $2`,
      [city, email],
    );
  const scheduled = async (change: Parameters<Desk['draft']>[0]): Promise<string> => {
    const { id } = await desk.broadcasts.create(desk.draft(change));
    await desk.broadcasts.start(id, new Date(OPENED_AT.getTime() + HOUR_MS));
    return id;
  };
  const reasonOf = async (id: string): Promise<string | null | undefined> => {
    const rows: { reason: string | null }[] = await desk.t.db.query(
      'select state_reason as reason from broadcast where id = $1',
      [id],
    );
    return rows[0]?.reason;
  };
  const plan = async (): Promise<unknown> =>
    desk.t.app.get(JobRunner, { strict: false }).run('broadcasts.plan');
  const alerts = async (): Promise<{ key: string; message: string }[]> =>
    desk.t.app.get(AlertsService, { strict: false }).open();

  it('does not begin when an import since brought a value that breaks its mail: line and reader are named', async () => {
    const id = await scheduled({ subject: SUBJECT });
    await give('Shelbyville\nNorth', 'p13@%');
    desk.t.clock.advance(HOUR_MS);
    await plan();
    expect(await desk.broadcasts.get(id)).toMatchObject({
      state: 'paused',
      stateReason: expect.stringMatching(
        /^templates\/emails\/story\.mjml:3: \{\{ subscriber\.fields\.city \}\} breaks it .* subscriber \d+: the subject has a line break/,
      ),
    });
    expect(await desk.t.db.query('select 1 from message')).toEqual([]);
    const told = await alerts();
    expect(told.map(({ key }) => key)).toEqual([`broadcast:values:${id}`]);
    expect(told[0]?.message).not.toMatch(/@|Shelbyville/);
    // The owner's word: the others get it, though the value is still there.
    await desk.broadcasts.resume(id);
    await plan();
    await desk.t.sendDue();
    expect(desk.taken()).toHaveLength(19);
    expect((await alerts()).map(({ key }) => key)).toEqual([`unmade:broadcast:${id}`]);
  });

  it('is tried with the words that were frozen at its start, and not with those of a later draft', async () => {
    const write = async (body: string): Promise<unknown> =>
      desk.t.db.query(
        `insert into written_mail (key, subject, preview, body, created_at, updated_at) values ('written/news', 'News', '', $1, now(), now())
         on conflict (key) do update set body = excluded.body`,
        [`A few words that somebody would like to read.\n\n${body}`],
      );
    await write('Read [your page]({{ subscriber.fields.city }}) now.');
    await give('https://example.com/p');
    const id = await scheduled({ template: 'written/news' });
    await write('No link at all.');
    await give('my page', 'p13@%');
    desk.t.clock.advance(HOUR_MS);
    await plan();
    expect(await desk.broadcasts.get(id)).toMatchObject({
      state: 'paused',
      stateReason: expect.stringMatching(/^“News”: .*a link in it leads to no address/),
    });
  });

  it('begins when all its readers have what its mail can do with', async () => {
    const id = await scheduled({ subject: SUBJECT });
    await give('Ogdenville', 'p7@%');
    desk.t.clock.advance(HOUR_MS);
    await plan();
    expect(await desk.broadcasts.get(id)).toMatchObject({ state: 'running', planned: 20 });
    expect(await alerts()).toEqual([]);
  });

  it('says meanwhile what it waits for, and is tried by the next worker when the first is told to stop', async () => {
    const id = await scheduled({ subject: SUBJECT });
    await give('Shelbyville\nNorth', 'p13@%');
    await desk.t.app.get(BroadcastLastLook, { strict: false }).tryValues(id, AbortSignal.abort());
    expect(await desk.broadcasts.get(id)).toMatchObject({
      state: 'scheduled',
      stateReason: 'what its readers have is tried in its mail; it begins when that is done',
    });
    expect(await alerts()).toEqual([]);
    await give('Springfield');
    desk.t.clock.advance(HOUR_MS);
    await plan();
    expect(await desk.broadcasts.get(id)).toMatchObject({ state: 'running', stateReason: null });
  });

  it('begins with others at the same time when a single connection is free for all their trials', async () => {
    await desk.t.db.query(`update subscriber set fields = jsonb_build_object('city', 'Town ' || id)`);
    const ids: string[] = [];
    for (let n = 0; n < 3; n++) ids.push(await scheduled({ subject: SUBJECT, title: `News ${n}` }));
    const look = desk.t.app.get(BroadcastLastLook, { strict: false });
    const pool = pgPool(desk.t.db);
    const taken = await Promise.all(Array.from({ length: pool.options.max - 1 }, async () => pool.connect()));
    try {
      const { signal } = new AbortController();
      await Promise.all(ids.map(async (id) => look.tryValues(id, signal)));
    } finally {
      for (const one of taken) one.release();
    }
    expect(await alerts()).toEqual([]);
    desk.t.clock.advance(HOUR_MS);
    await plan();
    for (const id of ids) expect(await desk.broadcasts.get(id)).toMatchObject({ state: 'running' });
  });

  it('waits for its turn to be tried only until it is told to stop, or its time is over', async () => {
    const ids = [await scheduled({ subject: SUBJECT }), await scheduled({ subject: SUBJECT })] as const;
    const look = desk.t.app.get(BroadcastLastLook, { strict: false });
    const [stop, go] = [new AbortController(), new AbortController()];
    const lock = desk.t.db.createQueryRunner();
    await lock.startTransaction();
    await lock.query('lock subscriber');
    const first = look.tryValues(ids[0], go.signal);
    try {
      await untilWaiting(desk.t.db, 1, first);
      const second = look.tryValues(ids[1], stop.signal);
      // Its readers would be asked for next, and would wait for the lock to the end of this test.
      await becomesTrue(async () => (await reasonOf(ids[1])) !== null, 25_000);
      stop.abort();
      await second;
      await look.tryValues(ids[1], go.signal, -1);
    } finally {
      await lock.rollbackTransaction();
      await lock.release();
      await first;
    }
    expect((await alerts()).map(({ key }) => key)).toEqual([`broadcast:untried:${ids[1]}`]);
  });

  it('lets the planning of others have its four minutes, however long the trials may take: what is not planned then waits for the next look', async () => {
    const ids = [await scheduled({ title: 'First' }), await scheduled({ title: 'Second' })];
    desk.t.clock.advance(HOUR_MS);
    for (const id of ids) await desk.t.app.get(BroadcastUpkeep, { strict: false }).begin(id);
    const planned = async (): Promise<number[]> =>
      Promise.all(ids.map(async (id) => (await desk.broadcasts.get(id)).planned));
    const lock = desk.t.db.createQueryRunner();
    await lock.startTransaction();
    await lock.query('lock message in share mode');
    const run = plan();
    try {
      await untilWaiting(desk.t.db, 1, run);
      desk.t.clock.advance(4 * MINUTE_MS);
    } finally {
      await lock.rollbackTransaction();
      await lock.release();
      await run;
    }
    expect(await planned()).toEqual([20, 0]);
    await plan();
    expect(await planned()).toEqual([20, 20]);
  });

  it('begins when there is no time to try all, and the owner is told how much was not', async () => {
    const id = await scheduled({ subject: SUBJECT });
    const { signal } = new AbortController();
    await desk.t.app.get(BroadcastLastLook, { strict: false }).tryValues(id, signal, -1);
    expect(await desk.broadcasts.get(id)).toMatchObject({ state: 'scheduled' });
    expect(await alerts()).toMatchObject([
      {
        key: `broadcast:untried:${id}`,
        message: expect.stringMatching(
          /story\.mjml:3: only the first 0 values of \{\{ subscriber\.fields\.city \}\}, \{\{ subscriber\.firstName \}\} were tried; should another/,
        ),
      },
    ]);
    desk.t.clock.advance(HOUR_MS);
    await plan();
    expect((await alerts()).map(({ key }) => key)).toEqual([`broadcast:untried:${id}`]);
  });
});
