import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ImapFlow } from 'imapflow';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GenerationGuard } from '../../../../src/delivery/generation/generation-guard.service.js';
import { unsubscribeAddress } from '../../../../src/delivery/mails/verp.js';
import { JobRunner } from '../../../../src/infra/jobs/job-runner.js';
import { CONFIG, type Config } from '../../../../src/infra/config.js';
import { signIds } from '../../../../src/values/signed-token.js';
import { hasDovecot, openDovecot, type Dovecot } from '../../../support/dovecot.js';
import { openCourse, type Course } from '../../sequences/course.js';

const BOUNCE_DOMAIN = 'bounce.example.com';

describe('a copy of the database beside the installation that it was copied from', () => {
  let t: Course;
  let receiver: Server;
  let url: string;
  let mailbox: Dovecot | null;
  let posted = 0;
  beforeAll(async () => {
    mailbox = hasDovecot() ? await openDovecot() : null;
    receiver = createServer((request, response) => {
      posted++;
      request.resume();
      response.writeHead(200).end();
    });
    await new Promise<void>((done) => receiver.listen(0, '127.0.0.1', done));
    url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`;
    t = await openCourse({
      WEBHOOK_PRIVATE_NETWORKS: 'true',
      BOUNCE_DOMAIN,
      ...(mailbox === null ? {} : { BOUNCE_IMAP_URL: mailbox.url('ada') }),
    });
  });
  afterAll(async () => {
    await t.test.close();
    receiver.close();
    await mailbox?.close();
  });

  const get = <T>(type: new (...args: never[]) => T): T => t.test.app.get<T>(type, { strict: false });
  const runs = async (job: string): Promise<unknown> => get(JobRunner).run(job);
  /** With the same settings and data folder, and tables of its own. */
  const becomesCopy = async (): Promise<void> => {
    t.clock.set(new Date(t.clock.now().getTime() + 60_000));
    await get(GenerationGuard).maySend();
    await t.db.query(
      `update setting set value = jsonb_set(value, '{fingerprint,table}', '"1"') where key = 'ledger.generation'`,
    );
    expect(await get(GenerationGuard).state()).toMatchObject({ ok: false });
  };
  const confirm = async (): Promise<unknown> => get(GenerationGuard).confirm('hold');
  async function within<T>(work: (client: ImapFlow) => Promise<T>): Promise<T> {
    const { hostname, port, username, password } = new URL(mailbox?.url('ada') ?? '');
    const client = new ImapFlow({
      host: hostname,
      port: Number(port),
      secure: false,
      auth: { user: username, pass: password },
      logger: false,
    });
    await client.connect();
    return work(client).finally(() => client.close());
  }

  it('posted to webhooks what the other one posts itself', async () => {
    await t.publish(`- { key: tell, webhook: "${url}" }`);
    await becomesCopy();
    await t.enroll(await t.person('reader@example.com'));
    await t.run();
    await runs('sequences.deliver-webhooks');
    expect(posted).toBe(0);

    await confirm();
    await runs('sequences.deliver-webhooks');
    expect(posted).toBe(1);
  });

  it.skipIf(!hasDovecot())('took the bounces and leavings out of the mailbox of the other one', async () => {
    const id = await t.person('leaves@example.com');
    const { secretKey } = t.test.app.get<Config>(CONFIG, { strict: false });
    const token = signIds(secretKey, 'unsubscribe', [id, '0']);
    const mail = `From: leaves@example.com\r\nTo: ${unsubscribeAddress(token, BOUNCE_DOMAIN)}\r\nSubject: unsubscribe\r\n\r\nunsubscribe\r\n`;
    await within(async (client) => client.append('INBOX', mail));
    const left = async (): Promise<unknown> => {
      const waiting = await within(async (client) => client.status('INBOX', { messages: true }));
      const [row]: { status: string }[] = await t.db.query('select status from subscriber where id = $1', [
        id,
      ]);
      return [waiting && waiting.messages, row?.status];
    };
    await becomesCopy();
    await runs('bounces.read-mailbox');
    expect(await left()).toEqual([1, 'active']);

    await confirm();
    await runs('bounces.read-mailbox');
    expect(await left()).toEqual([0, 'unsubscribed']);
  });

  it.skipIf(!hasDovecot())(
    'mailed who had left by mail while it waited for its owner, once they had said yes',
    async () => {
      const [here, gone] = [await t.person('here@example.com'), await t.person('gone@example.com')];
      await t.publish('- { key: story, email: emails/story }');
      await t.enroll(here);
      await t.enroll(gone);
      await t.run();
      await becomesCopy();
      const { secretKey } = t.test.app.get<Config>(CONFIG, { strict: false });
      const to = unsubscribeAddress(signIds(secretKey, 'unsubscribe', [gone, '0']), BOUNCE_DOMAIN);
      const mail = `From: gone@example.com\r\nTo: ${to}\r\nSubject: unsubscribe\r\n\r\nunsubscribe\r\n`;
      await within(async (client) => client.append('INBOX', mail));
      await runs('bounces.read-mailbox');
      await get(GenerationGuard).confirm('keep');
      const arrived = async (): Promise<number[]> => [
        (await t.test.mailsTo('here@example.com')).length,
        (await t.test.mailsTo('gone@example.com')).length,
      ];
      await runs('delivery.send-due');
      expect(await arrived()).toEqual([0, 0]);

      await runs('bounces.read-mailbox');
      await runs('delivery.send-due');
      expect(await arrived()).toEqual([1, 0]);
    },
  );

  it.skipIf(!hasDovecot())(
    'kept all mail back for good where its mailbox cannot be read any more',
    async () => {
      const late = await t.person('late@example.com');
      await t.publish('- { key: story, email: emails/story }');
      await t.enroll(late);
      await t.run();
      await becomesCopy();
      await get(GenerationGuard).confirm('keep');
      await runs('delivery.send-due');
      expect(await t.test.mailsTo('late@example.com')).toHaveLength(0);
      t.clock.set(new Date(t.clock.now().getTime() + 11 * 60_000));
      await runs('delivery.send-due');
      expect(await t.test.mailsTo('late@example.com')).toHaveLength(1);
    },
  );
});
