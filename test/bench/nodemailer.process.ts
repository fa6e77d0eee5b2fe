import { createTransport } from 'nodemailer';

/** What a competitor on nodemailer would do: one process that hands out mails as fast as the pool goes. */
export interface NodemailerTask {
  port: number;
  maxConnections: number;
  mails: number;
  warmUp: number;
  /** A ready-made mail, or parts that nodemailer composes anew for each recipient. */
  raw?: string;
  parts?: { subject: string; html: string; text: string };
  dkim?: { domainName: string; keySelector: string; privateKey: string };
}

export interface NodemailerResult {
  perSecond: number;
  cpuSeconds: number;
}

const FROM = 'ada@example.com';

process.on('message', (task: NodemailerTask) => {
  void run(task).then((result) => process.send?.(result, () => process.exit(0)));
});

process.on('disconnect', () => process.exit(1));

async function run({
  port,
  maxConnections,
  mails,
  warmUp,
  raw,
  parts,
  dkim,
}: NodemailerTask): Promise<NodemailerResult> {
  const pool = createTransport({
    pool: true,
    host: '127.0.0.1',
    port,
    maxConnections,
    maxMessages: Infinity,
    ignoreTLS: true,
    ...(dkim ? { dkim } : {}),
  });
  const bytes = raw === undefined ? null : Buffer.from(raw, 'latin1');
  const sendOne = async (n: number): Promise<unknown> => {
    const to = `reader-${n}@example.net`;
    return bytes
      ? pool.sendMail({ envelope: { from: FROM, to: [to] }, raw: bytes })
      : pool.sendMail({
          from: { name: 'Ada', address: FROM },
          to: { name: 'Grace Reader', address: to },
          ...parts,
        });
  };
  const sendMany = async (count: number): Promise<void> => {
    let next = 0;
    // As many callers as keep every connection busy; the pool's own queue does the rest.
    const caller = async (): Promise<void> => {
      while (next < count) await sendOne(next++);
    };
    await Promise.all(Array.from({ length: maxConnections * 2 }, caller));
  };
  await sendMany(warmUp);
  const [startedMs, cpu] = [performance.now(), process.cpuUsage()];
  await sendMany(mails);
  const seconds = (performance.now() - startedMs) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  pool.close();
  return { perSecond: mails / seconds, cpuSeconds: (user + system) / 1e6 };
}
