import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

interface CpuProfile {
  nodes: { id: number; callFrame: { functionName: string; url: string }; children?: number[] }[];
  samples: number[];
  timeDeltas: number[];
}

const DELIVERY = '/src/delivery/';

/** In the order they are asked: the nearest caller that belongs to one of them says what a moment was spent for. */
const STAGES: readonly (readonly [stage: string, files: RegExp])[] = [
  ['signing', /\/delivery\/dkim|\/delivery\/signed-domains/],
  ['links and their tokens', /\/values\/(signed-token|hmac)|\/tracking\/|\/delivery\/(mail-links|verp)/],
  [
    'filling in and encoding the body',
    /\/delivery\/(mail-renderer|mail-steps|mail-emitter|liquid|quoted-printable|octets)/,
  ],
  ['head and envelope', /\/delivery\/(mail-composer|mail-bytes|headers|message-id|provider-tag)/],
  ['SMTP: commands, body, replies', /\/delivery\/(smtp-|lane-pool|parked-lanes)/],
  ['ledger: barrier and end', /\/delivery\/(ledger\.(service|queries)|accepted-journal|settlement)/],
  ['claim, pace and hours', /\/delivery\/(due-messages|ledger-claims|claimed-queue|send-hours|pacing\/)/],
  ['which mail goes when by which lane', /\/delivery\//],
  ['PostgreSQL client', /\/node_modules\/(pg|pg-[a-z]+|typeorm)\//],
];

/**
 * Where a process that ran with `--cpu-prof` spent its time between its first and its last moment of sending, in
 * milliseconds by stage, longest first. By the clock: a stage in whose middle the kernel turned to another process is
 * charged with that, which on a busy machine is above all the write that wakes PostgreSQL.
 */
export async function stagesOfProfile(folder: string): Promise<[stage: string, ms: number][]> {
  const stages = new Map<string, number>();
  for (const file of (await readdir(folder)).filter((name) => name.endsWith('.cpuprofile'))) {
    const profile = JSON.parse(await readFile(join(folder, file), 'utf8')) as CpuProfile;
    const stageOf = stagesByNode(profile);
    const sends = profile.samples.map((id) => stageOf.get(id)?.sends === true);
    for (let at = sends.indexOf(true); at <= sends.lastIndexOf(true); at++) {
      const { stage = 'unknown' } = stageOf.get(profile.samples[at] ?? -1) ?? {};
      stages.set(stage, (stages.get(stage) ?? 0) + (profile.timeDeltas[at] ?? 0) / 1000);
    }
  }
  return [...stages].toSorted(([, a], [, b]) => b - a);
}

function stagesByNode({ nodes }: CpuProfile): Map<number, { stage: string; sends: boolean }> {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const found = new Map<number, { stage: string; sends: boolean }>();
  const visit = (id: number, caller: string, sending: boolean): void => {
    const node = byId.get(id);
    if (!node) return;
    const { functionName, url } = node.callFrame;
    const stage = STAGES.find(([, files]) => files.test(url))?.[0] ?? (ownName(functionName) || caller);
    const sends = sending || url.includes(`${DELIVERY}smtp-session`);
    found.set(id, { stage, sends });
    for (const child of node.children ?? []) visit(child, stage, sends);
  };
  if (nodes[0]) visit(nodes[0].id, 'event loop, sockets and everything else', false);
  return found;
}

/** Of what V8 tells apart itself. */
function ownName(functionName: string): string {
  return ['(idle)', '(garbage collector)'].includes(functionName) ? functionName.slice(1, -1) : '';
}
