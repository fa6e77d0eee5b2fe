import { readFile } from 'node:fs/promises';
import { simulate } from '../../../src/funnels/simulation/simulate.js';
import { simulationFromFiles } from '../../../src/funnels/simulation/simulation-files.js';
import { atMost, fact, median, type BenchContext, type Row } from '../bench.js';

const DAYS = 90;
const PEOPLE = `start: 2026-03-02
personas:
  - name: reader
    count: COUNT
    timeZone: [Europe/Berlin, America/New_York, Asia/Kolkata, Australia/Lord_Howe]
    joins: 0 days to 60 days
    does:
      - { opens: every mail, after: 1 hour to 3 days, chance: 40% }
      - { clicks: every mail, after: 1 hour to 3 days, chance: 10% }
      - { buys: launch-kit, afterMail: offer, after: 1 hour to 3 days, chance: 5% }
`;

/** The demo funnel for 90 days of a virtual clock, with a thousand people from four time zones. */
export async function measure(context: BenchContext): Promise<Row[]> {
  if (!context.wants('simulation')) return [];
  const count = context.short ? 100 : 1_000;
  const funnel = { name: 'demo', text: await readFile('config/funnels/niche-ebook.yaml', 'utf8') };
  const personas = { name: 'people', text: PEOPLE.replace('COUNT', String(count)) };
  const seconds: number[] = [];
  let mails = 0;
  for (let round = 0; round < (context.short ? 1 : 3); round++) {
    const began = performance.now();
    const order = simulationFromFiles([funnel], personas, { start: null, days: DAYS, now: new Date(0) });
    mails = simulate(order).summary.mails;
    seconds.push((performance.now() - began) / 1_000);
  }
  return [
    atMost(`simulation: ${count} people for ${DAYS} days`, median(seconds), 5, 's'),
    fact('simulation: mails', mails / median(seconds), 'mails/s'),
  ];
}
