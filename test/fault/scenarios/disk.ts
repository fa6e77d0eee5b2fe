import { execFile } from 'node:child_process';
import { chown, mkdir, mkdtemp, rm, stat, statfs, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { atSignal } from '../../support/at-signal.js';
import { comesTrue } from '../patience.js';
import { expectThat, type Scenario } from '../scenario.js';
import type { World } from '../world.js';
import { keepSome } from './broadcasts.js';

const run = promisify(execFile);
const DISK_MB = 48;
/**
 * Beside what PostgreSQL keeps of the log anyway: what is written until the disk is filled, sixty megabytes on a fast machine,
 * and room to recover in once the disk is freed, which takes a segment or two more. Without it PostgreSQL cannot start again.
 */
const LOG_ROOM_MB = 112;
const FULL_MS = 3_000;

export const diskScenarios: readonly Scenario[] = [
  {
    name: 'disk of the tables full for 3 s',
    covers: 'F7',
    short: false,
    mails: 2_000,
    leftOut: async () => ((await mayMount()) ? null : 'mounting a small disk takes root'),
    run: async (world) => {
      const disk = await SmallDisk.mount(world);
      await disk.holdTables(world);
      await world.start();
      await world.release();
      await world.takenReaches(100);
      await disk.fill();
      await sleep(FULL_MS);
      const taken = world.sink.takenTotal;
      const refused = await disk.refuses(world);
      await disk.free();
      await world.finish();
      const { counts } = await world.verdict();
      return [
        ...expectThat(refused, 'the disk was never full'),
        ...expectThat(taken < world.mails, 'every mail was out before the disk was full'),
        ...expectThat(counts['unknown'] === 0, `${counts['unknown']} unknown without a crash of a worker`),
      ];
    },
  },
  {
    name: 'disk of the write-ahead log full, which ends PostgreSQL, for 3 s',
    covers: 'F7 F4',
    short: false,
    mails: 1_500,
    crashesServer: true,
    leftOut: async () => ((await mayMount()) ? null : 'mounting a small disk takes root'),
    run: async (world) => {
      const disk = await SmallDisk.mount(world, (await logMegabytes(world)) + LOG_ROOM_MB);
      await disk.holdLog(world);
      await world.start();
      await world.release();
      await world.takenReaches(100);
      const letGo = keepSome(world, world.mails / 2);
      await disk.fill();
      const ended = await disk.writeUntilItEnds(world);
      const taken = world.sink.takenTotal;
      letGo();
      await sleep(FULL_MS);
      const moved = world.sink.takenTotal - taken;
      await disk.free();
      await world.cluster.revive();
      await world.finish();
      const { counts } = await world.verdict();
      return [
        ...expectThat(ended, 'PostgreSQL wrote its log on'),
        // What had passed the barrier before is still on its way.
        ...expectThat(moved <= world.lanes, `${moved} mails went out while nothing could be written down`),
        ...expectThat(taken < world.mails, 'every mail was out before the disk was full'),
        ...expectThat(counts['unknown'] === 0, `${counts['unknown']} unknown without a crash of a worker`),
      ];
    },
  },
];

/** A file system of a few megabytes in memory, with one file that fills it. */
class SmallDisk {
  #undo = async (): Promise<void> => undefined;

  private constructor(private readonly folder: string) {}

  /** Gone when the world is closed. */
  static async mount(world: World, megabytes = DISK_MB): Promise<SmallDisk> {
    const folder = await mkdtemp(join(tmpdir(), 'wellspring-disk-'));
    await run('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', folder]);
    const disk = new SmallDisk(folder);
    const forget = atSignal(() => void run('umount', ['-l', folder]));
    world.afterClose(async () => {
      await disk.#undo();
      await world.cluster.as('postgres', async (client) =>
        client.query(`drop tablespace if exists ${disk.space(world)}`),
      );
      await run('umount', [folder]);
      await rm(folder, { recursive: true });
      forget();
    });
    return disk;
  }

  /** Moves the whole database there; the write-ahead log stays where it is. */
  async holdTables(world: World): Promise<void> {
    const place = join(this.folder, 'tables');
    await mkdir(place, { mode: 0o700 });
    const { uid, gid } = await stat(join(world.cluster.dataDir, 'postgres'));
    await chown(place, uid, gid);
    await world.cluster.as('postgres', async (client) => {
      await client.query(`create tablespace ${this.space(world)} location '${place}'`);
      await client.query(`alter database ${world.database} set tablespace ${this.space(world)}`);
    });
  }

  /** Moves the write-ahead log there, and back to its own place when the world is closed. */
  async holdLog(world: World): Promise<void> {
    const [home, away] = [join(world.cluster.dataDir, 'postgres/pg_wal'), join(this.folder, 'pg_wal')];
    await world.cluster.whileStopped(async () => {
      await run('mv', [home, away]);
      await symlink(away, home);
    });
    this.#undo = async () =>
      world.cluster.whileStopped(async () => {
        await rm(home);
        await run('mv', [away, home]);
      });
  }

  /** Whether PostgreSQL has given up, as it does when it cannot go on writing its log. */
  async writeUntilItEnds(world: World): Promise<boolean> {
    const write = async (): Promise<boolean> =>
      world.cluster
        .as('postgres', async (client) => {
          await client.query(`select pg_logical_emit_message(true, 'fill', repeat('x', 1000000))`);
          await client.query('select pg_switch_wal()');
          return false;
        })
        .catch(() => true);
    return comesTrue(write);
  }

  async fill(): Promise<void> {
    const { bavail, bsize } = await statfs(this.folder);
    await writeFile(this.#ballast, Buffer.alloc(bavail * bsize)).catch((error: unknown) => {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
    });
  }

  /** Whether PostgreSQL itself finds no room. */
  async refuses(world: World): Promise<boolean> {
    return world.cluster.as(world.database, async (client) => {
      try {
        await client.query(
          'create table no_room as select repeat(md5(n::text), 50) from generate_series(1, 10000) n',
        );
        return false;
      } catch (error) {
        return error instanceof Error && 'code' in error && error.code === '53100';
      }
    });
  }

  async free(): Promise<void> {
    await truncate(this.#ballast);
  }

  get #ballast(): string {
    return join(this.folder, 'ballast');
  }

  private space(world: World): string {
    return `small_${world.database}`;
  }
}

/** From runs before it may be five segments, or more. */
async function logMegabytes(world: World): Promise<number> {
  const { stdout } = await run('du', ['-sm', join(world.cluster.dataDir, 'postgres/pg_wal')]);
  return Number.parseInt(stdout, 10);
}

async function mayMount(): Promise<boolean> {
  if (process.getuid?.() !== 0) return false;
  const folder = await mkdtemp(join(tmpdir(), 'wellspring-disk-'));
  try {
    await run('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder]);
    await run('umount', [folder]);
    return true;
  } catch {
    return false;
  } finally {
    await rm(folder, { recursive: true });
  }
}
