import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { FunnelsService } from '../../../src/funnels/funnels.service.js';
import { installationKey, secretKey } from '../../../src/infra/secret-key.js';
import { encodeIds, signToken } from '../../../src/values/signed-token.js';
import { SECRET_KEY } from '../../support/worker-process.js';
import { type HarmOptions, harmAtPlaces, type Place } from '../harm-at-places.js';
import { comesTrue } from '../patience.js';
import { startWithApi, type ProductApi } from '../product-api.js';
import { expectThat, type Scenario } from '../scenario.js';
import type { World } from '../world.js';

const FUNNEL = `funnel: gift
title: A gift
sender: { name: Ada, email: ada@example.com, postalAddress: 1 Main St }
form: { slug: gift, headline: A gift, consent: Send it to me, optIn: double }
sequence: { steps: [{ key: hello, email: emails/welcome, delay: 300 days }] }
`;

/** The first half signs up before anybody leaves or confirms, the second after. */
const NEW = 120;
/** As many once more are under way at the kill. */
const AT_ONCE = 40;
const OF_EACH = 8;

/** From the first that is handed in to the last: in the middle of each, with nobody hearing that it is done, and behind it. */
const PLACES: readonly Place[] = [
  { statement: 'select exists (select 1 from waiting_leaving l', moment: 'sent', hit: 9 },
  { statement: 'insert into consent_event', moment: 'sent', hit: 6 },
  { statement: 'insert into signup (form_id', moment: 'committed', hit: 5 },
  { statement: 'insert into signup (form_id', moment: 'sent', hit: 7, atEnd: true },
  { statement: 'insert into signup (form_id', moment: 'committed', hit: 4, atEnd: true },
  { statement: 'insert into visit', moment: 'sent', hit: 8 },
  { statement: 'insert into visit', moment: 'committed', hit: 6 },
  { statement: 'update signup set status', moment: 'sent', atEnd: true },
  { statement: 'update signup set status', moment: 'committed', hit: 2, atEnd: true },
  { statement: 'insert into message (dedupe_key', moment: 'committed', hit: 9, atEnd: true },
];

/** Who was told that a mail comes gets one, and one alone; who has left after that stays away. */
export const signupScenarios: readonly Scenario[] = [
  {
    name: 'sign-ups kept while the database is away, kill -9 while they are kept and at each point of handing them in',
    covers: 'F1 F6',
    short: false,
    mails: 2 * OF_EACH + 10,
    run: async (world) => kept(world, { harm: 'kill -9' }),
  },
  {
    name: 'sign-ups kept while the database is away, kill -9 of two workers at each point of handing in the same folder',
    covers: 'F1 F6 F9',
    short: false,
    mails: 2 * OF_EACH + 10,
    run: async (world) =>
      kept(world, { harm: 'kill -9', workers: 2, env: { DATA_DIR: world.dataFolder, ROLES: 'worker' } }),
  },
  {
    name: 'sign-ups kept while the database is away, PostgreSQL crash at each point of handing them in',
    covers: 'F4 F6',
    short: false,
    mails: 2 * OF_EACH + 10,
    crashesServer: true,
    run: async (world) => kept(world, { harm: 'PostgreSQL crash' }),
  },
];

/** What is kept still. */
async function files(world: World): Promise<string[]> {
  const names = await readdir(join(world.dataFolder, 'signups')).catch(() => []);
  return names.filter((name) => !name.endsWith('.folder'));
}

interface Outage {
  api: ProductApi;
  key: Buffer;
  /** Addresses that were told that a mail comes. */
  told: Set<string>;
}

interface Guest {
  id: string;
  email: string;
  mailId: string;
}

async function kept(
  world: World,
  { harm, ...others }: Pick<HarmOptions, 'harm' | 'workers' | 'env'>,
): Promise<string[]> {
  await world.inProduct(async ({ app }) =>
    app.get(FunnelsService, { strict: false }).applyText(FUNNEL, { by: 'test' }),
  );
  const api = await startWithApi(world);
  const db = { query: async (sql: string, values?: unknown[]) => world.sql(sql, values) };
  const key = await installationKey(db, await secretKey(SECRET_KEY, ''));
  const outage = { api, key, told: new Set<string>() };
  const asked = await askedBefore(world, outage);
  const guests = await marketingReaders(world);
  const [leave, comeBack] = [guests.slice(0, OF_EACH), guests.slice(OF_EACH, 2 * OF_EACH)];
  outage.told.clear();
  world.proxy.shut();

  await press(outage, names('early', NEW / 2));
  await press(outage, emailsOf(leave));
  await Promise.all([...leave, ...comeBack].map(async (guest) => leaves(outage, guest)));
  await Promise.all(asked.map(async (id) => confirms(outage, id)));
  await press(outage, emailsOf(comeBack));
  await press(outage, names('late', NEW / 2));
  const calm = outage.told.size;
  if (harm === 'kill -9') await killedAmongPresses(world, outage);

  let more = 0;
  const wrong = await harmAtPlaces(world, {
    ...{ harm, places: PLACES, job: 'delivery.send-due', env: api.env, ...others },
    // The process lives through a crash of the database, and keeps who comes meanwhile.
    after: async () => {
      if (harm === 'PostgreSQL crash') await press(outage, names(`crash-${++more}`, 3));
      return [];
    },
    isOver: async () => (await files(world)).length === 0,
  });
  const isIn = await comesTrue(async () => (await files(world)).length === 0);
  const [row] = await world.sql<{ count: number }>(
    `select count(*)::int as count from message where kind = 'confirmation'`,
  );
  world.mails += row?.count ?? 0;
  await world.release();
  await world.finish();
  return [
    ...wrong,
    ...expectThat(calm === NEW + 2 * OF_EACH, `only ${calm} people were told that a mail comes`),
    ...expectThat(isIn, `still kept: ${(await files(world)).join(', ')}`),
    ...(await mailedOnce(world, outage.told, new Set(emailsOf(leave)))),
    ...(await standing(world, { leave, comeBack, asked })),
  ];
}

