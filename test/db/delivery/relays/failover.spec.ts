import { afterEach, describe, expect, it } from 'vitest';
import { RelaysService } from '../../../../src/delivery/relays/relays.service.js';
import { AlertsService } from '../../../../src/infra/alerts/alerts.service.js';
import { openSmtpSink, type SmtpSink } from '../../../support/smtp-sink.js';
import { openPostOffice, type PostOffice } from '../post-office.js';

const MINUTE_MS = 60_000;

describe('the relay with most of the weight, down before the process starts', () => {
  let t: PostOffice;
  let down: SmtpSink;
  let works: SmtpSink;
  afterEach(async () => {
    await t.close();
    await works.close();
  });

  it.each([
    ['another with a little weight', 1],
    ['a spare without any', 0],
  ])('leaves all mails to %s, each once and without a lost try', async (_, weight) => {
    [down, works] = await Promise.all([openSmtpSink(), openSmtpSink()]);
    await down.close();
    t = await openPostOffice({
      SMTP_URL: `${down.url}?name=down&weight=50&lanes=4 ${works.url}?name=works&weight=${weight}&lanes=4`,
    });
    const ids: string[] = [];
    for (let n = 0; n < 20; n++) ids.push(await t.plan(`reader${n}@example.org`));
    // What met the closed port comes up again within a minute.
    let accepted = 0;
    for (let round = 0; round < 4 && accepted < ids.length; round++) {
      accepted += await t.sendDue();
      t.clock.advance(MINUTE_MS);
    }
    expect(accepted).toBe(20);
    expect(new Set(works.mails.flatMap(({ to }) => to)).size).toBe(20);
    expect(works.mails).toHaveLength(20);
    expect(down.mails).toEqual([]);
    for (const id of ids) expect(await t.state(id)).toMatchObject({ state: 'accepted' });
    expect(await t.app.get(RelaysService, { strict: false }).view()).toMatchObject([
      { name: 'down', state: 'open' },
      { name: 'works', state: 'closed' },
    ]);
    expect(await t.app.get(AlertsService, { strict: false }).open()).toMatchObject([
      { key: 'relay:down', message: expect.stringContaining('cannot be reached') },
    ]);
  });
});

describe('a mail that tries the relay which is out, while another works', () => {
  let t: PostOffice;
  let works: SmtpSink;
  let out: SmtpSink;
  afterEach(async () => {
    await t.close();
    await Promise.all([works.close(), out.close()]);
  });

  it.each([
    ['cannot be reached', async () => out.close()],
    [
      'refuses the sender',
      async () => void (out.onSender = async () => ({ code: 550, text: '5.7.1 Suspended' })),
    ],
    ['goes away', async () => void (out.onSender = async () => 'drop')],
  ])(
    'goes by the other after two seconds, where that one %s: a confirmation waited a minute',
    async (_, turnsBad) => {
      [out, works] = await Promise.all([openSmtpSink(), openSmtpSink()]);
      t = await openPostOffice({ SMTP_URL: `${out.url}?name=out&weight=3 ${works.url}?name=works` });
      await turnsBad();
      await t.db.query(
        `insert into relay_state (key, state, failures, pause_seconds, opened_until, updated_at)
       values ('out', 'open', 5, 30, now() - interval '1 second', now())`,
      );
      const id = await t.plan('newcomer@example.org', { class: 'transactional' });
      expect(await t.sendDue()).toBe(0);
      expect(await t.state(id)).toMatchObject({ state: 'ready', attempt: 0 });
      t.clock.advance(2_000);
      expect(await t.sendDue()).toBe(1);
      expect([out.mails.length, works.mails.length]).toEqual([0, 1]);
    },
  );
});
