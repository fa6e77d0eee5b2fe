import { soldIn } from '../publish/offer-snapshot.js';
import { canonicalTimeZone } from '../../values/zoned-time.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import { earliest } from './agenda.js';
import { readSegments } from './virtual-broadcasts.schemas.js';
import type { Actor } from './persona-script.js';
import type { Persona, Personas } from './personas.schemas.js';
import { summaryOf, type BroadcastOutcome, type PersonTimeline, type Simulation } from './timeline.js';
import { VirtualBroadcasts } from './virtual-broadcasts.js';
import { lifeOf, type Life } from './virtual-life.js';
import type { VirtualRecord } from './virtual-record.js';
import { virtualFunnels } from './virtual-sequences.js';
import { DAY_MS } from '../../values/time-units.js';

export interface SimulationOrder {
  /** The first is the one that people sign up with; its steps may lead to the others. */
  definitions: readonly [FunnelDefinition, ...FunnelDefinition[]];
  personas: Personas;
  start: Date;
  days: number;
  /** The owner's, where the personas do not say it; UTC when it is left out. */
  zone?: string;
  /** By which split tests draw; made from the seed when they are left out. */
  personId?: (persona: string, number: number) => string;
  broadcastId?: (key: string) => string;
}

/** Everything about one person at the end: the timeline, and the rows a database would hold. */
export interface SimulatedPerson extends PersonTimeline {
  record: VirtualRecord;
}

/**
 * The way of every persona through the funnels on a virtual clock, from `start` for `days` days of 24 hours, by the code
 * that runs real sequences and broadcasts. Writes nothing and asks nobody: the same order gives the same timeline. Mails
 * go the moment they are due. Throws `SIMULATION_INVALID`.
 */
export function simulate(order: SimulationOrder): Simulation {
  const world = simulateAll(order);
  const people = world.people.map(({ persona, number, timeZone, timeline }) => ({
    ...{ persona, number, timeZone, timeline },
  }));
  const { definitions, start, days } = order;
  return {
    funnel: definitions[0].funnel,
    start: start.toISOString(),
    days,
    people,
    broadcasts: world.broadcasts,
    summary: summaryOf(people),
  };
}

export function simulatePeople(order: SimulationOrder): SimulatedPerson[] {
  return simulateAll(order).people;
}

/** With what a database would hold of everybody. */
export function simulateAll(order: SimulationOrder): {
  people: SimulatedPerson[];
  broadcasts: BroadcastOutcome[];
} {
  const { definitions, personas, start, days } = order;
  const { seed, broadcasts, segments, owner } = personas;
  const paused = new Set<string>();
  const lives = livesOf(order, paused);
  const inOrder = lives.toSorted((a, b) => a.arrivesAt.getTime() - b.arrivesAt.getTime());
  const mailing = new VirtualBroadcasts(
    {
      ...{ broadcasts, segments: readSegments(segments, broadcasts).conditions, start, owner, paused },
      ...{ form: definitions[0].form.slug, zone: personas.ownerTimeZone ?? order.zone ?? 'UTC' },
      sold: soldIn(definitions),
      idOf: order.broadcastId ?? ((key) => `${seed} ${key}`),
    },
    inOrder.map(({ run }) => run),
  );
  const until = new Date(start.getTime() + days * DAY_MS);
  // Between what concerns all of them at once, people live each for themselves.
  for (;;) {
    const now = earliest([mailing.nextAt(), until]) ?? until;
    if (now >= until) break;
    for (const life of lives) {
      life.goTo(now);
      life.act(now);
    }
    mailing.run(now);
  }
  for (const { goTo } of lives) goTo(until);
  const people = lives.map(({ persona, number, timeZone, timeline, run: { record } }) => ({
    ...{ persona, number, timeZone, timeline, record },
  }));
  return { people, broadcasts: mailing.outcomes() };
}

function livesOf(
  {
    definitions,
    personas,
    start,
    personId = (persona, number) => `${personas.seed} ${persona} ${number}`,
  }: SimulationOrder,
  pausedBroadcasts: ReadonlySet<string>,
): Life[] {
  const funnels = virtualFunnels(definitions);
  const { frequencyCap, seed } = personas;
  const cap =
    frequencyCap === undefined
      ? null
      : { perDay: frequencyCap.perDay ?? null, perWeek: frequencyCap.perWeek ?? null };
  return personas.personas.flatMap((persona) =>
    Array.from({ length: persona.count }, (_, index) => {
      const number = index + 1;
      const timeZone = zoneOf(persona, index);
      const actor: Actor = { persona, number, seed: String(seed), clockZone: timeZone ?? 'UTC' };
      const id = personId(persona.name, number);
      return lifeOf(funnels, actor, { personId: id, timeZone, start, cap, pausedBroadcasts });
    }),
  );
}

function zoneOf({ timeZone }: Persona, index: number): string | null {
  if (timeZone === undefined) return null;
  const name = typeof timeZone === 'string' ? timeZone : timeZone[index % timeZone.length];
  return name === undefined ? null : canonicalTimeZone(name);
}
