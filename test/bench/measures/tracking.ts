import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { freePort } from '../../../src/infra/free-port.js';
import { installationKey, secretKey } from '../../../src/infra/secret-key.js';
import { clickToken, openToken } from '../../../src/tracking/tracking-token.js';
import { DurablePostgres } from '../../support/durable-postgres.js';
import { SECRET_KEY, WorkerProcess } from '../../support/worker-process.js';
import { cpuSeconds, machineSeconds } from '../process-usage.js';
import { atLeast, atMost, type BenchContext, fact, median, type Row } from '../bench.js';
import type { LoadResult, LoadTask } from '../http-load.process.js';

interface Sizes {
  rounds: number;
  seconds: number;
  mails: number;
  /** In which the time of an answer is taken. */
  calm: { rounds: number; seconds: number };
}

/** So many mails that none is asked for twice within the ten seconds in which its hits are judged together. */
const FULL: Sizes = { rounds: 5, seconds: 2, mails: 200_000, calm: { rounds: 3, seconds: 6 } };
const SHORT: Sizes = { rounds: 1, seconds: 1, mails: 2_000, calm: { rounds: 1, seconds: 2 } };
const CONNECTIONS = 50;
/** Before answers are timed, of the bare route as of the others: else the load's own first moments are what is seen. */
const WARM_UP_SECONDS = 1;
const LINKS = 10;
/** A person's browser: the dearest kind of hit, since it is settled later on. */
const HEADERS =
  'user-agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36\r\n' +
  'accept-language: en-GB,en;q=0.9\r\naccept: text/html\r\n';
const LONGEST_WAIT_MS = 120_000;

/** A product process that serves requests on a durable PostgreSQL, with mails whose links and pictures are asked for. */
interface Site {
  port: number;
  clicks: string[];
  opens: string[];
  client: Client;
  /** Microseconds of processor time so far, of the web process and of PostgreSQL. */
  cpu(): Promise<[web: number, postgres: number]>;
  postgresPid: number;
  close(): Promise<void>;
}

/**
 * Clicks and pictures against a Fastify that answers a constant, in turns, from the same source of load; every hit is
 * judged and stored in PostgreSQL meanwhile. Then the time of an answer at 60 % of the rate just seen, after a second at
 * that pace, in turns with that of the bare route under the same load: so much of it is the machine and the load.
 */
export async function measure(context: BenchContext): Promise<Row[]> {
  if (!['click', 'pixel', 'tracking'].some((name) => context.wants(name))) return [];
  const sizes = context.short ? SHORT : FULL;
  const site = await openSite(sizes.mails);
  const bare = fork(join(import.meta.dirname, '../bare-fastify.process.js'));
  try {
    const [{ port: barePort }] = (await once(bare, 'message')) as [{ port: number }];
    const barePid = bare.pid ?? 0;
    return await compare(context, { site, bare: { port: barePort, pid: barePid }, sizes });
  } finally {
    bare.disconnect();
    await site.close();
  }
}

async function compare(
  context: BenchContext,
  { site, bare, sizes }: { site: Site; bare: { port: number; pid: number }; sizes: Sizes },
): Promise<Row[]> {
  const { seconds } = sizes;
  const all = { headers: HEADERS, connections: CONNECTIONS, seconds, warmUpSeconds: 0, perSecond: null };
  const tasks = {
    bare: { ...all, port: bare.port, paths: ['/'], status: 200 },
    click: { ...all, port: site.port, paths: site.clicks, status: 302 },
    pixel: { ...all, port: site.port, paths: site.opens, status: 200 },
  };
  const rates = { bare: [] as number[], click: [] as number[], pixel: [] as number[] };
  let hits = 0;
  const cpu = async (): Promise<number[]> => [(await cpuSeconds([bare.pid])) * 1e6, ...(await site.cpu())];
  /** Goes on where the last one stopped: a mail that is asked for again and again is another matter. */
  const ask = async (task: LoadTask): Promise<LoadResult> => {
    const first = hits % task.paths.length;
    const paths = [...task.paths.slice(first), ...task.paths.slice(0, first)];
    const result = await load({ ...task, paths });
    if (task.port === site.port) hits += result.answered;
    return result;
  };
  for (const task of Object.values(tasks)) await ask({ ...task, seconds: 1 });
  for (let round = 1; round <= sizes.rounds; round++) {
    for (const name of ['bare', 'click', 'pixel'] as const) {
      const before = await cpu();
      const { perSecond, answered } = await ask(tasks[name]);
      const answeredAt = await cpu();
      rates[name].push(perSecond);
      await stored(site, hits);
      const after = await cpu();
      const each = (from: number[], to: number[]): string[] =>
        to.map((us, index) => ((us - (from[index] ?? 0)) / answered).toFixed(0));
      context.print(
        `round ${round}: ${name} ${Math.floor(perSecond)}/s; microseconds of processor time an answer, bare/web/PostgreSQL: ` +
          `${each(before, answeredAt).join('/')} while answering, ${each(answeredAt, after).join('/')} afterwards`,
      );
    }
  }
  const rows: Row[] = [fact('bare Fastify route', median(rates.bare), '1/s')];
  for (const name of ['click', 'pixel'] as const) {
    const ratios = rates[name].map((rate, round) => rate / (rates.bare[round] ?? Number.NaN));
    rows.push(fact(`${name}, answered and stored`, median(rates[name]), '1/s'));
    rows.push(atLeast(`${name} against a bare Fastify route`, median(ratios), 0.7));
    const pace = { ...sizes.calm, perSecond: 0.6 * median(rates[name]), warmUpSeconds: WARM_UP_SECONDS };
    const bareTask = { ...tasks.bare, ...pace, paths: tasks[name].paths.map((path) => `/?${path}`) };
    const calm: Record<'bare' | 'own', LoadResult[]> = { bare: [], own: [] };
    for (let round = 0; round < sizes.calm.rounds; round++) {
      calm.bare.push(await timed(context, `bare, at the pace of the ${name}`, site, () => ask(bareTask)));
      calm.own.push(await timed(context, name, site, () => ask({ ...tasks[name], ...pace })));
      await stored(site, hits);
    }
    rows.push(...timesOf(name, calm));
  }
  rows.push(atLeast('hits stored of those answered', (await storedHits(site)) / hits, 1));
  return rows;
}

