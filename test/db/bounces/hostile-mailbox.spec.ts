import { createServer, type AddressInfo, type Socket } from 'node:net';
import { ImapFlow } from 'imapflow';
import { DataSource } from 'typeorm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { BounceImap, LAST_MAIL_MS } from '../../../src/bounces/bounce-imap.service.js';
import type { IncomingMail, BounceIntake } from '../../../src/bounces/bounce-intake.service.js';
import { becomesTrue } from '../../../src/infra/database/postmaster.js';
import { GenerationGuard } from '../../../src/delivery/generation/generation-guard.service.js';
import { AlertsService } from '../../../src/infra/alerts/alerts.service.js';
import { hasDovecot, openDovecot, type Dovecot } from '../../support/dovecot.js';
import { openImapProxy } from '../../support/imap-proxy.js';
import { waits } from '../../support/waits.js';
import { openBounceOffice, type BounceOffice } from './bounce-office.js';
import { returnedMail } from './returned-mail.js';

const CONNECT_MS = 15_000;
const unaborted = () => ({ signal: new AbortController().signal });

describe('a bounce mailbox whose server misbehaves', () => {
  let office: BounceOffice;
  beforeAll(async () => {
    office = await openBounceOffice();
  });
  afterAll(async () => office.close());

  const get = <T>(type: new (...args: never[]) => T): T => office.app.get<T>(type, { strict: false });
  const reader = (bounceImapUrl: string, intake: BounceIntake = office.intake): BounceImap =>
    new BounceImap(
      intake,
      get(GenerationGuard),
      get(AlertsService),
      get(DataSource),
      {
        ...office.config,
        bounceImapUrl,
      },
      office.clock,
    );

  it('a server that takes the connection and never says a word is given up, and the owner is told', async () => {
    const sockets: Socket[] = [];
    const silent = createServer((socket) => void sockets.push(socket.on('error', () => undefined)));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const time = waits();
    try {
      const { port } = silent.address() as AddressInfo;
      const reading = reader(`imap://ada:secret@127.0.0.1:${port}/INBOX`).readNew(unaborted());
      expect(await becomesTrue(async () => sockets.length > 0, 20_000)).toBe(true);
      time.pass(CONNECT_MS);
      expect(await reading).toBe(0);
      expect(await office.alertKeys()).toContain('bounces:imap');
    } finally {
      time.end();
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => silent.close(() => resolve()));
    }
  });

  describe.skipIf(!hasDovecot())('with dovecot behind it', () => {
    let server: Dovecot;
    let user = 0;
    beforeAll(async () => {
      server = await openDovecot();
    });
    afterAll(async () => server.close());
    beforeEach(() => {
      user++;
    });
    const name = (): string => `odd${user}`;
    const url = (): string => server.url(name());

    async function within<T>(work: (client: ImapFlow) => Promise<T>): Promise<T> {
      const { hostname, port, username, password } = new URL(url());
      const client = new ImapFlow({
        ...{ host: hostname, port: Number(port), secure: false, logger: false },
        auth: { user: username, pass: password },
      });
      await client.connect();
      try {
        return await work(client);
      } finally {
        await client.logout();
      }
    }
    const waiting = async (folder: string): Promise<number> =>
      within(async (client) => {
        const status = await client.status(folder, { messages: true });
        return status ? (status.messages ?? 0) : 0;
      });
    async function bounceOf(email: string): Promise<string> {
      await office.plan(email, { dedupeKey: `odd:${email}` });
      await office.sendDue();
      const mail = office.sink.mails.findLast(({ to }) => to.includes(email));
      const notice = returnedMail(mail?.raw ?? '', '5.1.1', '550 5.1.1 no such user');
      return notice.replace('undisclosed-recipients:;', mail?.from ?? '');
    }

    it.each(['SEARCH', 'FETCH', 'MOVE'])(
      'one that never ends its answer to %s is left when the look ends, and read at the next: it held the look for ever',
      async (command) => {
        const email = `drip${user}@example.org`;
        const mail = await bounceOf(email);
        await within(async (client) => client.append('INBOX', mail, [], office.clock.now()));
        const asked: string[] = [];
        const proxy = await openImapProxy(url(), (said) => {
          if (!said.includes(` ${command} `)) return 'pass';
          asked.push(said);
          return { instead: '' };
        });
        const [time, stop] = [waits(), new AbortController()];
        try {
          const reading = reader(proxy.url).readNew({ signal: stop.signal });
          expect(await becomesTrue(async () => asked.length > 0, 20_000)).toBe(true);
          stop.abort();
          time.pass(LAST_MAIL_MS);
          await reading;
          expect((await office.alertKeys()).some((key) => key.startsWith('bounces:imap'))).toBe(true);
        } finally {
          time.end();
          await proxy.close();
        }
        expect(await reader(url()).readNew(unaborted())).toBe(1);
        expect(await office.suppressed(email)).toEqual(['all hard_bounce']);
        expect((await office.alertKeys()).filter((key) => key.startsWith('bounces:imap'))).toEqual([]);
      },
    );

    it('a mailbox that is made anew while it is read loses no mail, though its numbers begin again', async () => {
      const [before, after] = [`before${user}@example.org`, `after${user}@example.org`];
      const [first, second] = [await bounceOf(before), await bounceOf(after)];
      await within(async (client) => {
        await client.mailboxCreate('Bounces');
        await client.append('Bounces', first, [], office.clock.now());
      });
      const folder = url().replace('INBOX', 'Bounces');
      let anew = false;
      const meanwhile: BounceIntake = Object.assign(Object.create(office.intake) as BounceIntake, {
        receive: async (mail: IncomingMail) => {
          const taken = await office.intake.receive(mail);
          if (!anew) {
            anew = true;
            await within(async (client) => {
              await client.mailboxDelete('Bounces');
              await client.mailboxCreate('Bounces');
              await client.append('Bounces', second, [], office.clock.now());
            });
          }
          return taken;
        },
      });
      const worker = reader(folder, meanwhile);
      await worker.readNew(unaborted());
      await worker.readNew(unaborted());
      expect(anew).toBe(true);
      for (const email of [before, after])
        expect(await office.suppressed(email)).toEqual(['all hard_bounce']);
      expect(await waiting('Bounces')).toBe(0);
    });

    it.each([
      ['does not keep \\Seen', (said: string) => said, 'PERMANENTFLAGS (\\Deleted)'],
      ['refuses the mark', (said: string) => said.replace(/ STORE .*/, ' STORE'), '$&'],
    ])('a mailbox that %s has its mails put away all the same', async (_, change, flags) => {
      const email = `unmarked${user}@example.org`;
      const mail = await bounceOf(email);
      await within(async (client) => client.append('INBOX', mail, [], office.clock.now()));
      const proxy = await openImapProxy(
        url(),
        (said) => ({ instead: change(said) }),
        (said) => said.replace(/PERMANENTFLAGS \([^)]*\)/, flags),
      );
      try {
        expect(await reader(proxy.url).readNew(unaborted())).toBe(1);
      } finally {
        await proxy.close();
      }
      expect(await office.suppressed(email)).toEqual(['all hard_bounce']);
      expect(await waiting('INBOX')).toBe(0);
      expect(await office.alertKeys()).not.toContain('bounces:imap-put-away');
    });

    it('a password that is changed while it runs tells the owner, and nothing is lost until it is right again', async () => {
      let wrong = false;
      const proxy = await openImapProxy(url(), (said) =>
        // Name and password travel in a line of their own.
        wrong && /^[A-Za-z0-9+/=]{20,}\r\n$/.test(said)
          ? { instead: `${Buffer.from('\0ada\0wrong').toString('base64')}\r\n` }
          : 'pass',
      );
      try {
        const worker = reader(proxy.url);
        expect(await worker.readNew(unaborted())).toBe(0);
        expect(await office.alertKeys()).not.toContain('bounces:imap');
        const email = `later${user}@example.org`;
        const mail = await bounceOf(email);
        await within(async (client) => client.append('INBOX', mail, [], office.clock.now()));
        wrong = true;
        expect(await worker.readNew(unaborted())).toBe(0);
        expect(await office.alertKeys()).toContain('bounces:imap');
        wrong = false;
        expect(await worker.readNew(unaborted())).toBe(1);
        expect(await office.suppressed(email)).toEqual(['all hard_bounce']);
        expect(await office.alertKeys()).not.toContain('bounces:imap');
      } finally {
        await proxy.close();
      }
    });

    it(
      'of tens of thousands of mails each look takes what it has time for, and the next goes on there',
      { timeout: 120_000 },
      async () => {
        await within(async (client) => client.mailboxOpen('INBOX'));
        const count = 20_000;
        await server.fill(name(), count, 'From: eve@example.net\r\nSubject: hello\r\n\r\nhello\r\n');

        const stops: AbortController[] = [];
        let [fetched, bytes] = [0, 0];
        const proxy = await openImapProxy(
          url(),
          (said) => {
            if (said.includes(' UID FETCH ') && ++fetched % 20 === 0) stops.at(-1)?.abort();
            return 'pass';
          },
          (text) => {
            bytes += text.length;
            return text;
          },
        );
        try {
          const worker = reader(proxy.url);
          for (let look = 1; look <= 2; look++) {
            stops.push(new AbortController());
            expect(await worker.readNew({ signal: stops.at(-1)?.signal as AbortSignal })).toBe(20);
          }
          expect(await waiting('INBOX')).toBe(count - 40);
          // Two lists of numbers, and forty mails.
          expect(bytes).toBeLessThan(1024 * 1024);
        } finally {
          await proxy.close();
        }
      },
    );
  });
});
