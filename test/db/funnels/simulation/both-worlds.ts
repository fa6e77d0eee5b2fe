import { expect } from 'vitest';
import { stringify } from 'yaml';
import { simulateAll, type SimulationOrder } from '../../../../src/funnels/simulation/simulate.js';
import type { BroadcastOutcome } from '../../../../src/funnels/simulation/timeline.js';
import type { TestApp } from '../../../support/app.js';
import { accountOfRun, accountOfSimulation } from './accounts.js';
import { Replay } from './replay.js';
import { empty } from '../../../support/database.js';

/** Half of each day is another day there than in UTC. */
export const OWNER_ZONE = 'Pacific/Auckland';

/** The same people and broadcasts in both worlds. */
export async function expectSame(
  test: TestApp,
  order: SimulationOrder,
  funnels: readonly string[],
): Promise<BroadcastOutcome[]> {
  const replay = new Replay(test, order);
  await replay.enterAll();
  const { people, broadcasts } = simulateAll({
    ...order,
    zone: OWNER_ZONE,
    personId: (name, number) => replay.idOf(name, number),
    broadcastId: (key) => replay.broadcasts.idOf(key),
  });
  await replay.run(funnels, people);
  const about = [...funnels, stringify(order.personas)].join('---\n');
  expect({ about, broadcasts: await replay.broadcasts.outcomes() }).toEqual({ about, broadcasts });
  for (const person of people) {
    const name = `${person.persona} ${person.number} ${about}`;
    const of = { name, ...(await accountOfRun(test, replay, person)) };
    expect(of).toEqual({ name, ...accountOfSimulation(person, order) });
  }
  return broadcasts;
}

/** A funnel of these steps. */
export function courseText(funnel: string, steps: object[], more: object = {}): string {
  return stringify({
    ...{ funnel, title: funnel },
    sender: { name: 'Ada', email: 'ada@example.com', postalAddress: '1 Main St' },
    form: { slug: funnel, headline: 'Get it', consent: 'Send it to me', optIn: 'single' },
    sequence: { ...more, steps },
  });
}

export async function clear(test: TestApp): Promise<void> {
  await empty(
    test.dataSource,
    'message, subscriber, subscriber_tag, consent_event, sequence, funnel, form, product, orders, tag, webhook_delivery, sequence_signal, tracking_event, suppression, experiment, affiliate, broadcast, segment, list',
  );
}
