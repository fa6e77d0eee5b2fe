import { conditionText, type Condition, type Leaf } from '../../sequences/steps/condition.js';
import {
  armOutcome,
  isAsking,
  isMail,
  waysOut,
  type SequenceDefinition,
  type SequenceNode,
} from '../../sequences/steps/definition.js';
import { conditionOf } from '../schemas/condition.schemas.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import { allSteps, type FunnelStep } from '../schemas/step.schemas.js';
import { allOf, contradictionIn, termsOf, type Term } from './condition-logic.js';
import type { DefinitionProblem } from './rules.js';

/** Which step can have come before which, and what each can have come to. */
interface Course {
  nodes: ReadonlyMap<string, SequenceNode>;
  /** Steps that may come after each. */
  later: ReadonlyMap<string, ReadonlySet<string>>;
  /** Products that are there and that no offer sells. */
  unsold: ReadonlySet<string>;
}

/** Branches that can never be true or never be false, and cases that are never reached. */
export function conditionProblems(
  definition: FunnelDefinition,
  compiled: SequenceDefinition,
  sold: ReadonlySet<string>,
): DefinitionProblem[] {
  const course: Course = {
    nodes: new Map(compiled.nodes.map((node) => [node.key, node])),
    later: laterSteps(compiled),
    unsold: new Set(definition.products.map(({ key }) => key).filter((key) => !sold.has(key))),
  };
  const { funnel } = definition;
  return allSteps(definition.sequence.steps).flatMap(({ step, path }) => {
    if ('if' in step) {
      const { within, ...asked } = step.if;
      return oneCondition(conditionOf(asked, funnel), step, {
        path: [...path, 'if'],
        course,
        waits: within !== undefined,
      });
    }
    return 'switch' in step ? cases(step, path, { ...course, funnel }) : [];
  });
}

function oneCondition(
  condition: Condition,
  step: FunnelStep,
  { path, course, waits }: { path: readonly PropertyKey[]; course: Course; waits: boolean },
): DefinitionProblem[] {
  const reason = impossible(termsOf(condition), step.key, course);
  const text = conditionText(condition);
  if (reason !== null) {
    const message = `never true, because ${reason}: ${text}. Ask for what can be, or take the branch out`;
    return [{ rule: 'condition-never-true', path, message }];
  }
  // Somebody who waits for what is always true waits for nothing.
  if (impossible(termsOf(condition, false), step.key, course) === null) return [];
  const message = `always true, so nobody takes else${waits ? ' and nobody waits' : ''}: ${text}. Take the branch out`;
  return [{ rule: 'condition-always-true', path, message }];
}

function cases(
  step: Extract<FunnelStep, { switch: unknown }>,
  path: readonly PropertyKey[],
  course: Course & { funnel: string },
): DefinitionProblem[] {
  const before: (Term[] | null)[] = [];
  return step.switch.flatMap(({ if: asked }, index): DefinitionProblem[] => {
    const condition = conditionOf(asked, course.funnel);
    const here = [...path, 'switch', index, 'if'];
    const terms = termsOf(condition);
    const alone = impossible(terms, step.key, course);
    const text = conditionText(condition);
    const left = impossible(allOf([terms, ...before]), step.key, course);
    before.push(termsOf(condition, false));
    if (alone !== null) {
      const message = `never true, because ${alone}: ${text}. Ask for what can be, or take the case out`;
      return [{ rule: 'condition-never-true', path: here, message }];
    }
    if (left === null) return [];
    const message = `holds only where a case before it holds, which goes first: ${text}. Put it before that one`;
    return [{ rule: 'case-never-reached', path: here, message }];
  });
}

/** Why none of the terms can hold where `at` asks; null when one can, or when they are too many to tell. */
function impossible(terms: Term[] | null, at: string, course: Course): string | null {
  if (terms === null) return null;
  let first: string | null = null;
  for (const term of terms) {
    const reason =
      term
        .map(({ leaf, holds }) => (holds ? leafProblem(leaf, at, course) : denialProblem(leaf, at, course)))
        .find((one) => one !== null) ??
      contradictionIn(term) ??
      apart(term, course);
    if (reason === null) return null;
    first ??= reason;
  }
  return first;
}

