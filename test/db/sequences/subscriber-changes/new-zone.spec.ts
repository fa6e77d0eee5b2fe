import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { FunnelsService } from '../../../../src/funnels/funnels.service.js';
import { JobRunner } from '../../../../src/infra/jobs/job-runner.js';
import { importOptions } from '../../../../src/imports/imports.schemas.js';
import { ImportsService } from '../../../../src/imports/imports.service.js';
import { API_KEY } from '../../../support/app.js';
import { funnelText, openCourse, type Course } from '../course.js';

const mail = (key: string, more: string): string => `- { key: ${key}, email: emails/story, ${more} }`;

/** Monday 5 January 2026, 09:00 UTC is when each test begins. */
describe('a reader whose time zone changes while they wait', () => {
  let t: Course;
  beforeAll(async () => {
    t = await openCourse();
  });
  afterAll(async () => t?.test.close());
  afterEach(async () => t.clear());

  const move = async (id: string, timeZone: string | null): Promise<void> => {
    const patch = t.test.http.patch(`/api/v1/subscribers/${id}`).set('Authorization', `Bearer ${API_KEY}`);
    await patch.send({ timeZone }).expect(200);
  };
  const due = async (id: string, key = 'course'): Promise<unknown> =>
    ((await t.place(id, key))?.nextAt as Date | undefined)?.toISOString();

  it.each([
    ['an hour', 'delay: 1 day, at: "09:30"', '2026-01-06T08:30:00.000Z', '2026-01-06T14:30:00.000Z'],
    ['a day', 'until: 2026-01-08', '2026-01-07T23:00:00.000Z', '2026-01-08T05:00:00.000Z'],
    ['a day and hour', 'until: "2026-01-08 18:00"', '2026-01-08T17:00:00.000Z', '2026-01-08T23:00:00.000Z'],
    ['an instant', 'until: 2026-01-08T18:00:00Z', '2026-01-08T18:00:00.000Z', '2026-01-08T18:00:00.000Z'],
    ['a date of theirs', 'until: { field: end }', '2026-01-08T23:00:00.000Z', '2026-01-09T05:00:00.000Z'],
    ['a delay', 'delay: 2 days', '2026-01-07T09:00:00.000Z', '2026-01-07T09:00:00.000Z'],
    [
      'an hour that expires before',
      'delay: 1 day, at: "09:30", expires: "2026-01-06 09:00"',
      '2026-01-06T08:00:00.000Z',
      '2026-01-06T14:00:00.000Z',
    ],
  ])(
    'gets what waits for %s by their new clock: mails came in the night',
    async (_, timing, before, after) => {
      await t.publish(mail('x', timing));
      const id = await t.person('reader@example.com', {
        timeZone: 'Europe/Berlin',
        fields: { end: '2026-01-09' },
      });
      await t.enroll(id);
      await t.run();
      expect(await due(id)).toBe(before);
      await move(id, 'America/New_York');
      await t.run();
      expect(await due(id)).toBe(after);
      // And back, as if nothing had been.
      await move(id, 'Europe/Berlin');
      await t.run();
      expect(await due(id)).toBe(before);
    },
  );

  it('gets the mail of a test of hours at their arm’s hour by their new clock', async () => {
    await t.publish(
      `- { key: x, email: emails/story, split: { judge: clicks, arms: [{ key: a, at: "10:30" }, { key: b, at: "18:00" }] } }`,
    );
    const ids = await Promise.all(
      Array.from({ length: 8 }, async (_, n) =>
        t.person(`reader-${n}@example.com`, { timeZone: 'Europe/Berlin' }),
      ),
    );
    for (const id of ids) await t.enroll(id);
    await t.run();
    const dues = async (): Promise<unknown[]> => Promise.all(ids.map(async (id) => due(id)));
    const before = await dues();
    expect(new Set(before)).toEqual(new Set(['2026-01-05T09:30:00.000Z', '2026-01-05T17:00:00.000Z']));
    for (const id of ids) await move(id, 'America/New_York');
    await t.run();
    expect(await dues()).toEqual(
      before.map((at) =>
        at === '2026-01-05T09:30:00.000Z' ? '2026-01-05T15:30:00.000Z' : '2026-01-05T23:00:00.000Z',
      ),
    );
    await t.at('2026-01-05T15:30:00Z');
    await t.at('2026-01-05T23:00:00Z');
    for (const id of ids) expect(await t.mails(id)).toEqual(['x']);
  });

  it('gets what is planned already in its hours by their new clock: mails came in the night', async () => {
    const office = 'window: { days: [mon, tue, wed, thu, fri], from: "08:00", to: "19:00" }';
    await t.publish(mail('x', 'delay: 1 day'), office);
    const [west, east] = [
      await t.person('west@example.com', { timeZone: 'Europe/Berlin' }),
      await t.person('east@example.com', { timeZone: 'Europe/Berlin' }),
    ];
    for (const id of [west, east]) await t.enroll(id);
    await t.at('2026-01-06T09:00:00Z');
    // Nothing is sent before nine in the evening.
    t.clock.set('2026-01-06T20:00:00Z');
    const send = async (): Promise<void> => {
      await t.test.app.get(JobRunner, { strict: false }).run('delivery.send-due');
    };
    const mails = async (): Promise<unknown> =>
      t.db.query(`select state, due_at as due from message order by subscriber_id`);
    await send();
    const closed = { state: 'ready', due: new Date('2026-01-07T07:00:00Z') };
    expect(await mails()).toEqual([closed, closed]);
    await move(west, 'America/New_York');
    await move(east, 'Asia/Kolkata');
    expect(await mails()).toEqual([
      { state: 'ready', due: new Date('2026-01-06T20:00:00Z') },
      { state: 'ready', due: new Date('2026-01-07T02:30:00Z') },
    ]);
    await send();
    expect(await mails()).toMatchObject([{ state: 'accepted' }, { state: 'ready' }]);
    t.clock.set('2026-01-07T02:30:00Z');
    await send();
    expect(await mails()).toMatchObject([{ state: 'accepted' }, { state: 'accepted' }]);
  });

  it('waits for the next day where the hour has passed there, and goes at once where only a day was waited for', async () => {
    await t.publish(mail('x', 'delay: 1 day, at: "09:30"'));
    await t.publish(mail('y', 'until: 2026-01-07'), '', 'dated');
    const id = await t.person('reader@example.com', { timeZone: 'America/New_York' });
    for (const key of ['course', 'dated']) await t.enroll(id, key);
    await t.at('2026-01-06T12:00:00Z');
    expect([await due(id), await due(id, 'dated')]).toEqual([
      '2026-01-06T14:30:00.000Z',
      '2026-01-07T05:00:00.000Z',
    ]);
    t.clock.set('2026-01-06T13:00:00Z');
    await move(id, 'Pacific/Auckland');
    expect([await due(id), await due(id, 'dated')]).toEqual([
      '2026-01-06T20:30:00.000Z',
      '2026-01-06T13:00:00.000Z',
    ]);
    await t.run();
    expect(await t.mails(id)).toEqual(['y']);
  });

  it('is read by the zone of the sequence until theirs is known: from a form, from an import', async () => {
    await t.publish(mail('x', 'delay: 1 day, at: "09:30"'), 'fallbackTimezone: Europe/Berlin');
    const [form, list, gone] = [
      await t.person('form@example.com'),
      await t.person('list@example.com'),
      await t.person('gone@example.com', { timeZone: 'Asia/Tokyo' }),
    ];
    for (const id of [form, list, gone]) await t.enroll(id);
    expect([await due(form), await due(list), await due(gone)]).toEqual([
      '2026-01-06T08:30:00.000Z',
      '2026-01-06T08:30:00.000Z',
      '2026-01-06T00:30:00.000Z',
    ]);
    t.clock.set('2026-01-05T09:00:01Z');
    const typed = { email: 'form@example.com', timeZone: 'America/New_York' };
    expect((await t.test.http.post('/api/public/forms/course').send(typed)).status).toBeLessThan(300);
    const folder = await mkdtemp(join(tmpdir(), 'wellspring-zones-spec-'));
    await writeFile(
      join(folder, 'people.csv'),
      'email,timeZone\nlist@example.com,America/New_York\nnew@example.com,Asia/Tokyo\n',
    );
    const imports = t.test.app.get(ImportsService, { strict: false });
    const options = importOptions.parse({ status: 'active', consentText: 'Yes' });
    const job = await imports.create({ fileName: 'people.csv', dryRun: false, options });
    await imports.takeFile(job.id, join(folder, 'people.csv'));
    await imports.run(job.id);
    await rm(folder, { recursive: true, force: true });
    await move(gone, null);
    await t.run();
    expect([await due(form), await due(list), await due(gone)]).toEqual([
      '2026-01-06T14:30:00.000Z',
      '2026-01-06T14:30:00.000Z',
      '2026-01-06T08:30:00.000Z',
    ]);
    expect(await t.db.query('select * from field_signal')).toEqual([]);
  });

  /** Of somebody whose zone becomes known; their answer comes with the confirmation of a form, which begins the course. */
  const told = async (email: string, timeZone: string): Promise<void> => {
    const answer = await t.test.http.post('/api/public/forms/course').send({ email, timeZone });
    expect(answer.status).toBeLessThan(300);
  };
  const publishOpen = async (steps: string): Promise<void> => {
    const yaml = funnelText(steps).replace('consent:', 'optIn: single, consent:');
    await t.test.app.get(FunnelsService, { strict: false }).apply(yaml, null, 'course.yaml');
  };

  it('and who joins by the form that tells it waits by their new clock already: their mail came a day late', async () => {
    await publishOpen(mail('x', 'delay: 1 day, at: "09:30"'));
    await t.publish(mail('y', 'delay: 1 day, at: "09:30"'), '', 'other');
    const id = await t.person('reader@example.com');
    await t.enroll(id, 'other');
    t.clock.set('2026-01-05T09:00:01Z');
    await told('reader@example.com', 'America/New_York');
    await t.run();
    expect([await due(id), await due(id, 'other')]).toEqual([
      '2026-01-06T14:30:00.000Z',
      '2026-01-06T14:30:00.000Z',
    ]);
  });

  it('and changes once more before that is heard of is moved once: each from the clock they wait by', async () => {
    await publishOpen(mail('x', 'delay: 1 day, at: "09:30"'));
    await t.publish(mail('y', 'until: "2026-01-08 18:00"'), '', 'other');
    const id = await t.person('reader@example.com');
    await t.enroll(id, 'other');
    t.clock.set('2026-01-05T09:00:01Z');
    await told('reader@example.com', 'America/New_York');
    await move(id, 'Europe/Berlin');
    await t.run();
    expect([await due(id), await due(id, 'other')]).toEqual([
      '2026-01-06T08:30:00.000Z',
      '2026-01-08T17:00:00.000Z',
    ]);
  });

  it('and has gone on since then waits by their new clock already', async () => {
    await t.publish(`${mail('x', 'delay: 1 day')}\n${mail('y', 'delay: 1 day, at: "09:30"')}`);
    const id = await t.person('reader@example.com');
    await t.enroll(id);
    t.clock.set('2026-01-06T08:59:59Z');
    await told('reader@example.com', 'America/New_York');
    const [note] = await t.db.query('delete from field_signal returning *');
    await t.at('2026-01-06T09:00:00Z');
    expect(await due(id)).toBe('2026-01-07T14:30:00.000Z');
    // It was written while a run was under way that had looked at such notes before.
    await t.db.query(
      'insert into field_signal overriding system value select * from jsonb_populate_record(null::field_signal, $1)',
      [JSON.stringify(note[0])],
    );
    await t.run();
    expect(await due(id)).toBe('2026-01-07T14:30:00.000Z');
  });

  it('stays paused until the end of their pause', async () => {
    await t.publish(mail('x', 'delay: 1 day, at: "09:30"'));
    const id = await t.person('reader@example.com', { timeZone: 'Europe/Berlin' });
    await t.enroll(id);
    await t.db.query(`update subscriber set paused_until = '2026-01-09T12:00:00Z'`);
    await t.at('2026-01-06T08:30:00Z');
    expect(await due(id)).toBe('2026-01-09T12:00:00.000Z');
    await move(id, 'America/New_York');
    expect(await due(id)).toBe('2026-01-09T12:00:00.000Z');
  });

  it('who has no zone any more gets what waits in the hours of the sequence’s fallback', async () => {
    await t.publish(
      mail('x', 'delay: 1 day, window: { days: [mon, tue, wed, thu, fri], from: "08:00", to: "19:00" }'),
      'fallbackTimezone: America/New_York',
    );
    const id = await t.person('reader@example.com', { timeZone: 'Europe/Berlin' });
    await t.enroll(id);
    await t.run();
    await t.at('2026-01-06T09:00:00Z');
    const zone = async (): Promise<unknown> =>
      t.db.query('select h.time_zone as zone from message m join send_hours h on h.id = m.send_hours_id');
    expect(await zone()).toEqual([{ zone: 'Europe/Berlin' }]);
    await move(id, null);
    expect(await zone()).toEqual([{ zone: 'America/New_York' }]);
  });

  it('is drawn for an arm by their new clock, and a change that was noted before moves it by no day', async () => {
    await t.publish(
      `- { key: x, email: emails/story, split: { judge: clicks, arms: [{ key: a, at: "10:30" }, { key: b, at: "10:31" }] } }`,
    );
    const id = await t.person('reader@example.com', { timeZone: 'Pacific/Kiritimati' });
    await t.enroll(id);
    t.clock.set('2026-01-05T09:10:00Z');
    const noted = t.clock.now();
    await t.db.query(`update subscriber set time_zone = 'Europe/Berlin' where id = $1`, [id]);
    await t.run();
    // Told after the draw, by another worker.
    const drawn = await due(id);
    await t.db.query(
      `insert into field_signal (subscriber_id, before, zone_before, created_at) values ($1, '{}', 'Pacific/Kiritimati', $2)`,
      [id, noted],
    );
    await t.run();
    expect(await due(id)).toBe(drawn);
  });
});
