import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import PostalMime from 'postal-mime';
import { CountingSink } from '../../support/counting-sink.js';
import { atLeast, fact, median, table, type BenchContext, type Row } from '../bench.js';
import { stagesOfProfile } from '../cpu-profile.js';
import type { NodemailerResult, NodemailerTask } from '../nodemailer.process.js';
import { Product, WARM_UP, type SendResult } from '../product.js';
import { startRelay, type Relay } from '../relay.js';
import { reach, signingRows, signRates, type SignRates } from '../signing.js';

interface Sizes {
  rounds: number;
  /** At most; a full run takes about {@link SECONDS_A_RUN} of the rate it finds. */
  mails: number;
  rawMails: number;
  composedMails: number;
  connections: readonly number[];
}

/** In the first ten thousand mails a new worker still compiles what it runs: a broadcast of that size would measure V8. */
const SECONDS_A_RUN = 20;
const FULL: Sizes = {
  rounds: 3,
  mails: 50_000,
  rawMails: 20_000,
  composedMails: 2_000,
  connections: [4, 8, 16, 32],
};
const SHORT: Sizes = { rounds: 1, mails: 1_000, rawMails: 1_000, composedMails: 300, connections: [8] };
const CORES = availableParallelism();

interface Rates {
  raw: NodemailerResult[];
  /** As many bare pools at once as there are cores, together: what machine and relay give without any ledger. */
  rawAll: number[];
  composed: NodemailerResult[];
  one: SendResult[];
  all: SendResult[];
  signedOne: SendResult[];
  signedAll: SendResult[];
  signs: SignRates[];
}

/**
 * Broadcasts from the planned rows to the settled ones, against nodemailer on the same relay in the same run. Competitor
 * and product take turns, so that a busy machine is busy for both.
 */
export async function measure(context: BenchContext): Promise<Row[]> {
  if (!['sending', 'profile'].some((name) => context.wants(name))) return [];
  const most = context.short ? SHORT : FULL;
  const product = await Product.open(Math.max(most.mails, 1_000));
  const relay = await startRelay();
  try {
    const mail = await oneMailOf(product);
    context.print(`sending: ${mail.length} octets a mail, relay is ${relay.name}, ${CORES} cores`);
    const probe = await product.send(relay, { workers: 1, mails: Math.min(1_000, most.mails) });
    const sizes = { ...most, mails: Math.min(most.mails, Math.ceil(probe.perSecond * SECONDS_A_RUN)) };
    const rows = context.wants('sending') ? await compare(context, { product, relay, mail, sizes }) : [];
    if (!context.short && context.wants('profile')) await profile(context, product, relay, sizes.mails);
    return rows;
  } finally {
    await relay.close();
    await product.close();
  }
}

interface Parties {
  product: Product;
  relay: Relay;
  mail: string;
  sizes: Sizes;
}

async function compare(context: BenchContext, { product, relay, mail, sizes }: Parties): Promise<Row[]> {
  const parts = await partsOf(mail);
  const port = Number(new URL(relay.url).port);
  const maxConnections = await bestPool(context, { port, mail, sizes });
  const rates: Rates = {
    raw: [],
    rawAll: [],
    composed: [],
    one: [],
    all: [],
    signedOne: [],
    signedAll: [],
    signs: [],
  };
  const nodemailer = { port, maxConnections, warmUp: 500 };
  for (let round = 1; round <= sizes.rounds; round++) {
    rates.raw.push(await runNodemailer({ ...nodemailer, mails: sizes.rawMails, raw: mail }));
    rates.one.push(await product.send(relay, { workers: 1, mails: sizes.mails }));
    rates.composed.push(await runNodemailer({ ...nodemailer, mails: sizes.composedMails, parts }));
    rates.all.push(await product.send(relay, { workers: CORES, mails: sizes.mails }));
    rates.rawAll.push(await poolsAtOnce({ ...nodemailer, mails: sizes.rawMails, raw: mail }));
    context.print(
      `round ${round}: bare pool ${whole(rates.raw.at(-1)?.perSecond)}/s, sendMail ${whole(rates.composed.at(-1)?.perSecond)}/s, ` +
        `one worker ${whole(rates.one.at(-1)?.perSecond)}/s, ${CORES} workers ${whole(rates.all.at(-1)?.perSecond)}/s, ` +
        `${CORES} bare pools ${whole(rates.rawAll.at(-1))}/s`,
    );
    await signedRound(context, { product, relay, mail, sizes }, rates);
  }
  const sent = { unsigned: rates.all, signed: rates.signedAll, mails: sizes.mails, cores: CORES };
  context.print(stages(rates, sizes));
  context.print(reach(rates.signs, sent));
  return [...rowsOf(rates, maxConnections), ...signingRows(rates.signs, sent)];
}

