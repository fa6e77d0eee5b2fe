import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from 'pg';
import type { SequenceDefinition } from '../../../src/sequences/steps/definition.js';
import { parseDuration } from '../../../src/values/duration.js';
import { DurablePostgres } from '../../support/durable-postgres.js';
import { SENDER } from '../../support/mail-seed.js';
import { atLeast, atMost, fact, median, table, type BenchContext, type Row } from '../bench.js';
import type { PlanningResult, PlanningTask } from '../planning.process.js';
import { cpuSeconds } from '../process-usage.js';

interface Sizes {
  many: number;
  few: number;
  /** Rounds of the small run, whose median is compared. */
  rounds: number;
}

const FULL: Sizes = { many: 1_000_000, few: 10_000, rounds: 5 };
const SHORT: Sizes = { many: 20_000, few: 5_000, rounds: 1 };

interface Planned extends PlanningResult {
  rows: number;
  postgresSeconds: number;
  walBytes: number;
}

/**
 * The mails of a million people written into the ledger, by one worker on a durable PostgreSQL: everybody's next step at
 * the same minute, and a broadcast.
 */
export async function measure(context: BenchContext): Promise<Row[]> {
  if (!context.wants('planning')) return [];
  const usual = context.short ? SHORT : FULL;
  const sizes = { ...usual, many: context.rows ?? usual.many };
  const bench = await PlanningBench.open();
  try {
    context.print(`PostgreSQL as the product starts its own: ${await bench.server()}`);
    const few: Planned[] = [];
    for (let round = 0; round < sizes.rounds; round++) few.push(await bench.steps(sizes.few));
    const many = await bench.steps(sizes.many);
    const broadcast = await bench.broadcast(sizes.many);
    const usual = few.toSorted((a, b) => a.seconds - b.seconds)[few.length >> 1];
    context.print(stages({ few: usual ?? many, many, broadcast }));
    return rowsOf(sizes, { few, many, broadcast });
  } finally {
    await bench.close();
  }
}

function rowsOf(
  { many: size, few: small }: Sizes,
  { few, many, broadcast }: { few: Planned[]; many: Planned; broadcast: Planned },
): Row[] {
  const costOfFew = median(few.map(({ seconds, rows }) => seconds / rows));
  const processor = ({ cpuSeconds: worker, postgresSeconds, rows }: Planned): number =>
    (worker + postgresSeconds) / rows;
  const name = (rows: number): string => `${rows / 1_000} k`;
  return [
    atLeast(`planning: ${name(size)} steps due at one minute`, many.rows / many.seconds, 20_000, 'rows/s'),
    atMost(
      `planning: cost of a step at ${name(size)} against ${name(small)}`,
      many.seconds / many.rows / costOfFew,
      1.3,
      'x',
    ),
    // The bar is on what passes by the clock; this one can also be read on a machine that does something else besides.
    fact(
      `planning: processor time of a step at ${name(size)} against ${name(small)}`,
      processor(many) / median(few.map(processor)),
      'x',
    ),
    atMost(
      `planning: a broadcast to ${name(size)}`,
      (broadcast.seconds * FULL.many) / broadcast.rows,
      60,
      's per million',
    ),
    atMost('planning: memory of the worker', Math.max(many.peakMb, broadcast.peakMb), 300, 'MB'),
    fact('planning: broadcast', broadcast.rows / broadcast.seconds, 'rows/s'),
  ];
}

/** Where the time goes, in microseconds a mail. */
function stages(runs: Record<string, Planned>): string {
  const each = (run: Planned, seconds: number): string => ((seconds * 1e6) / run.rows).toFixed(1);
  return table([
    ['µs a mail', 'mails', 'elapsed', 'worker cpu', 'postgres cpu', 'wal bytes', 'MB at start', 'peak MB'],
    ...Object.entries(runs).map(([label, run]) => [
      label,
      String(run.rows),
      each(run, run.seconds),
      each(run, run.cpuSeconds),
      each(run, run.postgresSeconds),
      (run.walBytes / run.rows).toFixed(0),
      run.startMb.toFixed(0),
      run.peakMb.toFixed(0),
    ]),
  ]);
}

class PlanningBench {
  private constructor(
    private readonly cluster: DurablePostgres,
    private readonly dataDir: string,
  ) {}

  static async open(): Promise<PlanningBench> {
    const dataDir = await mkdtemp(join(tmpdir(), 'wellspring-bench-'));
    return new PlanningBench(await DurablePostgres.start(), dataDir);
  }

