import { fieldProblemsInFiles } from '../lint/own-field-problems.js';
import { readFunnelFile, type FunnelFile } from '../yaml/funnel-file.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import { lintDefinition, outlineOf } from '../lint/lint.js';
import { RULES, type DefinitionProblem } from '../lint/rules.js';
import { fileInvalid, located } from '../yaml/yaml-file.js';
import { personaProblems, readPersonasFile, usualPersonas } from './personas-file.js';
import type { Personas } from './personas.schemas.js';
import type { SimulationOrder } from './simulate.js';
import { lostSequences } from '../lint/sequences-named.js';

export interface NamedText {
  name: string;
  text: string;
}

/** What was asked for beside the files; it goes before what the personas say. */
export interface SimulationWishes {
  start: Date | null;
  days: number | null;
  /** For a simulation that says nothing about it. */
  now: Date;
  /** The owner's; UTC when it is left out. The personas go before it: a timeline stays the same wherever it is made. */
  zone?: string;
}

const USUAL_DAYS = 90;

/**
 * A simulation from the texts of its files, the funnel that people sign up with first. Throws `FUNNEL_INVALID` and
 * `PERSONAS_INVALID`, with every problem, its file, line and field.
 */
export function simulationFromFiles(
  files: readonly [NamedText, ...NamedText[]],
  personas: NamedText | null,
  wishes: SimulationWishes,
): SimulationOrder {
  const [first, ...others] = files.map((file) => ({ ...file, read: readFunnelFile(file.text) }));
  if (!first) throw new Error('a simulation needs a funnel');
  const definitions = [first, ...others].map(({ name, read }) => {
    if (!read.ok) throw fileInvalid(name, read.problems);
    return read.definition;
  });
  for (const { name, read } of [first, ...others]) {
    if (!read.ok) continue;
    const along = definitions.filter((definition) => definition !== read.definition);
    checkAlone({ name, read, along }, wishes, [
      ...fieldProblemsInFiles(read.definition, along).filter(isError),
      ...lost(
        read.definition,
        along,
        (key) => `no file here describes the sequence "${key}"; name it with --with`,
      ),
    ]);
  }
  const [main, ...rest] = definitions;
  if (main === undefined) throw new Error('a simulation needs a funnel');
  return orderOf([main, ...rest], readPersonas(personas, [main, ...rest]), wishes);
}

/** A simulation of a funnel as it is typed, with others that have been applied. Throws as `simulationFromFiles`. */
export function simulationOfText(
  { name, text }: NamedText,
  others: readonly FunnelDefinition[],
  personas: NamedText | null,
  wishes: SimulationWishes,
): SimulationOrder {
  const read = readFunnelFile(text);
  if (!read.ok) throw fileInvalid(name, read.problems);
  const along = others.filter(({ funnel }) => funnel !== read.definition.funnel);
  const unknown = lost(read.definition, along, (key) => `there is no sequence "${key}"`);
  checkAlone({ name, read, along }, wishes, unknown);
  const definitions = [read.definition, ...along] as const;
  return orderOf(definitions, readPersonas(personas, definitions), wishes);
}

/** A simulation of funnels that have been applied, which are known to be good. `personas` as `simulationFromFiles`. */
export function simulationOf(
  definitions: readonly [FunnelDefinition, ...FunnelDefinition[]],
  personas: NamedText | null,
  wishes: SimulationWishes,
): SimulationOrder {
  return orderOf(definitions, readPersonas(personas, definitions), wishes);
}

export function peopleOf({ personas }: Personas): number {
  return personas.reduce((sum, { count }) => sum + count, 0);
}

function readPersonas(
  personas: NamedText | null,
  definitions: readonly [FunnelDefinition, ...FunnelDefinition[]],
): Personas {
  if (personas === null) return usualPersonas(definitions[0]);
  const read = readPersonasFile(personas.text);
  if (!read.ok) throw fileInvalid(personas.name, read.problems, 'PERSONAS_INVALID');
  const found = personaProblems(read.definition, definitions);
  if (found.length > 0) throw fileInvalid(personas.name, located(read, found), 'PERSONAS_INVALID');
  return read.definition;
}

function orderOf(
  definitions: SimulationOrder['definitions'],
  personas: Personas,
  { start, days, now, zone = 'UTC' }: SimulationWishes,
): SimulationOrder {
  const own = personas.start === undefined ? null : new Date(personas.start);
  return {
    ...{ definitions, personas, zone },
    ...{ start: start ?? own ?? now, days: days ?? personas.days ?? USUAL_DAYS },
  };
}

function isError({ rule }: DefinitionProblem): boolean {
  return RULES[rule].severity === 'error';
}

interface Alone {
  name: string;
  read: FunnelFile & { ok: true };
  /** The other funnels of the simulation. */
  along: readonly FunnelDefinition[];
}

/** A funnel that is wrong in itself, or in what `more` says of it, cannot be simulated. */
function checkAlone(
  { name, read, along }: Alone,
  { now }: SimulationWishes,
  more: readonly DefinitionProblem[],
): void {
  const others = along.map(outlineOf);
  const found = [...lintDefinition(read.definition, { now, others }).filter(isError), ...more];
  if (found.length > 0) throw fileInvalid(name, located(read, found));
}

/** Sequences that are named and that none of the others has. */
function lost(
  definition: FunnelDefinition,
  along: readonly FunnelDefinition[],
  message: (key: string) => string,
): DefinitionProblem[] {
  const keys = along.map(({ funnel }) => funnel);
  return lostSequences(definition, keys, ({ key, path }) => ({
    ...{ rule: 'unknown-sequence', path },
    message: message(key),
  }));
}