async function signedRound(
  context: BenchContext,
  { product, relay, mail, sizes: { mails } }: Parties,
  rates: Rates,
): Promise<void> {
  const signs = await signRates(mail, context.short ? 1 : 3, CORES);
  rates.signs.push(signs);
  await product.signing(true);
  rates.signedOne.push(await product.send(relay, { workers: 1, mails }));
  rates.signedAll.push(await product.send(relay, { workers: CORES, mails }));
  await product.signing(false);
  context.print(
    `  signed: openssl ${whole(signs.openssl)}/s a core, our stage alone ${whole(signs.alone)}/s a core and ` +
      `${whole(signs.aloneAll)}/s on ${CORES}, one worker ${whole(rates.signedOne.at(-1)?.perSecond)}/s, ` +
      `${CORES} workers ${whole(rates.signedAll.at(-1)?.perSecond)}/s`,
  );
}

function rowsOf(rates: Rates, maxConnections: number): Row[] {
  const rate = (results: readonly { perSecond: number }[]): number =>
    median(results.map(({ perSecond }) => perSecond));
  const [raw, composed, one, all] = [rate(rates.raw), rate(rates.composed), rate(rates.one), rate(rates.all)];
  const [signedOne, signedAll] = [rate(rates.signedOne), rate(rates.signedAll)];
  const signs = median(rates.signs.map(({ openssl }) => openssl));
  return [
    fact(
      'sending: bare nodemailer pool',
      raw,
      'mails/s',
      `${maxConnections} connections, one ready-made mail`,
    ),
    fact(
      `sending: ${CORES} bare pools at once`,
      median(rates.rawAll),
      'mails/s',
      'the limit of machine and relay',
    ),
    fact('sending: nodemailer sendMail', composed, 'mails/s', 'html and text'),
    fact('sending: one worker', one, 'mails/s', 'claim, render, ledger, SMTP, settle'),
    fact(`sending: ${CORES} workers`, all, 'mails/s'),
    atLeast('sending: one worker / bare pool', one / raw, 0.8),
    atLeast('sending: as many workers as cores / bare pool', all / raw, 1.3),
    atLeast('sending: one worker / sendMail', one / composed, 3),
    fact('sending: RSA-2048 signatures of one core', signs, 'signs/s', 'openssl speed'),
    fact('sending: signed, one worker', signedOne, 'mails/s'),
    fact(`sending: signed, ${CORES} workers`, signedAll, 'mails/s'),
    atLeast('sending: signed, one worker / signatures of one core', signedOne / signs, 0.8),
    atLeast(
      'sending: signed, as many workers as cores / signatures of all cores',
      signedAll / (signs * CORES),
      0.8,
    ),
  ];
}

