import { Inject, Injectable } from '@nestjs/common';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { CONFIG, type Config } from '../../infra/config.js';
import { DomainError } from '../../values/domain-error.js';
import { FunnelsService } from '../funnels.service.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import { simulate, type SimulationOrder } from './simulate.js';
import { peopleOf, simulationOf, simulationOfText, type SimulationWishes } from './simulation-files.js';
import type { Simulation } from './timeline.js';

/** More would keep this process from its other requests; the command has no such limit. */
export const MOST_PEOPLE = 200;

interface SimulationAsked {
  /** The funnel as it shall be; the one that is there when left out. */
  yaml?: string | undefined;
  /** As YAML; some usual people when left out. */
  personas?: string | undefined;
  start?: string | undefined;
  days?: number | undefined;
}

/** Simulations within a request. Its steps may lead to any other funnel that is there. */
@Injectable()
export class SimulationService {
  constructor(
    private readonly funnels: FunnelsService,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** Throws `FUNNEL_NOT_FOUND`, `FUNNEL_INVALID`, `FUNNEL_KEY_INVALID` and `PERSONAS_INVALID`. */
  async run(key: string, asked: SimulationAsked): Promise<Simulation> {
    const order = await this.orderOf(key, asked);
    const people = peopleOf(order.personas);
    if (people <= MOST_PEOPLE) return simulate(order);
    throw new DomainError(
      'PERSONAS_INVALID',
      `personas: ${people} people are more than the ${MOST_PEOPLE} of a request; use the command for more`,
      { people },
    );
  }

  private async orderOf(
    key: string,
    { yaml, personas, start, days }: SimulationAsked,
  ): Promise<SimulationOrder> {
    const people = personas === undefined ? null : { name: 'personas', text: personas };
    const wishes: SimulationWishes = {
      ...{ start: start === undefined ? null : new Date(start), days: days ?? null },
      ...{ now: this.clock.now(), zone: this.config.timeZone },
    };
    const others = (await this.funnels.list()).filter((funnel) => funnel.key !== key);
    const along = others.map(({ definition, archivedAt }) =>
      archivedAt === null ? definition : closed(definition),
    );
    if (yaml === undefined) {
      const { definition } = await this.funnels.get(key);
      return simulationOf([definition, ...along], people, wishes);
    }
    const order = simulationOfText({ name: 'yaml', text: yaml }, along, people, wishes);
    const [{ funnel }] = order.definitions;
    if (funnel === key) return order;
    const message = `yaml: funnel is "${funnel}", the address says "${key}"`;
    throw new DomainError('FUNNEL_KEY_INVALID', message, { key });
  }
}

/** Of an archived one: as in the run, nothing that happens begins its sequence. */
function closed(definition: FunnelDefinition): FunnelDefinition {
  return { ...definition, sequence: { ...definition.sequence, enterOn: undefined } };
}
