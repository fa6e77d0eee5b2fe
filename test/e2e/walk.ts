import { expect } from 'vitest';
import { PausesService } from '../../src/privacy/pauses.service.js';
import { openCourse, type Course } from '../db/sequences/course.js';
import { API_KEY, linkIn } from '../support/app.js';

/** A course that people come to by its form, and whose mails are read where they arrive. */
export interface Walk extends Course {
  /** Signs up by the form and presses the button in the mail that comes; answers with the subscriber's id. */
  signUp(address: string, form?: { timeZone?: string; key?: string }): Promise<string>;
  /** Lets the workers do all that falls due until then, each at its own time. */
  until(time: string): Promise<void>;
  /** The mails of sequences and broadcasts that have arrived, with the local time of each. */
  inbox(address: string, timeZone?: string): Promise<string[]>;
  patch(path: string, body: object): Promise<void>;
}

/** `relay`: where mails go, in place of the built-in mailbox. */
export async function openWalk(
  options: { variables?: Record<string, string>; relay?: string } = {},
): Promise<Walk> {
  const course = await openCourse(options.variables, options.relay);
  const { test, db, clock } = course;
  const signUp: Walk['signUp'] = async (address, { timeZone, key = 'course' } = {}) => {
    const before = (await test.mailsTo(address)).length;
    const asked = { email: address, ...(timeZone === undefined ? {} : { timeZone }) };
    expect((await test.http.post(`/api/public/forms/${key}`).send(asked)).status).toBeLessThan(300);
    await test.runDue();
    const mail = (await test.mailsTo(address)).slice(before).find(({ html }) => html.includes('/confirm/'));
    if (!mail) throw new Error(`no mail to confirm came to ${address}`);
    await test.http.post(linkIn(mail, /\/confirm\//)).expect(200);
    await test.runDue();
    const rows: { id: string }[] = await db.query('select id from subscriber where email_key = $1', [
      address,
    ]);
    return rows[0]?.id ?? '';
  };
  const nextAt = async (): Promise<Date | null> => {
    const rows: { at: Date | null }[] = await db.query(
      `select min(at) as at from (
         select next_at as at from enrollment where status = 'active'
         union all select due_at from message where state = 'ready'
         union all select paused_until from subscriber
         union all select ends_at from membership where state = 'active') x where at > $1`,
      [clock.now()],
    );
    return rows[0]?.at ?? null;
  };
  const work = async (): Promise<void> => {
    await test.app.get(PausesService, { strict: false }).endDue();
    await test.runDue();
  };
  return {
    ...course,
    signUp,
    until: async (time) => {
      await work();
      for (let at = await nextAt(); at !== null && at < new Date(time); at = await nextAt()) {
        clock.set(at);
        await work();
      }
      clock.set(time);
      await work();
    },
    inbox: async (address, timeZone = 'UTC') => {
      const rows: { step: string; at: Date }[] = await db.query(
        `select coalesce(m.step_key, m.kind) as step, m.accepted_at as at from message m join subscriber s on s.id = m.subscriber_id
         where s.email_key = $1 and m.class = 'marketing' and m.state = 'accepted' order by m.accepted_at, m.id`,
        [address],
      );
      const format = new Intl.DateTimeFormat('en-GB', {
        ...{ timeZone, weekday: 'short', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' },
      });
      return rows.map(({ step, at }) => `${format.format(at).replaceAll(',', '')} ${step}`);
    },
    patch: async (path, body) => {
      await test.http.patch(path).set('Authorization', `Bearer ${API_KEY}`).send(body).expect(200);
    },
  };
}
