import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

interface CpuProfile {
  nodes: { id: number; callFrame: { functionName: string; url: string }; children?: number[] }[];
  samples: number[];
  timeDeltas: number[];
}

/** In the order they are asked: the nearest caller that belongs to one of them says what a moment was spent for. */
const STAGES: readonly (readonly [stage: string, filesBelowSrc: readonly string[]])[] = [
  ['signing', ['delivery/signing/']],
  [
    'links and their tokens',
    ['values/signed-token', 'values/hmac', 'tracking/', 'delivery/mails/mail-links', 'delivery/mails/verp'],
  ],
  [
    'filling in and encoding the body',
    [
      ...['delivery/mails/mail-renderer', 'delivery/mails/mail-steps', 'delivery/mails/mail-emitter'],
      ...['delivery/mails/liquid', 'delivery/mails/quoted-printable', 'delivery/mails/octets'],
    ],
  ],
  [
    'head and envelope',
    [
      ...['delivery/sending/mail-composer', 'delivery/mails/mail-bytes', 'delivery/mails/headers'],
      ...['delivery/message/message-id', 'delivery/relays/provider-tag'],
    ],
  ],
  [
    'SMTP: commands, body, replies',
    ['delivery/relays/smtp-', 'delivery/relays/lane-pool', 'delivery/relays/parked-lanes'],
  ],
  [
    'ledger: barrier and end',
    [
      ...['delivery/ledger/ledger.service', 'delivery/ledger/ledger.queries'],
      ...['delivery/ledger/accepted-journal', 'delivery/replies/settlement'],
    ],
  ],
  [
    'claim, pace and hours',
    [
      ...[
        'delivery/sending/due-messages',
        'delivery/sending/ledger-claims',
        'delivery/sending/claimed-mails',
      ],
      ...['delivery/waiting/', 'delivery/pacing/', 'delivery/generation/'],
      ...['delivery/relays/relays.', 'delivery/relays/relay-choice', 'delivery/relays/breaker'],
    ],
  ],
  ['which mail goes when by which lane', ['delivery/']],
];
const DATABASE_CLIENT = /\/node_modules\/(pg|pg-[a-z]+|typeorm)\//;
/** Its moments are those of sending. */
const SENDS = 'delivery/relays/smtp-session';

const SRC = join(import.meta.dirname, '../../src');

/** Beginnings of names that no file has: time spent there would count as something else, and nobody would see it. */
export async function namesWithoutFile(): Promise<string[]> {
  const files = await readdir(SRC, { recursive: true });
  const names = [SENDS, ...STAGES.flatMap(([, below]) => below)];
  return names.filter((name) => !files.some((file) => file.startsWith(name) && /\.[jt]s$/.test(file)));
}

/**
 * Where a process that ran with `--cpu-prof` spent its time between its first and its last moment of sending, in
 * milliseconds by stage, longest first. By the clock: a stage in whose middle the kernel turned to another process is
 * charged with that, which on a busy machine is above all the write that wakes PostgreSQL.
 */
export async function stagesOfProfile(folder: string): Promise<[stage: string, ms: number][]> {
  const lost = await namesWithoutFile();
  if (lost.length > 0) throw new Error(`cpu-profile.ts names no file of src: ${lost.join(', ')}`);
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
    const stage = stageOfFile(url) ?? (ownName(functionName) || caller);
    const sends = sending || url.includes(`/src/${SENDS}`);
    found.set(id, { stage, sends });
    for (const child of node.children ?? []) visit(child, stage, sends);
  };
  if (nodes[0]) visit(nodes[0].id, 'event loop, sockets and everything else', false);
  return found;
}

function stageOfFile(url: string): string | undefined {
  const stage = STAGES.find(([, below]) => below.some((name) => url.includes(`/src/${name}`)))?.[0];
  return stage ?? (DATABASE_CLIENT.test(url) ? 'PostgreSQL client' : undefined);
}

/** Of what V8 tells apart itself. */
function ownName(functionName: string): string {
  return ['(idle)', '(garbage collector)'].includes(functionName) ? functionName.slice(1, -1) : '';
}