  async steps(count: number): Promise<Planned> {
    return this.plan('steps', count, async (client) => {
      const definition: SequenceDefinition = {
        // Open in every zone at whatever time the bench runs: outside its hours a step waits.
        window: { days: ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'], from: '00:00', to: '23:59' },
        exitOn: ['kit'],
        first: 'welcome',
        nodes: [email('welcome', 'story'), email('story', 'offer'), email('offer', null)],
      };
      await client.query(
        `with q as (
           insert into sequence (key, funnel_key, title, sender, created_at, updated_at)
           values ('guide', 'guide', 'Guide', $1, now(), now()) returning id)
         insert into sequence_version (sequence_id, version, definition, definition_hash, created_at)
         select q.id, 1, $2, '', now() from q`,
        [JSON.stringify(SENDER), JSON.stringify(definition)],
      );
      await client.query(
        `insert into enrollment (sequence_id, version_id, subscriber_id, status, step_key, next_at, data, started_at)
         select v.sequence_id, v.id, s.id, 'active', 'story', date_trunc('minute', now()), $1, now() - interval '2 days'
         from sequence_version v, subscriber s order by s.id`,
        [JSON.stringify({ download: { url: 'https://files.example.com/guide.pdf', name: 'guide.pdf' } })],
      );
    });
  }

  async broadcast(count: number): Promise<Planned> {
    return this.plan('broadcast', count, async (client) => {
      await client.query(
        `insert into broadcast (title, email_template_id, audience, sender, state, scheduled_at, created_at)
         select 'News', id, '{"everybody": true}', $1, 'scheduled', now(), now() from email_template`,
        [JSON.stringify(SENDER)],
      );
    });
  }

  async close(): Promise<void> {
    await this.cluster.close();
    await rm(this.dataDir, { recursive: true, force: true });
  }

  private async plan(
    what: PlanningTask['what'],
    count: number,
    seed: (client: Client) => Promise<void>,
  ): Promise<Planned> {
    const database = await this.cluster.createDatabase();
    await this.cluster.as(database, async (client) => {
      await seedPeople(client, count);
      await seed(client);
      await client.query('vacuum analyze');
      await client.query('checkpoint');
    });
    const pids = [await this.cluster.pid()];
    const [postgresBefore, walBefore] = [await cpuSeconds(pids), await this.wal()];
    const result = await inProcess({ databaseUrl: this.cluster.url(database), dataDir: this.dataDir, what });
    const planned = {
      ...result,
      rows: await this.cluster.as(database, mails),
      postgresSeconds: (await cpuSeconds(pids)) - postgresBefore,
      walBytes: (await this.wal()) - walBefore,
    };
    if (planned.rows !== count) throw new Error(`${planned.rows} of ${count} mails were planned`);
    await this.cluster.dropDatabase(database);
    return planned;
  }

  /** What is built in is sized by the machine; one behind DATABASE_URL is as its owner made it. */
  async server(): Promise<string> {
    return this.cluster.as('postgres', async (client) => {
      const { rows } = await client.query(
        `select string_agg(name || ' ' || current_setting(name), ', ' order by name) as settings from pg_settings
         where name in ('server_version', 'shared_buffers', 'max_wal_size', 'fsync', 'data_checksums')`,
      );
      return String(rows[0].settings);
    });
  }

  private async wal(): Promise<number> {
    return this.cluster.as('postgres', async (client) => {
      const { rows } = await client.query(`select pg_current_wal_lsn() - '0/0'::pg_lsn as bytes`);
      return Number(rows[0].bytes);
    });
  }
}

async function mails(client: Client): Promise<number> {
  const { rows } = await client.query('select count(*)::int as count from message');
  return rows[0].count as number;
}

/** Of eight time zones and four domains, and a mail to send to them. */
async function seedPeople(client: Client, count: number): Promise<void> {
  await client.query(
    `insert into subscriber (email, email_key, name, status, time_zone, created_at, confirmed_at, updated_at)
     select 'reader-' || g || '@' || d, 'reader-' || g || '@' || d, 'Grace Reader ' || g, 'active',
       (array['Europe/Berlin', 'America/New_York', 'Asia/Tokyo', 'UTC', 'Australia/Sydney', 'America/Los_Angeles',
         'Europe/London', null])[1 + g % 8], now(), now(), now()
     from (select g, (array['example.com', 'example.org', 'example.net', 'mail.test'])[1 + g % 4] as d
           from generate_series(1, $1::int) g) people`,
    [count],
  );
  await client.query(
    `insert into email_template (key, content_hash, mjml_source, subject, html, body_text, created_at)
     values ('bench', '', '', 'Subject', '<html></html>', 'Text', now())`,
  );
}

function email(key: string, next: string | null): SequenceDefinition['nodes'][number] {
  const nothing = { offer: null, deadline: null };
  const timing = { delay: parseDuration('2 days'), at: '09:30' };
  return { kind: 'email', key, next, templateKey: 'bench', templateId: '1', ...timing, ...nothing };
}

async function inProcess(task: PlanningTask): Promise<PlanningResult> {
  const child = fork(join(import.meta.dirname, '../planning.process.js'));
  const answered = once(child, 'message');
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`the worker ended with ${String(code)}`);
  });
  ended.catch(() => undefined);
  child.send(task);
  const [result] = (await Promise.race([answered, ended])) as [PlanningResult];
  return result;
}
