import { ImapFlow } from 'imapflow';
import { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BounceImap } from '../../../src/bounces/bounce-imap.service.js';
import { GenerationGuard } from '../../../src/delivery/generation/generation-guard.service.js';
import { unsubscribeAddress } from '../../../src/delivery/mails/verp.js';
import { AlertsService } from '../../../src/infra/alerts/alerts.service.js';
import { signIds } from '../../../src/values/signed-token.js';
import { hasDovecot, openDovecot, type Dovecot } from '../../support/dovecot.js';
import { openImapProxy } from '../../support/imap-proxy.js';
import { BOUNCE_DOMAIN, openBounceOffice, type BounceOffice } from './bounce-office.js';

const READER = '987654321';

describe.skipIf(!hasDovecot())(
  'a mail by which somebody wants to leave whom a restored backup does not know',
  () => {
    let server: Dovecot;
    let office: BounceOffice;
    beforeAll(async () => {
      [server, office] = await Promise.all([openDovecot(), openBounceOffice()]);
    });
    afterAll(async () => {
      await office.close();
      await server.close();
    });

    const get = <T>(type: new (...args: never[]) => T): T => office.app.get<T>(type, { strict: false });
    const arrives = async (): Promise<void> => {
      const token = signIds(office.config.secretKey as Buffer, 'unsubscribe', [READER, '987654322']);
      const { hostname: host, port, username: user, password: pass } = new URL(server.url('box'));
      const client = new ImapFlow({
        host,
        port: Number(port),
        secure: false,
        auth: { user, pass },
        logger: false,
      });
      await client.connect();
      await client.append(
        'INBOX',
        `From: ada@example.net\nTo: ${unsubscribeAddress(token, BOUNCE_DOMAIN)}\n\n`,
      );
      await client.logout();
    };

    it('is fetched once, and once more when the database knows its reader: it was each minute, however many there were', async () => {
      for (let mails = 0; mails < 2; mails++) await arrives();
      let fetched = 0;
      const proxy = await openImapProxy(server.url('box'), (said) => {
        fetched += said.split(/ FETCH /).length - 1;
        return 'pass';
      });
      const config = { ...office.config, bounceImapUrl: proxy.url };
      const reader = new BounceImap(
        office.intake,
        ...([get(GenerationGuard), get(AlertsService), get(DataSource), config, office.clock] as const),
      );
      const fetches = async (): Promise<number> => {
        fetched = 0;
        await reader.readNew({ signal: new AbortController().signal });
        return fetched;
      };
      expect(await fetches()).toBeGreaterThan(0);
      expect([await fetches(), await fetches()]).toEqual([0, 0]);
      expect(await office.alertKeys()).toContain('bounces:imap-mail');
      await office.db.query(
        `insert into subscriber (id, email, email_key, status, created_at, updated_at) overriding system value
       values ($1, 'back@example.net', 'back@example.net', 'active', now(), now())`,
        [READER],
      );
      expect(await fetches()).toBeGreaterThan(0);
      const left: unknown[] = await office.db.query('select status from subscriber where id = $1', [READER]);
      expect(left).toEqual([{ status: 'unsubscribed' }]);
      expect(await office.alertKeys()).not.toContain('bounces:imap-mail');
      await proxy.close();
    });
  },
);
