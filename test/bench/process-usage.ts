import { readdir, readFile } from 'node:fs/promises';

/** Clock ticks a second in /proc (USER_HZ), the same on every Linux Node runs on. */
const TICKS_PER_SECOND = 100;

/** Seconds of processor time, own and in the kernel, of these processes and of all their children; 0 without /proc. */
export async function cpuSeconds(pids: readonly number[]): Promise<number> {
  const stats = await allStats();
  const children = new Map<number, number[]>();
  for (const [pid, { parent }] of stats) children.set(parent, [...(children.get(parent) ?? []), pid]);
  let ticks = 0;
  const seen = new Set<number>();
  const queue = [...pids];
  for (let pid = queue.pop(); pid !== undefined; pid = queue.pop()) {
    if (seen.has(pid)) continue;
    seen.add(pid);
    ticks += stats.get(pid)?.ticks ?? 0;
    queue.push(...(children.get(pid) ?? []));
  }
  return ticks / TICKS_PER_SECOND;
}

/** Seconds of processor time of the whole machine, whoever took them, and those the host gave to others; 0 without /proc. */
export async function machineSeconds(): Promise<{ busy: number; stolen: number }> {
  const first = (await readFile('/proc/stat', 'utf8').catch(() => '')).split('\n', 1)[0] ?? '';
  // proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal.
  const [user = 0, nice = 0, system = 0, , , irq = 0, softIrq = 0, steal = 0] = first
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return {
    busy: (user + nice + system + irq + softIrq) / TICKS_PER_SECOND,
    stolen: steal / TICKS_PER_SECOND,
  };
}

async function allStats(): Promise<Map<number, { parent: number; ticks: number }>> {
  const stats = new Map<number, { parent: number; ticks: number }>();
  const names = await readdir('/proc').catch(() => []);
  for (const name of names.filter((entry) => /^\d+$/.test(entry))) {
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
    // The name in brackets may hold spaces: count from its end (proc_pid_stat(5)).
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [parent, user, system, childUser, childSystem] = [1, 11, 12, 13, 14].map((i) =>
      Number(fields[i] ?? 0),
    );
    const ticks = (user ?? 0) + (system ?? 0) + (childUser ?? 0) + (childSystem ?? 0);
    if (stat !== '') stats.set(Number(name), { parent: parent ?? 0, ticks });
  }
  return stats;
}