/** Signed up while all was well: numbers of their sign-ups, whose mail they have and have not pressed yet. */
async function askedBefore(world: World, outage: Outage): Promise<string[]> {
  await press(outage, names('asked', OF_EACH));
  const rows = await world.sql<{ id: string }>('select id from signup order by id');
  return rows.map(({ id }) => id);
}

/** With a mail of a list, by whose link they may leave. */
async function marketingReaders(world: World): Promise<Guest[]> {
  return world.sql<Guest & Record<string, unknown>>(
    `select s.id, s.email, m.id as "mailId" from message m join subscriber s on s.id = m.subscriber_id
     where m.class = 'marketing' order by m.id limit $1`,
    [2 * OF_EACH],
  );
}

function names(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, n) => `${prefix}-${n}@example.org`);
}

function emailsOf(guests: readonly Guest[]): string[] {
  return guests.map(({ email }) => email);
}

/** All at once; who gets no answer was told nothing. */
async function press({ api, told }: Outage, emails: readonly string[], onTold?: () => void): Promise<void> {
  await Promise.all(
    emails.map(async (email) => {
      const body = new URLSearchParams({ email });
      const answer = await fetch(`${api.base}/p/gift`, { method: 'POST', body }).catch(() => null);
      const page = answer?.ok === true ? await answer.text().catch(() => '') : '';
      if (!page.includes(email)) return;
      told.add(email);
      onTold?.();
    }),
  );
}

async function leaves({ api, key }: Outage, { id, mailId }: Guest): Promise<void> {
  const token = signToken(key, 'unsubscribe', encodeIds([id, mailId]));
  await api.reader(`u/${token}`, { 'List-Unsubscribe': 'One-Click' });
}

async function confirms({ api, key }: Outage, signupId: string): Promise<void> {
  await api.reader(`confirm/${signToken(key, 'confirm', encodeIds([signupId]))}`, {});
}

/** Some have their answer by then, some not: their files may be whole, half written or not begun. */
async function killedAmongPresses(world: World, outage: Outage): Promise<void> {
  let answers = 0;
  const kills: Promise<void>[] = [];
  await press(outage, names('killed', AT_ONCE), () => {
    if (++answers === AT_ONCE / 4) kills.push(world.killAll());
  });
  await Promise.all(kills);
}

/** Once each that was told, and nobody twice; nobody who has left since. */
async function mailedOnce(
  world: World,
  told: ReadonlySet<string>,
  gone: ReadonlySet<string>,
): Promise<string[]> {
  const rows = await world.sql<{ email: string; people: number; grants: number; mails: number }>(
    `select s.email_key as email, count(distinct g.id)::int as people, max(c.count)::int as grants, max(m.count)::int as mails
     from subscriber s left join signup g on g.subscriber_id = s.id
       cross join lateral (select count(*) from consent_event where subscriber_id = s.id and kind = 'granted' and form_slug = 'gift') c
       cross join lateral (select count(*) from message where subscriber_id = s.id and kind = 'confirmation' and state = 'accepted') m
     group by s.email_key`,
  );
  const found = new Map(rows.map((row) => [row.email, row]));
  const isOnce = (email: string, most: number): boolean => {
    const row = found.get(email);
    return row?.people === most && row.grants === most && row.mails === most;
  };
  const missing = [...told].filter((email) => !isOnce(email, gone.has(email) ? 0 : 1));
  // Whose answer was lost may be there or not.
  const twice = rows.filter(({ people, grants, mails }) => people > 1 || grants > 1 || mails > 1);
  return [
    ...expectThat(
      missing.length === 0,
      `told that a mail comes, and not there once: ${missing.map((email) => JSON.stringify(found.get(email) ?? email)).join(', ')}`,
    ),
    ...expectThat(twice.length === 0, `there twice: ${JSON.stringify(twice)}`),
  ];
}

async function standing(
  world: World,
  {
    leave,
    comeBack,
    asked,
  }: { leave: readonly Guest[]; comeBack: readonly Guest[]; asked: readonly string[] },
): Promise<string[]> {
  const left = await world.sql(
    `select 1 from subscriber where id = any($1::bigint[]) and status = 'unsubscribed'`,
    [[...leave, ...comeBack].map(({ id }) => id)],
  );
  const confirmed = await world.sql(
    `select 1 from signup g join subscriber s on s.id = g.subscriber_id
     where g.id = any($1::bigint[]) and g.status = 'confirmed' and s.status = 'active'
       and (select count(*) from consent_event where subscriber_id = s.id and kind = 'confirmed' and form_slug = 'gift') = 1`,
    [asked],
  );
  return [
    ...expectThat(left.length === 2 * OF_EACH, `${left.length} of ${2 * OF_EACH} who left have left`),
    ...expectThat(confirmed.length === OF_EACH, `${confirmed.length} of ${OF_EACH} have confirmed once`),
  ];
}