/**
 * The bar is for the second in the middle of all seconds of all rounds: where a host lets a virtual machine stand still for a
 * tenth of a second now and then, the slowest hundredth of whole rounds is made of those moments, in the bare route's
 * answers as in ours. Those stand beside it, of all rounds together.
 */
function timesOf(name: 'click' | 'pixel', { bare, own }: Record<'bare' | 'own', LoadResult[]>): Row[] {
  const [answers, bareAnswers] = [own, bare].map((rounds) =>
    shares(rounds.map(({ latenciesMs }) => latenciesMs)),
  );
  const lateness = shares([...own, ...bare].map(({ latenessMs }) => latenessMs));
  const each = `${name} at 60 % load`;
  return [
    fact(`${each}, median`, answers?.p50 ?? Number.NaN, 'ms'),
    atMost(`${each}, p99 of the median second`, median(own.flatMap(eachSecond)), 20, 'ms'),
    fact(
      `bare Fastify route at the pace of the ${name}, p99 of the median second`,
      median(bare.flatMap(eachSecond)),
      'ms',
    ),
    fact(`${each}, p99`, answers?.p99 ?? Number.NaN, 'ms'),
    fact(`${each}, p99.9`, answers?.p999 ?? Number.NaN, 'ms'),
    fact(`bare Fastify route at the pace of the ${name}, p99`, bareAnswers?.p99 ?? Number.NaN, 'ms'),
    fact(`bare Fastify route at the pace of the ${name}, p99.9`, bareAnswers?.p999 ?? Number.NaN, 'ms'),
    fact(`the load of both late by, p99`, lateness.p99, 'ms'),
  ];
}

/** The p99 of the answers of each second, in milliseconds. */
function eachSecond({ latenciesMs, perSecond }: LoadResult): number[] {
  const many = Math.round(perSecond);
  const seconds = Math.round(latenciesMs.length / many);
  return Array.from(
    { length: seconds },
    (_, second) => shares([latenciesMs.subarray(second * many, (second + 1) * many)]).p99,
  );
}

function shares(rounds: readonly Float64Array[]): { p50: number; p99: number; p999: number } {
  const all = Float64Array.from(rounds.flatMap((each) => [...each])).sort();
  const at = (share: number): number => all[Math.floor(all.length * share)] ?? Number.NaN;
  return { p50: at(0.5), p99: at(0.99), p999: at(0.999) };
}

/**
 * Says what else the time of an answer holds: how late the load itself was, and how much of the machine other programs
 * and other machines on the same host took. With a tenth or more of it, the answers' slowest hundredth is theirs.
 */
async function timed(
  context: BenchContext,
  name: string,
  { postgresPid }: Site,
  work: () => Promise<LoadResult>,
): Promise<LoadResult> {
  const own = async (): Promise<number> => cpuSeconds([process.pid, postgresPid]);
  const [machine, ours, startedMs] = [await machineSeconds(), await own(), performance.now()];
  const result = await work();
  const [after, oursAfter] = [await machineSeconds(), await own()];
  const whole = (availableParallelism() * (performance.now() - startedMs)) / 1_000;
  const share = (seconds: number): string => `${Math.max(0, (100 * seconds) / whole).toFixed(0)} %`;
  const times = ({ p50, p99, p999 }: ReturnType<typeof shares>): string =>
    [p50, p99, p999].map((ms) => ms.toFixed(1)).join('/');
  context.print(
    `${name}, ${Math.floor(result.perSecond)}/s: p50/p99/p99.9 ${times(shares([result.latenciesMs]))} ms; ` +
      `the load itself was late by ${times(shares([result.latenessMs]))} ms; of the machine, these programs took ` +
      `${share(oursAfter - ours)}, others ${share(after.busy - machine.busy - (oursAfter - ours))}, ` +
      `the host ${share(after.stolen - machine.stolen)}`,
  );
  return result;
}

