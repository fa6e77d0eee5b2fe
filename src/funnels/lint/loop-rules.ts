import { fieldHolds, type EntryTrigger } from '../../sequences/steps/condition.js';
import {
  isAsking,
  stepsFrom,
  waysOut,
  type SequenceDefinition,
  type SequenceNode,
} from '../../sequences/steps/definition.js';
import type { DefinitionProblem } from './rules.js';

/** A sequence of this or another funnel, as far as what leads from one to the other goes. */
export interface SequenceOutline {
  key: string;
  definition: SequenceDefinition;
}

/** A step that brings people into a sequence. */
interface Link {
  from: string;
  step: string;
  to: string;
  kind: 'move' | 'tag' | 'untag' | 'set';
  /** Nobody waits on the way from the first step to this one. */
  atOnce: boolean;
}

/**
 * Ways round through sequences. Where everybody may join again at once and nobody waits, people go round for ever; where
 * nobody may join again, the move back does nothing.
 */
export function loopProblems(
  own: SequenceOutline,
  others: readonly SequenceOutline[],
  places: ReadonlyMap<string, readonly PropertyKey[]>,
): DefinitionProblem[] {
  const sequences = new Map([own, ...others].map((sequence) => [sequence.key, sequence]));
  const links = [...sequences.values()].flatMap((sequence) => linksOf(sequence, sequences));
  return links
    .filter(({ from }) => from === own.key)
    .flatMap((link): DefinitionProblem[] => {
      const path = [...(places.get(link.step) ?? []), link.kind];
      const joinsAgain = ({ atOnce, to }: Link): boolean =>
        atOnce && sequences.get(to)?.definition.reentry?.mode === 'always';
      const round = wayBack(link, links.filter(joinsAgain));
      if (joinsAgain(link) && round !== null) {
        const message = `people go round ${[own.key, ...round].join(' → ')} for ever without a wait; give a step on the way a delay, or let one of the sequences be joined once (reentry: never)`;
        return [{ rule: 'loop-without-delay', path, message }];
      }
      if (link.kind !== 'move' || joinsMore(sequences.get(link.to))) return [];
      const back = wayBack(
        link,
        links.filter(({ kind }) => kind === 'move'),
      );
      if (back === null) return [];
      const message = `who has come from "${link.to}" may not join it again, and leaves here instead; give "${link.to}" a reentry, such as always or after 30 days`;
      return [{ rule: 'move-without-return', path, message }];
    });
}

function joinsMore(sequence: SequenceOutline | undefined): boolean {
  return sequence?.definition.reentry !== undefined;
}

/** The sequences from the link's target back to where it starts; null when no way leads there. */
function wayBack(link: Link, links: readonly Link[]): string[] | null {
  const cameFrom = new Map<string, string | null>([[link.to, null]]);
  const queue = [link.to];
  for (let at = queue.shift(); at !== undefined; at = queue.shift()) {
    if (at === link.from) return chain(cameFrom, at);
    for (const { from, to } of links) {
      if (from !== at || cameFrom.has(to)) continue;
      cameFrom.set(to, at);
      queue.push(to);
    }
  }
  return null;
}

function chain(cameFrom: ReadonlyMap<string, string | null>, end: string): string[] {
  const way: string[] = [];
  for (let at: string | null = end; at !== null; at = cameFrom.get(at) ?? null) way.unshift(at);
  return way;
}

function linksOf({ key, definition }: SequenceOutline, all: ReadonlyMap<string, SequenceOutline>): Link[] {
  const nodes = new Map(definition.nodes.map((node) => [node.key, node]));
  // Those that somebody can come to in one turn.
  const early = stepsFrom(nodes, definition.first, instantWays);
  return definition.nodes.flatMap((node): Link[] => {
    const atOnce = early.has(node.key) && isInstant(node);
    if (node.kind === 'move') {
      // To move to the own sequence is an error of its own.
      return all.has(node.sequence) && node.sequence !== key
        ? [{ from: key, step: node.key, to: node.sequence, kind: 'move', atOnce }]
        : [];
    }
    const gives = givenBy(node);
    if (gives === null) return [];
    // Who is still in a sequence does not join it anew.
    const ends = atOnce && endsAtOnce(waysOut(node)[0]?.to ?? null, nodes);
    return [...all.values()]
      .filter(({ definition: { enterOn = [] } }) => enterOn.some((trigger) => gives.begins(trigger)))
      .map(({ key: to }) => ({ from: key, step: node.key, to, kind: gives.kind, atOnce: ends }));
  });
}

/** What a step gives or takes from the person that a sequence may begin with; null: nothing. */
function givenBy(
  node: SequenceNode,
): { kind: 'tag' | 'untag' | 'set'; begins(this: void, trigger: EntryTrigger): boolean } | null {
  if (node.kind === 'tag')
    return { kind: 'tag', begins: (trigger) => trigger.kind === 'tag' && node.tags.includes(trigger.tag) };
  if (node.kind === 'untag')
    return {
      kind: 'untag',
      begins: (trigger) => trigger.kind === 'untagged' && node.tags.includes(trigger.tag),
    };
  if (node.kind !== 'set') return null;
  const { fields } = node;
  return {
    kind: 'set',
    begins: (trigger) =>
      trigger.kind === 'field' && trigger.field in fields && fieldHolds(trigger, fields[trigger.field], null),
  };
}

function endsAtOnce(from: string | null, nodes: ReadonlyMap<string, SequenceNode>): boolean {
  return (
    from === null ||
    [...stepsFrom(nodes, from, instantWays)].some((key) => {
      const node = nodes.get(key);
      return node !== undefined && instantWays(node).includes(null);
    })
  );
}

function instantWays(node: SequenceNode): (string | null)[] {
  if (!isInstant(node)) return [];
  const waits = (node.kind === 'branch' || node.kind === 'choice') && node.within !== null;
  return waysOut(node)
    .filter(({ outcome }) => !(waits && outcome === 'else'))
    .map(({ to }) => to);
}

/** A window or one of the days may be just now, and a date keeps nobody who comes by after it: they are no waits. */
function isInstant(node: SequenceNode): boolean {
  return isAsking(node) || (node.at === null && (node.delay === null || node.delay.value === 0));
}
