import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDataSource } from '../../src/infra/database/migrate.js';
import { runCommand } from '../../src/commands/wellspring.command.js';
import { becomesTrue } from '../../src/infra/database/postmaster.js';
import { funnelText } from '../db/sequences/course.js';
import { build, ROOT } from '../support/build.js';
import { createTestDatabase, gate, type TestDatabase } from '../support/database.js';

const yaml = (price: string, ...steps: string[]): string =>
  funnelText(steps.map((key) => `- { key: ${key}, email: emails/story, delay: 1 day }`).join('\n')).replace(
    '49.00 EUR }',
    `${price} EUR, delivers: [files/kit.txt] }`,
  );

describe('an apply that is killed', () => {
  let database: TestDatabase;
  let db: DataSource;
  let folder: string;
  beforeAll(async () => {
    await build();
    database = await createTestDatabase();
    db = await openDataSource(database.url);
    folder = await mkdtemp(join(tmpdir(), 'wellspring-killed-'));
    await mkdir(join(folder, 'files'));
  }, 300_000);
  afterAll(async () => {
    await db.destroy();
    await database.drop();
    await rm(folder, { recursive: true, force: true });
  });

  const cli = join(ROOT, 'dist/src/cli.js');
  const environment = (): NodeJS.ProcessEnv => {
    const { BASE_URL: _, ...inherited } = process.env;
    return { ...inherited, DATABASE_URL: database.url, DATA_DIR: join(folder, 'data') };
  };
  /** In this process: to start one for each command would take a minute. */
  const wellspring = async (...args: string[]): Promise<{ code: number; out: string }> => {
    let out = '';
    const code = await runCommand(args, {
      env: environment(),
      out: (text) => (out += text),
      error: (text) => (out += text),
    });
    return { code, out };
  };
  const file = (): string => join(folder, 'course.yaml');
  const write = async (text: string, kit: string): Promise<void> => {
    await writeFile(file(), text);
    await writeFile(join(folder, 'files', 'kit.txt'), kit);
  };
  const everything = async (): Promise<unknown> =>
    db.query(`select (select json_agg(f order by id) from funnel f) as funnels,
      (select json_agg(v order by version) from funnel_version v) as history, (select json_agg(v order by id) from sequence_version v) as versions,
      (select json_agg(f order by id) from form f) as forms, (select json_agg(p order by id) from product p) as products,
      (select json_agg(o order by id) from offer o) as offers, (select json_agg(f order by id) from stored_file f) as files`);

  it('in the middle of its writing leaves the funnel as it was, and the next one does all of it', async () => {
    await write(yaml('49.00', 'a'), 'The first kit');
    expect(await wellspring('apply', file())).toMatchObject({ code: 0 });
    const before = { export: (await wellspring('export')).out, rows: await everything() };
    await write(yaml('59.00', 'a', 'b'), 'The second kit');
    const { out: planned } = await wellspring('plan', file());
    const [plan = ''] = planned.split('To apply this');

    // Products, offers and the sequence are written before the form.
    const held = await gate(db, `select 1 from form where slug = 'course' for update`);
    const child = spawn(process.execPath, [cli, 'apply', file()], { env: environment(), stdio: 'ignore' });
    const exited = once(child, 'exit');
    const isHeld = async (): Promise<boolean> => {
      const waiting: unknown[] = await db.query(
        `select 1 from pg_stat_activity where wait_event_type = 'Lock' and query like 'insert into form %' and datname = current_database()`,
      );
      return waiting.length > 0 || child.exitCode !== null;
    };
    await becomesTrue(isHeld, 180_000);
    expect(child.exitCode).toBeNull();
    child.kill('SIGKILL');
    expect(await exited).toEqual([null, 'SIGKILL']);
    await held.open();
    expect(await everything()).toEqual(before.rows);
    expect((await wellspring('export')).out).toBe(before.export);

    // It waits for nothing that the dead one has left: the same plan, in full.
    expect(await wellspring('plan', file())).toMatchObject({ code: 0, out: expect.stringContaining(plan) });
    expect(await wellspring('apply', file())).toMatchObject({ code: 0, out: expect.stringContaining(plan) });
    expect(await wellspring('plan', file())).toMatchObject({ code: 0, out: 'No changes.\n' });
    const hash = createHash('sha256').update('The second kit').digest('hex');
    expect(await readFile(join(folder, 'data', 'files', hash), 'utf8')).toBe('The second kit');
    const stored: { hash: string }[] = await db.query(
      `select encode(s.sha256, 'hex') as hash from product p join stored_file s on p.file_ids ? s.id::text where p.key = 'course-kit'`,
    );
    expect(stored).toEqual([{ hash }]);
    // A rollback has the first kit, whatever was killed in between.
    expect(await wellspring('rollback', 'course')).toMatchObject({ code: 0 });
    expect((await wellspring('export')).out).toBe(before.export);
  }, 300_000);
});