/** Why a question can never be answered with yes. */
function leafProblem(leaf: Leaf, at: string, { nodes, later, unsold }: Course): string | null {
  if (leaf.kind === 'purchased' || leaf.kind === 'refunded' || leaf.kind === 'member')
    return unsold.has(leaf.product) ? `no offer sells "${leaf.product}"` : null;
  if (!isAboutStep(leaf)) return null;
  const asked = nodes.get(leaf.step);
  if (!asked) return null;
  if (!later.get(leaf.step)?.has(at)) return `who comes here has not been at "${leaf.step}"`;
  if (leaf.kind === 'split') {
    const { all, here } = pathsOf(asked, at, later);
    const path = armOutcome(leaf.arm);
    const leadsElsewhere = all.includes(path) && !here.includes(path);
    return leadsElsewhere ? `the path of arm "${leaf.arm}" of "${leaf.step}" does not lead here` : null;
  }
  // Of other outcomes, what the kind of step cannot have is refused.
  if (leaf.kind !== 'step' || leaf.was !== 'skipped') return null;
  const possible = outcomesOf(asked, nodes);
  if (possible.includes(leaf.was)) return null;
  return `"${leaf.step}" is never "${leaf.was}"; it may be: ${possible.join(', ')}`;
}

/** Why a question can never be answered with no. */
function denialProblem(leaf: Leaf, at: string, { nodes, later }: Course): string | null {
  const asked = leaf.kind === 'split' && isAboutStep(leaf) ? nodes.get(leaf.step) : undefined;
  if (leaf.kind !== 'split' || !asked) return null;
  const { here } = pathsOf(asked, at, later);
  return here.length === 1 && here[0] === armOutcome(leaf.arm)
    ? `nothing but the path of arm "${leaf.arm}" of "${leaf.step}" leads here`
    : null;
}

/** The ways out of a split into paths, and those that lead to a step; none where the test is of a mail. */
function pathsOf(
  node: SequenceNode,
  at: string,
  later: Course['later'],
): { all: readonly string[]; here: readonly string[] } {
  const ways = node.kind === 'split' ? waysOut(node) : [];
  const leads = (to: string | null): boolean => to !== null && (to === at || later.get(to)?.has(at) === true);
  return {
    all: ways.map(({ outcome }) => outcome),
    here: ways.filter(({ to }) => leads(to)).map(({ outcome }) => outcome),
  };
}

/** Of this sequence. */
function isAboutStep(leaf: Leaf): leaf is Extract<Leaf, { step: string }> {
  if (leaf.kind === 'split') return leaf.sequence === undefined;
  return leaf.kind === 'clicked' || leaf.kind === 'opened' || leaf.kind === 'step';
}

/** The outcomes that can be asked for. A mail that waits when a goal is reached is stopped. */
function outcomesOf(node: SequenceNode, nodes: Course['nodes']): string[] {
  if (node.kind === 'split') return node.split.terms.holdoutBps > 0 ? ['ran', 'skipped'] : ['ran'];
  if (isAsking(node)) return ['ran', ...waysOut(node).map(({ outcome }) => outcome)];
  const mayBeSkipped =
    node.expires !== undefined ||
    node.untilField !== undefined ||
    (isMail(node) &&
      (node.split !== undefined ||
        (node.kind === 'offer' && node.toOwners !== 'send') ||
        [...nodes.values()].some(({ kind }) => kind === 'goal')));
  return mayBeSkipped ? ['ran', 'skipped'] : ['ran'];
}

/** Two steps on different ways of a branch: nobody comes to both. */
function apart(term: Term, { later }: Course): string | null {
  const steps = term.flatMap(({ leaf, holds }) => (holds && isAboutStep(leaf) ? [leaf.step] : []));
  for (const one of steps)
    for (const other of steps)
      if (one < other && !later.get(one)?.has(other) && !later.get(other)?.has(one))
        return `nobody comes to both "${one}" and "${other}"`;
  return null;
}

/** A sequence leads forward only, so each step's followers are known when its own are. */
export function laterSteps({ nodes }: SequenceDefinition): Map<string, ReadonlySet<string>> {
  const later = new Map<string, ReadonlySet<string>>();
  for (const node of nodes.toReversed()) {
    const after = new Set<string>();
    for (const { to } of waysOut(node)) {
      if (to === null) continue;
      after.add(to);
      for (const step of later.get(to) ?? []) after.add(step);
    }
    later.set(node.key, after);
  }
  return later;
}
