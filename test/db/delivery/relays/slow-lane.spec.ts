import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DueMessages } from '../../../../src/delivery/sending/due-messages.service.js';
import { Ledger } from '../../../../src/delivery/ledger/ledger.service.js';
import type { ClaimedMessage, SendOutcome } from '../../../../src/delivery/message/message.js';
import { PacingService } from '../../../../src/delivery/pacing/pacing.service.js';
import { RelaysService } from '../../../../src/delivery/relays/relays.service.js';
import { SmtpLane, type OutgoingMail } from '../../../../src/delivery/relays/smtp-lane.transport.js';
import { SmtpLanes } from '../../../../src/delivery/relays/smtp-lanes.service.js';
import { AlertsService } from '../../../../src/infra/alerts/alerts.service.js';
import { CountingSink } from '../../../support/counting-sink.js';
import { deafRelay } from '../../../support/deaf-relay.js';
import { plainMail } from '../../../support/plain-mail.js';
import { OPENED_AT, openPostOffice, type PostOffice } from '../post-office.js';

const DEADLINE = OPENED_AT.getTime() + 60_000;

/** A promise and its end. */
function gate(): { passed: Promise<void>; open: () => void } {
  let open = (): void => undefined;
  const passed = new Promise<void>((resolve) => (open = resolve));
  return { passed, open };
}

describe('while the relay is slow with one mail', () => {
  let t: PostOffice;
  beforeEach(async () => void (t = await openPostOffice()));
  afterEach(async () => t.close());

  it('a receipt that falls due meanwhile does not wait for it', async () => {
    await t.plan('slow@example.com');
    const [stalled, end, receipt] = [gate(), gate(), gate()];
    t.sink.onBody = async () => {
      if (t.sink.bodiesBegun > 1) receipt.open();
      else {
        stalled.open();
        await end.passed;
      }
      return undefined;
    };
    const sending = t.newSender().sendDue({ deadline: DEADLINE, signal: new AbortController().signal });
    await stalled.passed;
    await t.plan('buyer@example.com', { class: 'transactional', kind: 'receipt', priority: 0 });
    await receipt.passed;
    end.open();
    expect(await sending).toBe(2);
  });

  it('what is claimed goes back at once when it is time to stop', async () => {
    for (let index = 0; index < 80; index++) await t.plan(`drain${index}@example.com`);
    const [stalled, end] = [gate(), gate()];
    const stop = new AbortController();
    t.sink.onBody = async () => {
      if (!stop.signal.aborted) {
        stop.abort();
        stalled.open();
      }
      await end.passed;
      return undefined;
    };
    const sending = t.newSender().sendDue({ deadline: DEADLINE, signal: stop.signal });
    await stalled.passed;
    const left = async (): Promise<number> => {
      const rows: { count: number }[] = await t.db.query(
        `select count(*)::int from message where state = 'ready' and lease_until is null and attempt = 0`,
      );
      return rows[0]?.count ?? 0;
    };
    // All but what the lanes hold, each with one mail ready behind it at most.
    await expect.poll(left).toBeGreaterThanOrEqual(80 - 2 * 32);
    end.open();
    await sending;
    expect(await left()).toBe(80 - t.sink.mails.length);
  });
});

