import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OverdueService } from '../../../../src/delivery/waiting/overdue.service.js';
import { simulatePeople, type SimulationOrder } from '../../../../src/funnels/simulation/simulate.js';
import { simulationFromFiles } from '../../../../src/funnels/simulation/simulation-files.js';
import { DomainError } from '../../../../src/values/domain-error.js';
import { startTestApp, type TestApp } from '../../../support/app.js';
import { Dice } from '../../../support/dice.js';
import { clear, expectSame, OWNER_ZONE } from './both-worlds.js';
import { randomBroadcasts } from './random-broadcasts.js';

/** With delays, a holdout and guard rails; with pauses and a mail sent once more. Both offer something at a price of its own. */
const USUAL = [79, 84];
/** More of them: `SIMULATIONS=200 SIMULATIONS_FROM=1000 npx vitest run …`. */
const RUNS = process.env['SIMULATIONS'];
const FROM = Number(process.env['SIMULATIONS_FROM'] ?? 1);
const SEEDS = RUNS === undefined ? USUAL : Array.from({ length: Number(RUNS) }, (_, index) => FROM + index);

describe('a simulation of broadcasts', { timeout: 120_000 }, () => {
  let test: TestApp;
  beforeAll(async () => {
    test = await startTestApp({ variables: { DEMO: 'false', TIME_ZONE: OWNER_ZONE } });
    // Each scenario has a date of its own: jumping there is no outage.
    await test.app.get(OverdueService, { strict: false }).setSettings({ policy: 'send', afterHours: 24 });
  });
  afterAll(async () => test?.close());

  it.each(SEEDS)('is what a real run of them does, mail by mail (%i)', async (seed) => {
    const { text, order } = scenarioOf(seed);
    try {
      expect(await expectSame(test, order, [text])).toHaveLength(order.personas.broadcasts.length);
    } finally {
      await clear(test);
    }
  });

  /** The next one from the seed on that has no contradictions. */
  function scenarioOf(seed: number): { text: string; order: SimulationOrder } {
    const dice = new Dice(seed * 7919);
    for (;;) {
      const { text, personas, start, days } = randomBroadcasts(dice);
      const wishes = { start: new Date(start), days, now: new Date(start) };
      try {
        const order = simulationFromFiles(
          [{ name: 'shop', text }],
          { name: 'personas', text: personas },
          wishes,
        );
        simulatePeople(order);
        return { text, order };
      } catch (error) {
        if (!(error instanceof DomainError)) throw error;
      }
    }
  }
});
