import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Broadcast, BroadcastDraft } from '../../../src/broadcasts/broadcast.js';
import { toJson } from '../../../src/broadcasts/broadcast-json.js';
import { BroadcastPreviews } from '../../../src/broadcasts/broadcast-previews.service.js';
import { BroadcastReports } from '../../../src/broadcasts/broadcast-reports.service.js';
import { BroadcastResends } from '../../../src/broadcasts/broadcast-resends.service.js';
import { BroadcastWords } from '../../../src/broadcasts/broadcast-words.service.js';
import { AT_ONCE } from '../../../src/broadcasts/timing.js';
import { WrittenMailsService } from '../../../src/delivery/mails/written-mails.service.js';
import { FOREVER, openDesk, SPLIT, type Desk } from './desk.js';

const MINUTE_MS = 60_000;
const MAIL = { subject: 'The frist frost', preview: '', body: 'Come to https://example.com/wrong today.' };
const MENDED = { ...MAIL, subject: 'The first frost', body: 'Come to https://example.com/right today.' };

describe('the words of a broadcast that stands still', () => {
  let desk: Desk;
  let mailId = '';
  beforeAll(async () => {
    desk = await openDesk();
  });
  afterAll(async () => desk?.t.close());
  afterEach(async () => {
    desk.t.sink.onBody = async () => undefined;
    await desk.clear();
    await desk.t.db.query('delete from written_mail');
  });

  const written = (): WrittenMailsService => desk.t.app.get(WrittenMailsService, { strict: false });
  const edit = async (id: string, change: Partial<BroadcastDraft>): Promise<Broadcast> =>
    desk.t.app.get(BroadcastWords, { strict: false }).edit(id, change);
  const send = async (): Promise<void> => {
    await desk.planner.run(FOREVER);
    await desk.t.sendDue();
  };
  const subjects = (): string[] => desk.t.sink.mails.map(({ parsed }) => parsed.subject ?? '');
  const count = (subject: string): number => subjects().filter((one) => one === subject).length;

  /** Over an hour to so many readers, of whom the first half has it, and paused. */
  const halfSent = async (people = 10, change: Partial<BroadcastDraft> = {}): Promise<string> => {
    await desk.people(people);
    mailId = await written().create('frost', MAIL);
    const { id } = await desk.broadcasts.create(desk.draft({ template: 'written/frost', ...change }));
    await desk.broadcasts.start(id, null, { ...AT_ONCE, spreadMinutes: 60 });
    await send();
    desk.t.clock.advance(29 * MINUTE_MS);
    await send();
    await desk.broadcasts.pause(id);
    return id;
  };
  const rest = async (id: string): Promise<void> => {
    await desk.broadcasts.resume(id);
    desk.t.clock.advance(60 * MINUTE_MS);
    await send();
  };
  const mend = async (): Promise<void> => written().update(mailId, MENDED);

  it('could not be mended: those who had not got it yet get the new ones, and the others keep theirs', async () => {
    const id = await halfSent();
    await mend();
    const before = await desk.broadcasts.get(id);
    const changed = await edit(id, { template: 'written/frost' });
    expect(changed).toMatchObject({ state: 'paused', rewordedAt: desk.t.clock.now() });
    expect(changed.templateId).not.toBe(before.templateId);
    const shown = await desk.t.app.get(BroadcastPreviews, { strict: false }).preview(changed, 0);
    expect(shown).toMatchObject({ subject: 'The first frost', html: expect.stringContaining('right') });
    await rest(id);
    expect([count('The frist frost'), count('The first frost')]).toEqual([5, 5]);
    for (const { parsed } of desk.t.sink.mails)
      expect(parsed.text).toContain(parsed.subject === 'The first frost' ? '/right' : '/wrong');
    expect(new Set(desk.taken()).size).toBe(10);
    const { words } = await desk.t.app.get(BroadcastReports, { strict: false }).results(id);
    expect(words).toMatchObject([
      { subject: 'The frist frost', isCurrent: false, sent: 5 },
      { subject: 'The first frost', isCurrent: true, sent: 5, templateId: changed.templateId },
    ]);
    await desk.settle(id);
    expect(await desk.broadcasts.get(id)).toMatchObject({ state: 'done', counts: { accepted: 10 } });
  });

  it('are those of the last change after several, and may go back to the first', async () => {
    const id = await halfSent(8);
    await edit(id, { subject: 'Second' });
    await edit(id, { subject: 'Third' });
    desk.t.clock.advance(MINUTE_MS);
    await desk.broadcasts.resume(id);
    await desk.broadcasts.pause(id);
    const { reworded } = await edit(id, { subject: null });
    expect(Object.keys(reworded ?? {})).toHaveLength(2);
    await rest(id);
    expect([count('The frist frost'), count('Second'), count('Third')]).toEqual([8, 0, 0]);
  });

  it('went with a mail that a worker had made with the old ones before they were changed', async () => {
    await desk.people(1);
    const id = await desk.started({ subject: 'Old' });
    await desk.planner.run(FOREVER);
    // Paused, mended and let go on between envelope and body.
    desk.t.sink.onRecipient = async () => {
      desk.t.sink.onRecipient = async () => undefined;
      await desk.broadcasts.pause(id);
      await edit(id, { subject: 'New' });
      await desk.broadcasts.resume(id);
      return undefined;
    };
    await desk.t.sendDue();
    await desk.settle(id);
    expect(subjects()).toEqual(['New']);
  });

  it('reach a mail that was put off, and none of which it is not known whether it was taken', async () => {
    await desk.people(2);
    const id = await desk.started({ subject: 'Old' });
    await desk.planner.run(FOREVER);
    desk.t.sink.onBody = async (_, to) => (to[0] === 'p1@example.com' ? 451 : 'drop');
    await desk.t.sendDue();
    desk.t.sink.onBody = async () => undefined;
    desk.t.sink.mails.length = 0;
    const ids = async (): Promise<Record<string, string>> => {
      const rows: { address: string; header: string }[] = await desk.t.db.query(
        'select address, message_id_header as header from message order by address',
      );
      return Object.fromEntries(rows.map(({ address, header }) => [address, header]));
    };
    const before = await ids();
    expect(await desk.t.db.query('select state from message order by address')).toEqual([
      { state: 'ready' },
      { state: 'unknown' },
    ]);
    await desk.t.db.query(
      `update message set state = 'ready', state_reason = null, data_at = null, settled_at = null where state = 'unknown'`,
    );
    await desk.broadcasts.pause(id);
    await edit(id, { subject: 'New' });
    await desk.broadcasts.resume(id);
    desk.t.clock.advance(600 * MINUTE_MS);
    await desk.settle(id);
    expect(desk.t.sink.mails.map(({ to, parsed }) => `${to[0]} ${parsed.subject}`).toSorted()).toEqual([
      'p1@example.com New',
      'p2@example.com Old',
    ]);
    expect(await ids()).toEqual(before);
  });

  it('are those of the mails that planning had not written yet, also where a planner had read the old ones', async () => {
    await desk.people(4_500);
    const id = await desk.started({ subject: 'Old' });
    await desk.t.db.query(
      `create function die() returns trigger language plpgsql as $$ begin raise 'the worker died'; end $$`,
    );
    await desk.t.db.query(
      `create trigger die before update on broadcast for each row when (new.planned_count > 2000 and new.state <> 'paused') execute function die()`,
    );
    await desk.planner.run(FOREVER);
    await desk.t.db.query('drop function die cascade');
    expect(await desk.broadcasts.get(id)).toMatchObject({ state: 'planning', planned: 2_000 });
    await desk.broadcasts.pause(id);
    const { templateId: old } = await desk.broadcasts.get(id);
    const { templateId } = await edit(id, { subject: 'New' });
    await desk.broadcasts.resume(id);
    await desk.planner.run(FOREVER);
    // As by a planner that stood still with the broadcast in its memory.
    await desk.t.db.query('update message set email_template_id = $1 where id % 2 = 0', [old]);
    await desk.t.db.query(`delete from message where id % 90 <> 0`);
    await desk.t.sendDue();
    expect(new Set(subjects())).toEqual(new Set(['New']));
    expect(
      await desk.t.db.query('select distinct email_template_id as id from message where state = $1', [
        'accepted',
      ]),
    ).toEqual([{ id: templateId }]);
  });

  it('are refused where they would reach somebody broken, and stop the resume where a reader’s value breaks them since', async () => {
    const id = await halfSent(4);
    await expect(edit(id, { subject: 'For {{ nobody.knows }}' })).rejects.toMatchObject({
      code: 'BROADCAST_PREFLIGHT_INVALID',
    });
    await expect(edit(id, { template: 'written/gone' })).rejects.toMatchObject({
      code: 'TEMPLATE_NOT_FOUND',
    });
    expect(await desk.broadcasts.get(id)).toMatchObject({ rewordedAt: null, template: 'written/frost' });
    await desk.t.db.query(`update subscriber set fields = '{"city": "Rome"}'`);
    await edit(id, { subject: 'News for {{ subscriber.fields.city }}' });
    await desk.t.db.query(`update subscriber set fields = jsonb_build_object('city', E'Rome\\nNorth')`);
    await expect(desk.broadcasts.resume(id)).rejects.toMatchObject({ code: 'BROADCAST_PREFLIGHT_INVALID' });
    expect((await desk.broadcasts.get(id)).state).toBe('paused');
    await desk.t.db.query(`update subscriber set fields = '{"city": "Rome"}'`);
    await rest(id);
    expect(count('News for Rome')).toBe(2);
  });

  it('are all that may be changed of it, and the refusal says so', async () => {
    const id = await halfSent(4);
    const { audience, priority } = await desk.broadcasts.get(id);
    await edit(id, { title: 'Frost', audience, priority });
    expect(await desk.broadcasts.get(id)).toMatchObject({ title: 'Frost', rewordedAt: null });
    const tags: Partial<BroadcastDraft> = { audience: { tags: { any: ['vip'] } } };
    for (const change of [tags, { priority: 9 }, { expiresAt: new Date() }, { topic: 'other' }])
      await expect(edit(id, change)).rejects.toMatchObject({
        code: 'BROADCAST_STATE_CONFLICT',
        message: expect.stringContaining('title, template, subject'),
        facts: { field: Object.keys(change)[0], allowed: ['title', 'template', 'subject'] },
      });
    await desk.broadcasts.resume(id);
    await expect(edit(id, { subject: 'New' })).rejects.toMatchObject({ code: 'BROADCAST_STATE_CONFLICT' });
  });

  it('stay while its split test runs, and are those of the rest once it is decided', async () => {
    await desk.people(40);
    const id = await desk.started({ subject: 'Arm A', split: SPLIT });
    await desk.broadcasts.pause(id);
    // Nothing has begun: no mail has any words yet.
    await edit(id, { subject: 'Arm A, mended' });
    await desk.broadcasts.resume(id);
    await send();
    await desk.planner.run(FOREVER);
    await desk.broadcasts.pause(id);
    await expect(edit(id, { subject: 'Other' })).rejects.toMatchObject({
      code: 'BROADCAST_STATE_CONFLICT',
      message: expect.stringContaining('split test'),
    });
    await desk.broadcasts.resume(id);
    desk.t.clock.advance(121 * MINUTE_MS);
    await desk.planner.run(FOREVER);
    await desk.planner.run(FOREVER);
    const { decision } = await desk.broadcasts.get(id);
    expect(decision).toMatchObject({ arm: 0 });
    await desk.broadcasts.pause(id);
    const tested = desk.t.sink.mails.length;
    await edit(id, { subject: 'To the rest' });
    await desk.broadcasts.resume(id);
    await desk.settle(id);
    expect(count('To the rest')).toBe(40 - tested);
    expect(count('Arm A, mended') + count('Arm B')).toBe(tested);
    expect(await desk.broadcasts.get(id)).toMatchObject({ subject: 'Arm A, mended' });
  });

  /** A test of two subjects is decided for the first, which then gets others for the rest, and others again. */
  const rewordedRest = async (): Promise<string> => {
    await desk.people(40);
    const id = await desk.started({
      split: { ...SPLIT, arms: [{ subject: 'Arm A' }, { subject: 'Arm B' }] },
    });
    await send();
    await desk.planner.run(FOREVER);
    desk.t.clock.advance(121 * MINUTE_MS);
    await desk.planner.run(FOREVER);
    await desk.broadcasts.pause(id);
    await edit(id, { subject: 'In between' });
    await edit(id, { subject: 'To the rest' });
    return id;
  };

  it('of the rest were shown as those with which the arm had won', async () => {
    const id = await rewordedRest();
    const tested = desk.t.sink.mails.length;
    const changed = await desk.broadcasts.get(id);
    expect(toJson(changed)['split']).toMatchObject({
      arms: [{ subject: 'Arm A' }, { subject: 'Arm B' }],
      decision: { arm: 'a', words: { template: 'emails/story', subject: 'To the rest' } },
    });
    const previews = desk.t.app.get(BroadcastPreviews, { strict: false });
    const subjectOf = async (arm: number): Promise<string> => (await previews.preview(changed, arm)).subject;
    expect([await subjectOf(0), await subjectOf(1), await subjectOf(2)]).toEqual([
      ...['Arm A', 'Arm B', 'To the rest'],
    ]);
    expect(await previews.isWrittenAnew(changed)).toBe(false);
    await desk.broadcasts.resume(id);
    await desk.settle(id);
    expect([count('To the rest'), count('In between')]).toEqual([40 - tested, 0]);
    expect(count('Arm A') + count('Arm B')).toBe(tested);
  });

  it('with which an arm had won went once more to those who had them, where the rest got others', async () => {
    const id = await rewordedRest();
    await desk.broadcasts.resume(id);
    await desk.settle(id);
    const again = async (subject: string): Promise<unknown> =>
      desk.t.app
        .get(BroadcastResends, { strict: false })
        .draft(id, { subject, template: null, title: null, unless: 'opened' });
    for (const subject of ['Arm A', 'Arm B', 'To the rest'])
      await expect(again(subject)).rejects.toMatchObject({ code: 'BROADCAST_RESEND_INVALID' });
    expect(await again('In between')).toMatchObject({ subject: 'In between' });
  });

  it('were said to be others than some had, though it had not begun and nobody had any', async () => {
    await desk.people(2);
    const { id } = await desk.broadcasts.create(desk.draft({ subject: 'Old' }));
    await desk.broadcasts.start(id, new Date(desk.t.clock.now().getTime() + 60 * MINUTE_MS));
    await desk.broadcasts.pause(id);
    expect(await edit(id, { subject: 'New' })).toMatchObject({ subject: 'New', rewordedAt: null });
    await desk.broadcasts.resume(id);
    desk.t.clock.advance(60 * MINUTE_MS);
    await desk.settle(id);
    expect(subjects()).toEqual(['New', 'New']);
  });

  it('kept a subject of the broadcast’s own that was taken away, where it was the very one of the mail', async () => {
    const id = await halfSent(4, { subject: MAIL.subject });
    const changed = await edit(id, { subject: null });
    expect(changed).toMatchObject({ subject: null, reworded: null, rewordedAt: null });
    // From here on it is the one of the mail.
    await mend();
    await edit(id, { template: 'written/frost' });
    await rest(id);
    expect([count('The frist frost'), count('The first frost')]).toEqual([2, 2]);
  });

  it('of before went once more to those who had them, when it was sent once more', async () => {
    const id = await halfSent(4, { subject: 'Old' });
    await edit(id, { subject: 'In between' });
    await edit(id, { subject: 'New' });
    await rest(id);
    const again = async (subject: string): Promise<unknown> =>
      desk.t.app
        .get(BroadcastResends, { strict: false })
        .draft(id, { subject, template: null, title: null, unless: 'opened' });
    for (const subject of ['Old', 'New'])
      await expect(again(subject)).rejects.toMatchObject({ code: 'BROADCAST_RESEND_INVALID' });
    expect(await again('In between')).toMatchObject({ subject: 'In between' });
  });
});
