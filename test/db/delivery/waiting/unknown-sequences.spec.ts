import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { RelaysService } from '../../../../src/delivery/relays/relays.service.js';
import { SequencePauses } from '../../../../src/delivery/waiting/sequence-pauses.service.js';
import { SequenceUnknowns } from '../../../../src/delivery/waiting/sequence-unknowns.service.js';
import { HeldService } from '../../../../src/delivery/waiting/held.service.js';
import { enroll, insertFunnel, openPostOffice, type PostOffice } from '../post-office.js';
import { empty } from '../../../support/database.js';

const FUNNEL = 'niche-ebook';

describe('mails of a sequence of which nobody knows whether they were taken', () => {
  let t: PostOffice;
  let unknowns: SequenceUnknowns;
  beforeAll(async () => {
    t = await openPostOffice();
    unknowns = t.app.get(SequenceUnknowns, { strict: false });
    await insertFunnel(t.db, FUNNEL);
  });
  afterAll(async () => t.close());
  beforeEach(async () => {
    t.sink.mails.length = 0;
    t.sink.onBody = async () => undefined;
    await empty(t.db, 'message, message_attempt, bounce, suppression, subscriber, enrollment');
    await empty(t.db, 'relay_state, sequence_pause, topic_opt_out, send_bucket');
  });

  const people = async (): Promise<{ id: string; enrollment: string }[]> =>
    t.db.query('select subscriber_id as id, id as enrollment from enrollment order by id');

  /** Mails of a first step whose end nobody knows: the relay took them and said nothing. */
  const unclear = async (count: number): Promise<string[]> => {
    const ids: string[] = [];
    for (let n = 0; n < count; n++) {
      const subscriberId = await t.subscriber(`reader${n}@example.org`);
      const enrollmentId = await enroll(t.db, subscriberId);
      ids.push(await t.plan(`reader${n}@example.org`, { subscriberId, enrollmentId }));
    }
    t.sink.onBody = async () => 'drop';
    await t.sendDue();
    t.sink.onBody = async () => undefined;
    await empty(t.db, 'relay_state, send_bucket');
    await t.app.get(RelaysService, { strict: false }).view();
    t.clock.advance(60_000);
    expect(t.sink.mails).toHaveLength(count);
    return ids;
  };
  const states = async (ids: readonly string[]): Promise<string[]> =>
    Promise.all(ids.map(async (id) => String((await t.state(id))['state'])));

  it('go once more at the owner’s word, each once and under its Message-ID, however often it is given', async () => {
    const ids = await unclear(3);
    expect(await states(ids)).toEqual(['unknown', 'unknown', 'unknown']);
    expect((await t.app.get(HeldService, { strict: false }).counts()).unknownOfSequences).toEqual([
      { funnelKey: FUNNEL, unknown: 3, resendable: 3 },
    ]);
    const given = await Promise.all([1, 2, 3].map(async () => unknowns.resend(FUNNEL)));
    expect(given.toSorted((a, b) => a - b)).toEqual([0, 0, 3]);
    expect(await t.sendDue()).toBe(3);
    expect(await states(ids)).toEqual(['accepted', 'accepted', 'accepted']);
    const headers = t.sink.mails.map(({ parsed }) => parsed.messageId);
    expect(new Set(headers).size).toBe(3);
    expect(headers).toHaveLength(6);
    await t.db.query(`update message set state = 'unknown'`);
    expect(await unknowns.resend(FUNNEL)).toBe(0);
  });

  it('stay as they are when they are no longer right for their reader', async () => {
    const ids = await unclear(9);
    const [left, suppressed, optedOut, paused, exited, later, , expired] = await people();
    const say = async (sql: string, ...values: unknown[]): Promise<unknown> => t.db.query(sql, values);
    await say(`update subscriber set status = 'unsubscribed' where id = $1`, left?.id);
    await say(
      `insert into suppression (email_hash, reason, scope, source, created_at)
       select address_hash, 'manual', 'all', 'test', now() from message where subscriber_id = $1`,
      suppressed?.id,
    );
    await say(`insert into topic_opt_out values ($1, $2, now())`, optedOut?.id, FUNNEL);
    await say(`update subscriber set paused_until = now() + interval '7 days' where id = $1`, paused?.id);
    await say(`update enrollment set status = 'exited' where id = $1`, exited?.enrollment);
    await t.plan('reader5@example.org', {
      ...{ subscriberId: later?.id ?? '', enrollmentId: later?.enrollment },
      ...{ dedupeKey: 'test:second step', stepKey: 'second' },
    });
    expect(await t.sendDue()).toBe(1);
    await say(`insert into left_by_mail values ($1, now())`, ids[6]);
    await say(`update message set expires_at = $2 where subscriber_id = $1`, expired?.id, t.clock.now());
    const before = t.sink.mails.length;
    expect(await unknowns.resend(FUNNEL)).toBe(1);
    expect(await t.sendDue()).toBe(1);
    expect(t.sink.mails.length).toBe(before + 1);
    expect(await states(ids)).toEqual([...Array.from({ length: 8 }, () => 'unknown'), 'accepted']);
  });

  it('go also to those who have come to the end of the sequence', async () => {
    await unclear(1);
    await t.db.query(`update enrollment set status = 'completed'`);
    expect(await unknowns.resend(FUNNEL)).toBe(1);
  });

  it('do not go once more when their reader leaves, or the sequence, before they are due', async () => {
    const ids = await unclear(2);
    const [leaves, exits] = await people();
    expect(await unknowns.resend(FUNNEL)).toBe(2);
    await t.db.query(`update subscriber set status = 'unsubscribed' where id = $1`, [leaves?.id]);
    await t.db.transaction(async (manager) =>
      t.messages.cancelForEnrollments(manager, [exits?.enrollment ?? ''], 'bought it'),
    );
    expect(await t.sendDue()).toBe(0);
    expect(await states(ids)).toEqual(['unknown', 'unknown']);
    expect(t.sink.mails).toHaveLength(2);
  });

  it('are not sent while the sequence is paused, nor for a funnel that is not there', async () => {
    await unclear(1);
    await t.app.get(SequencePauses, { strict: false }).pauseByOwner(FUNNEL);
    await expect(unknowns.resend(FUNNEL)).rejects.toMatchObject({ code: 'SEQUENCE_STATE_CONFLICT' });
    await expect(unknowns.resend('nothing')).rejects.toMatchObject({ code: 'FUNNEL_NOT_FOUND' });
    expect((await t.app.get(HeldService, { strict: false }).counts()).unknownOfSequences).toEqual([
      { funnelKey: FUNNEL, unknown: 1, resendable: 0 },
    ]);
  });
});
