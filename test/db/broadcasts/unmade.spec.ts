import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pauseBroadcast } from '../../../src/delivery/guards/broadcast-pause.queries.js';
import { AlertsService } from '../../../src/infra/alerts/alerts.service.js';
import { JobRegistry } from '../../../src/infra/jobs/job-registry.js';
import { FOREVER, openDesk, type Desk } from './desk.js';

const DAY_MS = 86_400_000;

describe('a broadcast whose mail breaks on the values of some readers', () => {
  let desk: Desk;
  beforeAll(async () => {
    desk = await openDesk();
  });
  afterAll(async () => desk.t.close());

  /** So many of `count` readers have, once it is started, a line break in the field that the subject prints. */
  const begun = async (count: number, broken: number): Promise<string> => {
    await desk.clear();
    await desk.people(count);
    const give = async (ill: number): Promise<unknown> =>
      desk.t.db.query(
        `update subscriber set fields = jsonb_build_object('city', case when substr(email, 2, strpos(email, '@') - 2)::int <= $1
           then E'Springfield\\nNorth' else 'Springfield' end)`,
        [ill],
      );
    await give(0);
    const id = await desk.started({ subject: 'News for {{ subscriber.fields.city }}' });
    // What the start has seen may change until the mail leaves.
    await give(broken);
    await desk.planner.run(FOREVER);
    await desk.t.sendDue();
    return id;
  };
  const alerts = async (): Promise<{ key: string; severity: string; message: string }[]> =>
    desk.t.app.get(AlertsService, { strict: false }).open();
  const reap = async (): Promise<void> =>
    desk.t.app.get(JobRegistry, { strict: false }).get('delivery.reap')?.run(FOREVER);

  it('is paused after a few of them, and says for whom and why', async () => {
    const id = await begun(40, 12);
    expect(await desk.broadcasts.get(id)).toMatchObject({ state: 'paused' });
    const told = (await alerts()).find(({ key }) => key === `unmade:broadcast:${id}`);
    expect(told).toMatchObject({
      severity: 'critical',
      message: expect.stringMatching(/paused.*subscriber \d+.*the subject has a line break in it/),
    });
    expect(told?.message).not.toContain('@');
    await desk.broadcasts.resume(id);
    await desk.planner.run(FOREVER);
    await desk.t.sendDue();
    // Whose owner goes on has seen it: the others get their mail.
    expect((await desk.broadcasts.get(id)).state).not.toBe('paused');
    expect(desk.taken()).toHaveLength(28);
  });

  it('was paused and its owner never told when that could not be written down at first', async () => {
    await desk.t.db.query(`create sequence told_of;
      create function not_at_first() returns trigger language plpgsql as $$ begin
        if new.severity = 'critical' and nextval('told_of') = 1 then raise exception 'no space left on device'; end if;
        return new;
      end $$;
      create trigger not_at_first before insert or update on alert for each row execute function not_at_first()`);
    try {
      const id = await begun(40, 12);
      expect(await desk.broadcasts.get(id)).toMatchObject({ state: 'paused' });
      await reap();
      expect(await alerts()).toMatchObject([
        {
          ...{ key: `unmade:broadcast:${id}`, severity: 'critical' },
          message: expect.stringMatching(
            /was paused: its mail cannot be made for some readers: the subject has/,
          ),
        },
      ]);
    } finally {
      await desk.t.db.query('drop function not_at_first cascade; drop sequence told_of');
    }
  });

  it.each([
    ['had ended', 3],
    ['was open still', 0],
  ])(
    'was paused a second time and its owner never told when the alert of the first pause %s',
    async (_, days) => {
      const id = await begun(40, 12);
      expect(await alerts()).toMatchObject([{ severity: 'critical' }]);
      await desk.broadcasts.resume(id);
      desk.t.clock.advance(days * DAY_MS);
      await reap();
      expect(await alerts()).toHaveLength(days === 0 ? 1 : 0);
      desk.t.clock.advance(1000);
      // Its worker ended right after.
      const reason = 'its mail cannot be made for some readers: no coupon';
      await pauseBroadcast(desk.t.db.manager, id, { reason, now: desk.t.clock.now() });
      await reap();
      expect(await alerts()).toMatchObject([
        {
          key: `unmade:broadcast:${id}`,
          severity: 'critical',
          message: expect.stringContaining('no coupon'),
        },
      ]);
    },
  );

  it('stood paused, and after two days no alert said so any more', async () => {
    const id = await begun(40, 12);
    const told = await alerts();
    desk.t.clock.advance(3 * DAY_MS);
    await reap();
    await reap();
    expect(await alerts()).toEqual(told);
    await desk.broadcasts.resume(id);
    await reap();
    expect(await alerts()).toEqual([]);
  });

  it('goes on for all others when it is one or two', async () => {
    const id = await begun(10, 2);
    expect((await desk.broadcasts.get(id)).state).not.toBe('paused');
    expect(desk.taken()).toHaveLength(8);
    expect(await alerts()).toMatchObject([{ key: `unmade:broadcast:${id}`, severity: 'warning' }]);
  });
});