/** Milliseconds of processor time a mail costs, by process: this hardly depends on how busy the machine is. */
function stages(
  { raw, composed, one, all, signedOne, signedAll }: Rates,
  { mails, rawMails, composedMails }: Sizes,
): string {
  const ms = (seconds: readonly number[], count: number): string =>
    ((median(seconds) * 1000) / count).toFixed(3);
  const ofProduct = (name: string, results: readonly SendResult[]): string[] => [
    name,
    ...(['workers', 'postgres', 'relay'] as const).map((part) =>
      ms(
        results.map(({ cpu }) => cpu[part]),
        mails,
      ),
    ),
    ms(
      results.map(({ seconds }) => seconds),
      mails,
    ),
  ];
  const ofNodemailer = (name: string, results: readonly NodemailerResult[], count: number): string[] => [
    name,
    ms(
      results.map(({ cpuSeconds }) => cpuSeconds),
      count,
    ),
    '',
    '',
    (1000 / median(results.map(({ perSecond }) => perSecond))).toFixed(3),
  ];
  return `\nmilliseconds a mail, processor time by process\n${table([
    ['', 'sender', 'PostgreSQL', 'relay', 'wall clock'],
    ofNodemailer('bare pool', raw, rawMails),
    ofNodemailer('sendMail', composed, composedMails),
    ofProduct('one worker', one),
    ofProduct(`${CORES} workers`, all),
    ofProduct('one worker, signed', signedOne),
    ofProduct(`${CORES} workers, signed`, signedAll),
  ])}\n`;
}

async function profile(context: BenchContext, product: Product, relay: Relay, mails: number): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'wellspring-profile-'));
  try {
    const nodeOptions = ['--cpu-prof', `--cpu-prof-dir=${folder}`];
    const { perSecond, seconds } = await product.send(relay, { workers: 1, mails, nodeOptions });
    const stages = (await stagesOfProfile(folder)).filter(([stage]) => stage !== 'idle');
    const busyMs = stages.reduce((sum, [, ms]) => sum + ms, 0);
    const rows = stages.map(([stage, ms]) => [
      stage,
      ((ms * 1000) / (mails + WARM_UP)).toFixed(0),
      `${((ms / busyMs) * 100).toFixed(1)} %`,
    ]);
    context.print(
      `\nwhere one worker's time goes, microseconds a mail (${whole(perSecond)}/s for ${seconds.toFixed(1)} s under the profiler)`,
    );
    context.print(table([['stage', 'us', 'share'], ...rows]));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The bare pool gets the number of connections it is fastest with. */
async function bestPool(
  context: BenchContext,
  { port, mail, sizes }: { port: number; mail: string; sizes: Sizes },
): Promise<number> {
  let best = { maxConnections: sizes.connections[0] ?? 8, perSecond: 0 };
  if (sizes.connections.length === 1) return best.maxConnections;
  for (const maxConnections of sizes.connections) {
    const { perSecond } = await runNodemailer({ port, maxConnections, mails: 3_000, warmUp: 500, raw: mail });
    context.print(`bare pool with ${maxConnections} connections: ${whole(perSecond)}/s`);
    if (perSecond > best.perSecond) best = { maxConnections, perSecond };
  }
  return best.maxConnections;
}

async function poolsAtOnce(task: NodemailerTask): Promise<number> {
  const results = await Promise.all(Array.from({ length: CORES }, () => runNodemailer(task)));
  return results.reduce((sum, { perSecond }) => sum + perSecond, 0);
}

async function runNodemailer(task: NodemailerTask): Promise<NodemailerResult> {
  const child = fork(join(import.meta.dirname, '../nodemailer.process.js'));
  child.send(task);
  const [result] = (await once(child, 'message')) as [NodemailerResult];
  return result;
}

/** The product's own mail as it goes over the wire: what the bare pool sends is of exactly this size. */
async function oneMailOf(product: Product): Promise<string> {
  const sink = new CountingSink({ keepLast: true });
  await sink.listen();
  const relay: Relay = {
    name: 'first mail',
    url: sink.url,
    pid: process.pid,
    close: async () => sink.close(),
  };
  try {
    await product.send(relay, { workers: 1, mails: 1, warmUp: 0 });
  } finally {
    await relay.close();
  }
  if (sink.last === '') throw new Error('the product sent no mail');
  return sink.last;
}

async function partsOf(mail: string): Promise<{ subject: string; html: string; text: string }> {
  const { subject = '', html = '', text = '' } = await PostalMime.parse(Buffer.from(mail, 'latin1'));
  return { subject, html, text };
}

function whole(value: number | undefined): string {
  return Math.floor(value ?? 0).toLocaleString('en');
}
