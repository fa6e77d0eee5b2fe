import { ImapFlow } from 'imapflow';
import { DataSource } from 'typeorm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { BounceImap } from '../../../src/bounces/bounce-imap.service.js';
import { unsubscribeAddress } from '../../../src/delivery/mails/verp.js';
import { GenerationGuard } from '../../../src/delivery/generation/generation-guard.service.js';
import { AlertsService } from '../../../src/infra/alerts/alerts.service.js';
import { signIds } from '../../../src/values/signed-token.js';
import { hasDovecot, openDovecot, type Dovecot } from '../../support/dovecot.js';
import { openImapProxy } from '../../support/imap-proxy.js';
import { report } from '../../support/returned-mails.js';
import { BOUNCE_DOMAIN, openBounceOffice, type BounceOffice } from './bounce-office.js';
import { returnedMail } from './returned-mail.js';

const unaborted = () => ({ signal: new AbortController().signal });

describe.skipIf(!hasDovecot())('the bounce mailbox, read over IMAP from dovecot', () => {
  let server: Dovecot;
  let office: BounceOffice;
  let user = 0;

  beforeAll(async () => {
    [server, office] = await Promise.all([openDovecot(), openBounceOffice()]);
  });
  afterAll(async () => {
    await office.close();
    await server.close();
  });
  beforeEach(() => {
    user++;
  });

  const url = () => server.url(`box${user}`);
  const get = <T>(type: new (...args: never[]) => T): T => office.app.get<T>(type, { strict: false });
  /** The reader of one worker process. */
  const reader = (bounceImapUrl = url()): BounceImap =>
    new BounceImap(
      office.intake,
      get(GenerationGuard),
      get(AlertsService),
      get(DataSource),
      {
        ...office.config,
        bounceImapUrl,
      },
      office.clock,
    );
  const read = async (): Promise<number> => reader().readNew(unaborted());

  /** A report about a mail that was really sent. */
  async function bounceOf(email: string): Promise<string> {
    await office.plan(email, { dedupeKey: `mailbox:${email}` });
    await office.sendDue();
    const mail = office.sink.mails.findLast(({ to }) => to.includes(email));
    const notice = returnedMail(mail?.raw ?? '', '5.1.1', '550 5.1.1 no such user');
    // Delivered by a catch-all: the return path stands in To.
    return notice.replace('undisclosed-recipients:;', mail?.from ?? '');
  }

  async function put(...mails: (string | Buffer)[]): Promise<void> {
    await within(async (client) => {
      // Of the day that it is in the tests.
      for (const mail of mails) await client.append('INBOX', mail, [], office.clock.now());
    });
  }

  /** Mails by mailbox. */
  async function contents(): Promise<Record<string, number>> {
    return within(async (client) => {
      const counts: Record<string, number> = {};
      for (const { path } of await client.list()) {
        const status = await client.status(path, { messages: true });
        counts[path] = status ? (status.messages ?? 0) : 0;
      }
      return counts;
    });
  }

  async function within<T>(work: (client: ImapFlow) => Promise<T>): Promise<T> {
    const { hostname, port, username, password } = new URL(url());
    const client = new ImapFlow({
      host: hostname,
      port: Number(port),
      secure: false,
      auth: { user: username, pass: password },
      logger: false,
    });
    await client.connect();
    try {
      return await work(client);
    } finally {
      await client.logout();
    }
  }

  it('a bounce takes effect and is put away', async () => {
    await put(await bounceOf('first@example.org'));
    expect(await read()).toBe(1);
    expect(await office.suppressed('first@example.org')).toEqual(['all hard_bounce']);
    expect(await contents()).toEqual({ INBOX: 0, 'INBOX.Other': 0, 'INBOX.Processed': 1 });
    expect(await read()).toBe(0);
  });

  it('one that waited in the mailbox for longer than queues last counts as on the day it came: it was taken for an odd one', async () => {
    await put(await bounceOf('gap@example.org'));
    office.clock.advance(10 * 86_400_000);
    expect(await read()).toBe(1);
    expect(await office.suppressed('gap@example.org')).toEqual(['all hard_bounce']);
    // Of a mail that it is too late for even so.
    const late = await bounceOf('late@example.org');
    office.clock.advance(10 * 86_400_000);
    await put(late);
    expect(await read()).toBe(1);
    expect(await office.suppressed('late@example.org')).toEqual([]);
  });

  it('so does one that somebody has looked at before', async () => {
    await put(await bounceOf('seen@example.org'));
    await within(async (client) => {
      await client.mailboxOpen('INBOX');
      await client.messageFlagsAdd('1', ['\\Seen']);
    });
    expect(await read()).toBe(1);
    expect(await office.suppressed('seen@example.org')).toEqual(['all hard_bounce']);
  });

  it('a complaint with more in it than the first pages counts, as all of it is signed', async () => {
    const letter = 'a line of the letter\n'.repeat(50_000);
    await put(await office.complaint(await office.sent('mailbox.large@example.org'), 'abuse', letter));
    expect(await read()).toBe(1);
    expect(await office.status('mailbox.large@example.org')).toBe('complained');
  });

  it('letters and forged reports change nothing and are put away apart', async () => {
    const fields = 'Final-Recipient: rfc822; first@example.org\nAction: failed\nStatus: 5.1.1';
    await put(
      'From: Bob <bob@example.org>\nTo: ada@example.com\nSubject: Hello\n\nUser unknown? Only joking.\n',
      report({ words: 'User unknown', fields }),
    );
    expect(await read()).toBe(2);
    expect(await contents()).toEqual({ INBOX: 0, 'INBOX.Other': 1, 'INBOX.Processed': 1 });
    const [kept] = await office.bounces.list({ trusted: false, limit: 1 });
    expect(kept).toMatchObject({ verdict: 'hard', source: 'imap', messageId: null });
  });

  /** Somebody wants to leave, by an address that stood in a mail of which this database does not know. */
  const lost = (): string => {
    const token = signIds(office.config.secretKey as Buffer, 'unsubscribe', ['987654321', '987654322']);
    return `From: ada@example.net\nTo: ${unsubscribeAddress(token, BOUNCE_DOMAIN)}\nSubject: unsubscribe\n\n`;
  };

  it('a mail by which somebody wants to leave, and nobody knows who, stays and the owner is told: it was put away', async () => {
    await put(lost(), await bounceOf('besides@example.org'));
    expect(await read()).toBe(1);
    expect(await contents()).toEqual({ INBOX: 1, 'INBOX.Other': 0, 'INBOX.Processed': 1 });
    expect(await office.alertKeys()).toContain('bounces:imap-mail');
    await within(async (client) => {
      await client.mailboxOpen('INBOX');
      await client.messageDelete('1:*');
    });
    expect(await read()).toBe(0);
    expect(await office.alertKeys()).not.toContain('bounces:imap-mail');
  });

  it('however many such mails there are, those behind them are read in the same look: three held up all for a minute', async () => {
    await put(lost(), lost(), lost(), lost(), await bounceOf('after.those@example.org'));
    expect(await read()).toBe(1);
    expect(await office.suppressed('after.those@example.org')).toEqual(['all hard_bounce']);
    expect(await contents()).toEqual({ INBOX: 4, 'INBOX.Other': 0, 'INBOX.Processed': 1 });
    expect(await office.alertKeys()).toContain('bounces:imap-mail');
  });

  it('what was counted and not yet put away when the process died is counted once', async () => {
    await put(await bounceOf('crash@example.org'), await bounceOf('next@example.org'));
    // The first thing that is said after the commit is not heard any more.
    const proxy = await openImapProxy(url(), (said) => (/ UID (?:STORE|MOVE) /.test(said) ? 'cut' : 'pass'));
    await reader(proxy.url).readNew(unaborted());
    await proxy.close();
    expect((await contents()).INBOX).toBe(2);
    expect(await read()).toBe(2);
    expect((await contents()).INBOX).toBe(0);
    for (const email of ['crash@example.org', 'next@example.org']) {
      const rows: { id: string }[] = await office.db.query('select id from message where address = $1', [
        email,
      ]);
      expect(await office.bounces.list({ messageId: rows[0]?.id ?? '', limit: 10 })).toHaveLength(1);
    }
  });

  it('two workers that read at once count nothing twice', async () => {
    for (const name of ['a', 'b', 'c']) await put(await bounceOf(`${name}@example.net`));
    await Promise.all([read(), read()]);
    expect((await contents()).INBOX).toBe(0);
    const rows: { count: number }[] = await office.db.query(
      `select count(*)::int as count from bounce b join message m on m.id = b.message_id where m.address like '_@example.net'`,
    );
    expect(rows[0]?.count).toBe(3);
  });

  /** The database refuses what these mails say. */
  const poison = (count: number): string[] =>
    Array.from({ length: count }, (_, at) =>
      report({
        words: 'poison',
        fields: `Final-Recipient: rfc822; p${at}@example.org\nAction: failed\nDiagnostic-Code: smtp; 550 poison ${at}`,
      }),
    );
  async function whilePoisonHurts(work: () => Promise<void>): Promise<void> {
    await office.db.query(`create function refuse_poison() returns trigger language plpgsql as
      $$ begin if new.diagnostic like '%poison%' then raise exception 'poison'; end if; return new; end $$`);
    await office.db.query(
      'create trigger refuse_poison before insert on bounce for each row execute function refuse_poison()',
    );
    try {
      await work();
    } finally {
      await office.db.query('drop function refuse_poison() cascade');
    }
  }

  it('mails that cannot be taken stay and hold up no other', async () => {
    await put(...poison(2), await bounceOf('after@example.org'));
    await whilePoisonHurts(async () => {
      expect(await read()).toBe(1);
      expect(await office.suppressed('after@example.org')).toEqual(['all hard_bounce']);
      expect(await contents()).toMatchObject({ INBOX: 2, 'INBOX.Processed': 1 });
      expect(await office.alertKeys()).toContain('bounces:imap-mail');
    });
    expect(await read()).toBe(2);
    expect(await office.alertKeys()).not.toContain('bounces:imap-mail');
  });

  it('many of them at the head hold up no other for longer than one look', async () => {
    await put(...poison(5), await bounceOf('behind@example.org'));
    await whilePoisonHurts(async () => {
      const worker = reader();
      await worker.readNew(unaborted());
      await worker.readNew(unaborted());
      expect(await office.suppressed('behind@example.org')).toEqual(['all hard_bounce']);
    });
  });

  it('hostile mails are read to the end', async () => {
    const nested = Array.from(
      { length: 2_000 },
      (_, at) => `--b${at}\nContent-Type: multipart/mixed; boundary=b${at + 1}\n\n`,
    );
    await put(
      `Content-Type: multipart/report; boundary=b0\n\n${nested.join('')}`,
      Buffer.concat([
        Buffer.from('From: MAILER-DAEMON\r\nSubject: failure\r\n\r\n'),
        Buffer.alloc(30_000_000, 'x'),
      ]),
      `From: ${'('.repeat(100_000)}\n\nx`,
      await bounceOf('last@example.org'),
    );
    let bytes = 0;
    const proxy = await openImapProxy(
      url(),
      () => 'pass',
      (text) => {
        bytes += text.length;
        return text;
      },
    );
    expect(await reader(proxy.url).readNew(unaborted())).toBe(4);
    await proxy.close();
    // The 30 MB are not even asked for.
    expect(bytes).toBeLessThan(2 * 1024 * 1024);
    expect(await office.suppressed('last@example.org')).toEqual(['all hard_bounce']);
  });

  it('stops where it is asked to, and goes on there', async () => {
    await put(await bounceOf('one@example.org'), await bounceOf('two@example.org'));
    const stop = new AbortController();
    const proxy = await openImapProxy(url(), (said) => {
      if (said.includes(' UID FETCH ')) stop.abort();
      return 'pass';
    });
    expect(await reader(proxy.url).readNew({ signal: stop.signal })).toBe(1);
    await proxy.close();
    expect((await contents()).INBOX).toBe(1);
    expect(await read()).toBe(1);
  });

  it('a server that does not say why it makes no mailbox twice has its mails put away all the same', async () => {
    const proxy = await openImapProxy(
      url(),
      () => 'pass',
      (answer) => answer.replaceAll('NO [ALREADYEXISTS]', 'NO'),
    );
    try {
      for (const name of ['a', 'b', 'c']) {
        await put(await bounceOf(`${name}.plain@example.net`));
        await reader(proxy.url).readNew(unaborted());
      }
      expect(await contents()).toEqual({ INBOX: 0, 'INBOX.Other': 0, 'INBOX.Processed': 3 });
    } finally {
      await proxy.close();
    }
  });

  it.each([
    ['is full', (said: string) => said.replace(/ UID MOVE (\S+) \S+/, ' UID MOVE $1 Nowhere')],
    [
      'may only be read',
      (said: string) => said.replace(' SELECT ', ' EXAMINE ').replace(/ CREATE \S+/, ' CREATE ""'),
    ],
  ])(
    'mails of a mailbox that %s are read once, and the owner is told: they were read every minute',
    async (_, change) => {
      let fetched = 0;
      let hurt = true;
      const proxy = await openImapProxy(url(), (said) => {
        if (said.includes(' UID FETCH ')) fetched++;
        return { instead: hurt ? change(said) : said };
      });
      try {
        await put(await bounceOf(`full${user}a@example.org`), await bounceOf(`full${user}b@example.org`));
        const worker = reader(proxy.url);
        for (let minute = 0; minute < 3; minute++) await worker.readNew(unaborted());
        expect(fetched).toBe(2);
        expect(await office.suppressed(`full${user}b@example.org`)).toEqual(['all hard_bounce']);
        expect(await office.alertKeys()).toContain('bounces:imap-put-away');
        hurt = false;
        await worker.readNew(unaborted());
        expect(fetched).toBe(2);
        expect(await contents()).toEqual({ INBOX: 0, 'INBOX.Other': 0, 'INBOX.Processed': 2 });
        await worker.readNew(unaborted());
        expect(await office.alertKeys()).not.toContain('bounces:imap-put-away');
      } finally {
        await proxy.close();
      }
    },
  );

  it('a folder is found by its name with slashes, and in the spelling of the server', async () => {
    const folder = 'Rückläufer & Co.neu';
    await within(async (client) => client.mailboxCreate(folder));
    for (const named of [folder, folder.replace('.', '/'), 'R&APw-ckl&AOQ-ufer &- Co.neu']) {
      await within(async (client) => client.append(folder, 'From: eve@example.net\n\nhello'));
      const path = named.split('/').map(encodeURIComponent).join('/');
      expect(await reader(url().replace('INBOX', path)).readNew(unaborted())).toBe(1);
    }
    expect(await contents()).toMatchObject({ [folder]: 0, [`${folder}.Other`]: 3 });
  });

  it('a folder that is not there is named to the owner, and none is made beside it', async () => {
    await reader(url().replace('INBOX', 'Bouncez')).readNew(unaborted());
    const open = await office.app.get(AlertsService, { strict: false }).open();
    expect(open.find(({ key }) => key === 'bounces:imap')?.facts).toEqual({
      reason: expect.stringContaining('Bouncez'),
    });
    expect(await contents()).toEqual({ INBOX: 0 });
    await read();
  });

  it.each(['NAMESPACE', 'LIST', 'CREATE', 'SELECT', 'SEARCH', 'FETCH', 'STORE', 'MOVE'])(
    'a connection that ends at %s costs no mail',
    async (command) => {
      await put(await bounceOf(`cut${user}@example.org`));
      const at = new RegExp(`^\\S+ (?:UID )?${command} `);
      const proxy = await openImapProxy(url(), (said) => (at.test(`${said.trim()} `) ? 'cut' : 'pass'));
      await reader(proxy.url).readNew(unaborted());
      await proxy.close();
      expect((await contents())['INBOX']).toBe(1);
      expect(await read()).toBe(1);
      expect(await office.suppressed(`cut${user}@example.org`)).toEqual(['all hard_bounce']);
    },
  );

  it('a mail that somebody removes while it is read holds up nothing', async () => {
    await put(await bounceOf('gone1@example.org'), await bounceOf('gone2@example.org'));
    const proxy = await openImapProxy(url(), (said) =>
      said.includes(' UID FETCH 1 ') ? { instead: said.replace('FETCH 1 ', 'FETCH 99 ') } : 'pass',
    );
    await reader(proxy.url).readNew(unaborted());
    await proxy.close();
    expect(await office.suppressed('gone2@example.org')).toEqual(['all hard_bounce']);
    expect(await office.alertKeys()).not.toContain('bounces:imap-mail');
  });

  it('a wrong password tells the owner, without the password, and nothing is lost', async () => {
    const wrong = reader(url().replace(/:[^:@/]+@/, ':wrong-password@'));
    expect(await wrong.readNew(unaborted())).toBe(0);
    const open = await office.app.get(AlertsService, { strict: false }).open();
    const alert = open.find(({ key }) => key === 'bounces:imap');
    expect(alert?.message).toMatch(/\S/);
    expect(alert).toMatchObject({ key: 'bounces:imap' });
    expect(JSON.stringify(alert)).not.toContain('wrong-password');
    await read();
    expect(await office.alertKeys()).not.toContain('bounces:imap');
  });
});
