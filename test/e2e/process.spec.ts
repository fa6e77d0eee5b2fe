import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startEmbeddedPostgres } from '../../src/infra/database/embedded-postgres.js';
import { becomesTrue } from '../../src/infra/database/postmaster.js';
import { freePort } from '../../src/infra/free-port.js';
import { build, ROOT } from '../support/build.js';

/** What `npm start` runs after the build, on an empty folder and nothing configured but where. */
describe('the application as a process', () => {
  let dataDir: string;
  let port: number;
  const running: Process[] = [];

  beforeAll(async () => {
    await build();
    dataDir = await mkdtemp(join(tmpdir(), 'wellspring-process-'));
    port = await freePort();
  }, 300_000);
  afterAll(async () => {
    for (const one of running) if (one.child.exitCode === null && !one.child.killed) await one.end('SIGTERM');
    await rm(dataDir, { recursive: true, force: true });
  });

  it('starts from nothing, prints what to open, and takes a sign-up', async () => {
    const first = await start();
    expect(first.output()).toMatch(/Squeeze page .*\/p\/niches/);
    expect(first.output()).toMatch(/Admin .*\/admin/);
    expect(first.output()).toMatch(/Mailbox .*\/mailbox/);
    await signUp('first@example.com');
    await mailFor('first@example.com');
  });

  it('says so and ends when a second one is started on its folder, which leaves the first at work', async () => {
    const second = launch(await freePort());
    expect(await second.ended).toBe(1);
    expect(second.output()).toMatch(/already|in use|another/i);
    expect((await fetch(`${base()}/readyz`)).status).toBe(200);
  });

  it('leaves no PostgreSQL behind on SIGTERM, and each mail whole or not begun', async () => {
    const first = running.at(0);
    const people = Array.from({ length: 20 }, (_, n) => `stopped${n}@example.com`);
    await Promise.all(people.map(signUp));
    const postgresPid = await postmasterPid();
    expect(await first?.end('SIGTERM')).toBe(0);
    expect(first?.output()).toContain('Stopping');
    expect(existsSync(join(dataDir, 'postgres', 'postmaster.pid'))).toBe(false);
    expect(isAlive(postgresPid)).toBe(false);
    // Read before anything goes on: nothing is claimed, and what counts as sent is in the mailbox.
    const postgres = await startEmbeddedPostgres({ dataDir, log: () => undefined });
    const client = new Client({ connectionString: postgres.url });
    try {
      await client.connect();
      const { rows } = await client.query<{ state: string; arrived: boolean }>(
        `select state, exists (select from mailbox_mail where message_id_header = message.message_id_header) as arrived
         from message where address like 'stopped%'`,
      );
      const ends = rows.map(({ state, arrived }) => `${state}${arrived ? ' and arrived' : ''}`);
      expect(ends).toHaveLength(people.length);
      expect(ends.filter((end) => end !== 'ready' && end !== 'accepted and arrived')).toEqual([]);
    } finally {
      await client.end();
      await postgres.stop();
    }
  });

  it('finds all data again, and sends what the stop had left, each mail once', async () => {
    await start();
    for (let n = 0; n < 20; n++) await mailFor(`stopped${n}@example.com`);
    const subjects = (await mailbox()).map(({ to }) => to);
    expect(subjects.toSorted()).toEqual([...new Set(subjects)].toSorted());
    expect(subjects).toContain('first@example.com');
  });

  it('takes over the PostgreSQL that a kill -9 of the application left, with its data', async () => {
    const postgresPid = await postmasterPid();
    await running.at(-1)?.end('SIGKILL');
    expect(isAlive(postgresPid)).toBe(true);
    const next = await start();
    expect((await mailbox()).map(({ to }) => to)).toContain('first@example.com');
    await signUp('after@example.com');
    await mailFor('after@example.com');
    expect(await next.end('SIGTERM')).toBe(0);
    expect(existsSync(join(dataDir, 'postgres', 'postmaster.pid'))).toBe(false);
  });

  interface Process {
    child: ChildProcess;
    output: () => string;
    ended: Promise<number | null>;
    end: (signal: NodeJS.Signals) => Promise<number | null>;
  }

  function launch(onPort: number): Process {
    const { DATABASE_URL: _, SMTP_URL: __, BASE_URL: ___, MONGODB_URI: ____, ...inherited } = process.env;
    const child = spawn(process.execPath, ['dist/src/main.js'], {
      cwd: ROOT,
      env: { ...inherited, PORT: String(onPort), DATA_DIR: dataDir },
    });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()));
    const ended = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)));
    const end = async (signal: NodeJS.Signals): Promise<number | null> => {
      child.kill(signal);
      return ended;
    };
    return { child, output: () => text, ended, end };
  }

  async function start(): Promise<Process> {
    const one = launch(port);
    running.push(one);
    const ready = await becomesTrue(async () => {
      if (one.child.exitCode !== null) throw new Error(`it ended:\n${one.output()}`);
      return (await fetch(`${base()}/readyz`).catch(() => null))?.status === 200;
    }, 150_000);
    if (!ready) throw new Error(`not ready within 150 s:\n${one.output()}`);
    return one;
  }

  function base(): string {
    return `http://localhost:${port}`;
  }

  async function signUp(email: string): Promise<void> {
    const answer = await fetch(`${base()}/p/niches`, {
      method: 'POST',
      body: new URLSearchParams({ email }),
    });
    if (answer.status !== 200) throw new Error(`sign-up answered ${answer.status}`);
  }

  async function mailbox(): Promise<{ to: string }[]> {
    const answer = await fetch(`${base()}/mailbox?limit=200`, { headers: { accept: 'application/json' } });
    const page: { data: { to: string }[] } = JSON.parse(await answer.text());
    return page.data;
  }

  async function mailFor(email: string): Promise<void> {
    const came = await becomesTrue(async () => (await mailbox()).some(({ to }) => to === email), 20_000);
    if (!came) throw new Error('no mail came');
  }

  async function postmasterPid(): Promise<number> {
    const text = await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8');
    return Number(text.split('\n')[0]);
  }
}, 180_000);

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
