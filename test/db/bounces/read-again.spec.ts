import { afterAll, beforeAll, expect, it } from 'vitest';
import { BounceIntake } from '../../../src/bounces/bounce-intake.service.js';
import { unsubscribeAddress } from '../../../src/delivery/mails/verp.js';
import { startTestApp, type TestApp } from '../../support/app.js';
import { joins, newReader, type Reader } from '../../support/reader.js';
import { BOUNCE_DOMAIN, complaintQuoting } from './bounce-office.js';

const DAY_MS = 86_400_000;

let t: TestApp;
beforeAll(async () => {
  t = await startTestApp({ variables: { BOUNCE_DOMAIN } });
});
afterAll(async () => t.close());

const statusOf = async (email: string): Promise<string | undefined> => {
  const rows: { status: string }[] = await t.dataSource.query(
    'select status from subscriber where email = $1',
    [email],
  );
  return rows[0]?.status;
};

/** The mail is read from the mailbox; its reader comes back the day after, and it is read once more, as it lies there still. */
async function readTwice({ email }: Reader, mail: string): Promise<void> {
  const lying = { raw: Buffer.from(mail), envelopeTo: [], source: 'imap', arrivedAt: t.clock.now() } as const;
  const intake = t.app.get(BounceIntake, { strict: false });
  await intake.receive(lying);
  expect(await statusOf(email)).toBe('unsubscribed');
  t.clock.advance(DAY_MS);
  await joins(t, email);
  expect(await statusOf(email)).toBe('active');
  t.clock.advance(DAY_MS);
  await intake.receive(lying);
}

it('a mail to leave that lies in the mailbox still takes nobody off who has come back since: each restart did', async () => {
  const reader = await newReader(t, 'left@example.com');
  const address = unsubscribeAddress(reader.unsubscribe.split('/').at(-1) ?? '', BOUNCE_DOMAIN);
  await readTwice(reader, `From: <${reader.email}>\nTo: <${address}>\nSubject: unsubscribe\n\nunsubscribe\n`);
  expect(await statusOf(reader.email)).toBe('active');
  const again = { raw: Buffer.from(`To: <${address}>\n\n`), envelopeTo: [], source: 'imap' } as const;
  await t.app.get(BounceIntake, { strict: false }).receive({ ...again, arrivedAt: t.clock.now() });
  expect(await statusOf(reader.email)).toBe('unsubscribed');
});

it('so does a complaint of the day before yesterday: it was counted once more on each day', async () => {
  const reader = await newReader(t, 'complains@example.com');
  const link = `http://localhost:3000${reader.unsubscribe}`;
  await readTwice(reader, complaintQuoting(`Subject: Hello\nList-Unsubscribe: <${link}>`));
  expect(await statusOf(reader.email)).toBe('active');
  const rows: { count: number }[] = await t.dataSource.query('select count(*)::int as count from bounce');
  expect(rows).toEqual([{ count: 1 }]);
});

it('so does one that comes on a day with a thousand other reports that prove nothing: it was not known again', async () => {
  await t.dataSource.query(
    `insert into bounce (dedupe_key, verdict, reason, source, trusted, received_at)
     select 'flood:' || n || $1, 'hard', 'user_unknown', 'smtp', false, $1::timestamptz + n % 4 * interval '1 day' from generate_series(1, 4000) n`,
    [t.clock.now().toISOString()],
  );
  const reader = await newReader(t, 'flooded@example.com');
  const link = `http://localhost:3000${reader.unsubscribe}`;
  await readTwice(reader, complaintQuoting(`Subject: Hello\nList-Unsubscribe: <${link}>`));
  expect(await statusOf(reader.email)).toBe('active');
  // However many servers they are said to come from, they do not fill the disk.
  const kept = async (): Promise<number> => {
    const [row]: { count: number }[] = await t.dataSource.query(
      `select count(*)::int as count from bounce where dedupe_key not like 'flood:%'`,
    );
    return row?.count ?? 0;
  };
  const before = await kept();
  for (const mta of ['one', 'two', 'three']) {
    const raw = Buffer.from(
      complaintQuoting(`List-Unsubscribe: <${link}>`, `Reporting-MTA: dns; ${mta}.example\n`),
    );
    await t.app.get(BounceIntake, { strict: false }).receive({ raw, envelopeTo: [], source: 'smtp' });
  }
  expect(await kept()).toBe(before + 1);
});

it('a mail to leave that came after its reader had confirmed counts also where the clock of the mailbox is behind: they stayed on the list', async () => {
  const { email, unsubscribe } = await newReader(t, 'behind@example.com');
  const address = unsubscribeAddress(unsubscribe.split('/').at(-1) ?? '', BOUNCE_DOMAIN);
  const arrivedAt = new Date(t.clock.now().getTime() - 600_000);
  const raw = Buffer.from(`From: <${email}>\nTo: <${address}>\n\nunsubscribe\n`);
  await t.app
    .get(BounceIntake, { strict: false })
    .receive({ raw, envelopeTo: [], source: 'imap', arrivedAt });
  expect(await statusOf(email)).toBe('unsubscribed');
});