async function load(task: LoadTask): Promise<LoadResult> {
  const file = join(import.meta.dirname, '../http-load.process.js');
  // Times come back as numbers in a row, not as text.
  const child = fork(file, { serialization: 'advanced' });
  const exit = once(child, 'exit');
  child.send(task);
  const ended = exit.then(([code]) => {
    throw new Error(`the load ended with ${String(code)}`);
  });
  ended.catch(() => undefined);
  const [result] = (await Promise.race([once(child, 'message'), ended])) as [LoadResult];
  await exit;
  if (result.wrong > 0) throw new Error(`${result.wrong} of ${result.answered} answers were wrong`);
  return result;
}

async function storedHits({ client }: Site): Promise<number> {
  const { rows } = await client.query<{ count: string }>('select count(*) from tracking_event');
  return Number(rows[0]?.count ?? 0);
}

/** Waits until no hit is under way and none waits to be settled, so that rounds do not burden each other. */
async function stored(site: Site, hits: number): Promise<void> {
  const deadline = performance.now() + LONGEST_WAIT_MS;
  for (;;) {
    const { rows } = await site.client.query<{ waiting: boolean }>(
      'select exists (select 1 from tracking_event where settles_at is not null) as waiting',
    );
    if (rows[0]?.waiting === false && (await storedHits(site)) >= hits) return;
    if (performance.now() > deadline) throw new Error(`${hits} hits were not stored and settled in time`);
    await sleep(250);
  }
}

async function openSite(mails: number): Promise<Site> {
  const cluster = await DurablePostgres.start();
  const database = await cluster.createDatabase();
  const dataDir = await mkdtemp(join(tmpdir(), 'wellspring-bench-'));
  const client = new Client({ connectionString: cluster.url(database) });
  await client.connect();
  const ids = await seed(client, mails);
  const port = await freePort();
  const profileFolder = process.env['TRACKING_PROFILE'];
  const product = WorkerProcess.start({
    databaseUrl: cluster.url(database),
    smtpUrl: 'smtp://127.0.0.1:9',
    dataDir,
    nodeOptions: profileFolder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileFolder}`],
    env: { ROLES: 'web', PORT: String(port), HOST: '127.0.0.1', NODE_ENV: 'production' },
  });
  const close = async (): Promise<void> => {
    await product.stop();
    await client.end();
    await cluster.close();
    await rm(dataDir, { recursive: true, force: true });
  };
  try {
    await answers(port, product);
    const db = { query: async (sql: string, values?: unknown[]) => (await client.query(sql, values)).rows };
    const secret = await installationKey(db, await secretKey(SECRET_KEY, dataDir));
    const click = (messageId: string, index: number): string =>
      `/c/${clickToken(secret, { messageId, linkId: ids.links[index % LINKS] ?? '1', url: null })}`;
    const opens = ids.messages.map((id) => `/o/${openToken(secret, id)}.gif`);
    const cpu = async (): Promise<[number, number]> => [
      (await cpuSeconds([product.pid])) * 1e6,
      (await cpuSeconds([await cluster.pid()])) * 1e6,
    ];
    return {
      ...{ port, client, cpu, close, opens, postgresPid: await cluster.pid() },
      clicks: ids.messages.map(click),
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Mails that were accepted an hour ago, and links of one length: the load takes answers of one kind for equally long. */
async function seed(client: Client, mails: number): Promise<{ messages: string[]; links: string[] }> {
  const idsOf = async (sql: string, values: unknown[] = []): Promise<string[]> =>
    (await client.query<{ id: string }>(sql, values)).rows.map(({ id }) => id);
  await client.query(
    `insert into email_template (key, content_hash, mjml_source, subject, html, body_text, created_at)
     values ('bench', '\\x00', '', 's', 'h', 't', now())`,
  );
  await client.query(
    `insert into subscriber (email, email_key, status, created_at, updated_at)
     select mail, mail, 'active', now(), now() from (select 'r' || n || '@example.com' as mail from generate_series(1, $1::int) n) s`,
    [mails],
  );
  const messages = await idsOf(
    `insert into message (dedupe_key, class, kind, subscriber_id, email_template_id, sender, address, address_hash,
       message_id_header, state, due_at, accepted_at, created_at)
     select 'bench:' || s.id, 'marketing', 'broadcast', s.id, t.id, '{}', s.email, '\\x00', s.email, 'accepted',
       now() - interval '1 hour', now() - interval '1 hour', now() - interval '1 hour'
     from subscriber s cross join email_template t returning id`,
  );
  const links = await idsOf(
    `insert into link (url_template, url_hash, created_at)
     select 'https://example.com/page/' || (100 + n), decode(md5(n::text), 'hex'), now() from generate_series(1, $1::int) n returning id`,
    [LINKS],
  );
  await client.query('vacuum analyze');
  return { messages, links };
}

async function answers(port: number, product: WorkerProcess): Promise<void> {
  const deadline = performance.now() + LONGEST_WAIT_MS;
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => null);
    if (answer?.ok === true) return;
    if (!product.running || performance.now() > deadline)
      throw new Error(`the product does not answer:\n${product.output}`);
    await sleep(200);
  }
}