describe('a mail that is given back', () => {
  let t: PostOffice;
  beforeEach(async () => void (t = await openPostOffice()));
  afterEach(async () => t.close());

  it('gives no token back once it has ended', async () => {
    await t.plan('ended@example.com');
    const due = t.app.get(DueMessages, { strict: false });
    const pacing = t.app.get(PacingService, { strict: false });
    const { messages } = await due.claim('worker', 10);
    const used = async (): Promise<unknown> =>
      t.db.query('select key, used_today from send_bucket order by 1');
    await t.app.get(Ledger, { strict: false }).settle({
      ...{ id: messages[0]?.id ?? '', epoch: messages[0]?.epoch ?? 0, state: 'accepted', reason: null },
      ...{
        dueAt: null,
        code: 250,
        reply: 'ok',
        stage: 'done',
        acceptedAt: OPENED_AT,
        relay: null,
        tls: null,
      },
      ...{ countsAsAttempt: true, countsAsUnknown: false, durationMs: 1 },
    });
    const before = await used();
    await due.release(messages as ClaimedMessage[]);
    await pacing.allow([], 0);
    expect(await used()).toEqual(before);
    expect(await t.state(messages[0]?.id ?? '')).toMatchObject({ state: 'accepted' });
  });

  it('closes the relay for no sender when it refuses another for now, whose mails come to an end', async () => {
    const lanes = t.app.get(SmtpLanes, { strict: false }).open();
    const taken = await lanes.take();
    if (taken === null) throw new Error('there is no relay');
    const told = async (email: string, code: number, attempt = 1): Promise<SendOutcome> => {
      const wire: SendOutcome =
        code === 250
          ? { kind: 'accepted', code, reply: '250 OK' }
          : { kind: 'refused', permanent: false, stage: 'MAIL FROM', code, reply: `${code} 4.3.0 not now` };
      const sender = { name: 'Sender', email, postalAddress: '1 Main St' };
      const outcome = lanes.judged(
        taken,
        { id: '1', address: 'reader@example.org', templateId: '1', sender },
        wire,
      );
      await lanes.told(taken, outcome, { sender, attempt, templateId: '1' });
      return outcome;
    };
    const alerts = async (): Promise<string[]> =>
      (await t.app.get(AlertsService, { strict: false }).open()).map(({ key }) => key);
    const state = async (): Promise<unknown> =>
      (await t.app.get(RelaysService, { strict: false }).view())[0]?.state;
    await told('bea@example.org', 451);
    await told('ada@example.com', 250);
    for (let count = 0; count < 12; count++)
      expect(await told('bea@example.org', 451)).toMatchObject({ senderAlone: true });
    expect(await state()).toBe('closed');
    expect(await alerts()).toEqual([]);
    await told('bea@example.org', 451, 4);
    await told('bob@example.org', 250, 1);
    expect(await alerts()).toEqual([expect.stringMatching(/^sender:.*:example\.org$/)]);
    await told('bea@example.org', 250, 5);
    expect(await alerts()).toEqual([]);
    // A relay in trouble of its own refuses both.
    for (let count = 0; count < 10; count++) await told('ada@example.com', 452);
    expect(await state()).toBe('open');
    lanes.put(taken);
    lanes.close();
  });

  it('leaves a relay that is being tried to the mail that tries it, though others find none', async () => {
    for (let index = 0; index < 40; index++) await t.plan(`many${index}@example.com`);
    const relays = t.app.get(RelaysService, { strict: false });
    const name = (await relays.view())[0]?.name ?? '';
    for (let round = 0; round < 3; round++) await relays.failed({ name }, 'connect', 'no answer');
    await t.db.query(`update relay_state set opened_until = clock_timestamp() - interval '1 second'`);
    await relays.view();
    expect(await t.sendDue()).toBe(1);
    expect((await relays.view())[0]?.state).toBe('closed');
    expect(await t.sendDue()).toBe(39);
  });
});

describe('a relay that lost the envelope it had with the end of another mail', () => {
  it('is given each mail by itself from then on', async () => {
    const t = await openPostOffice();
    const lanes = t.app.get(SmtpLanes, { strict: false }).open();
    const taken = await lanes.take();
    if (taken === null) throw new Error('there is no relay');
    expect(await lanes.mayFollow()).toBe(true);
    const relay = await deafRelay(plainMail('1'), plainMail('2'));
    const sender = { name: 'Ada', email: 'ada@example.com', postalAddress: '1 Main St' };
    await lanes.told({ ...taken, lane: relay.lane }, relay.outcomes[1], {
      sender,
      attempt: 1,
      templateId: '1',
    });
    expect(await lanes.mayFollow()).toBe(false);
    await relay.close();
    lanes.close();
    await t.close();
  });
});

describe('a relay that says farewell between two mails', () => {
  it.each([
    ['that was begun', (next: OutgoingMail) => () => next],
    ['that comes on the same connection', () => undefined],
  ])('costs the mail %s neither a try nor its pace', async (_, following) => {
    const sink = new CountingSink();
    await sink.listen();
    sink.rules = [
      { stage: 'mail', fault: { kind: 'reply', code: 421, text: 'too many in this session' }, at: [2] },
    ];
    const lane = new SmtpLane('relay', new URL(sink.url));
    const yes = async (): Promise<boolean> => true;
    expect(await lane.send(plainMail('1'), yes, following(plainMail('2')))).toMatchObject({
      kind: 'accepted',
    });
    expect(await lane.send(plainMail('2'), yes)).toMatchObject({ kind: 'accepted' });
    expect(sink.hits.connect).toBe(2);
    expect(sink.takenTotal).toBe(2);
    lane.close();
    await sink.close();
  });
});
