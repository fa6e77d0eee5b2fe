import { HOLDOUT } from '../segments/held-out.js';
import { conditionText, type Condition } from '../sequences/steps/condition.js';
import {
  isAsking,
  stepsFrom,
  waysOut,
  type AskingNode,
  type ChoiceNode,
  type SequenceDefinition,
  type SequenceNode,
} from '../sequences/steps/definition.js';
import { prepareSequence, questionsOf } from '../sequences/steps/prepared.js';
import {
  explanation,
  instantText,
  quoted,
  rule,
  timingText,
  type Explanation,
  type Rule,
} from './explanation.js';
import { exitCause } from './explain-exit.js';
import { splitRules, type SplitFacts } from './explain-split.js';
import {
  consentText,
  pauseRule,
  sequencePausedRule,
  statusText,
  suppressionRule,
  type PersonFacts,
  type SuppressionFacts,
} from './explain-rules.js';

export interface EnrollmentFacts {
  status: 'active' | 'completed' | 'exited';
  exitReason: string | null;
  stepKey: string | null;
  nextAt: Date | null;
  /** When the step was due that came up too late for its hours, or while its sequence is paused; null for all others. */
  plannedFor: Date | null;
  startedAt: Date;
  endedAt: Date | null;
  version: number;
  /** Another, where a move has taken the person on since. */
  joinedVersion: number;
  definition: SequenceDefinition;
  /** What came of the steps that are no mails, or were passed over; `then` or `else` for a branch. */
  outcomes: { stepKey: string; outcome: string; at: Date }[];
  /** Tests that bear on the step. */
  splits: SplitFacts[];
  /** Events since they joined that were told after they had happened. */
  toldLate: { event: string; at: Date; toldAt: Date }[];
}

export interface StepFacts {
  now: Date;
  stepKey: string;
  sequence: { title: string; version: number };
  person: PersonFacts & { zone: string };
  suppressions: SuppressionFacts[];
  /** Whether the mails of the sequence are paused. */
  sequencePaused: boolean;
  /** The person's sign-up to the funnel; null when there is none. */
  signup: { status: string; at: Date } | null;
  /** The latest one; null: never. */
  enrollment: EnrollmentFacts | null;
  /** The last mail of the step from a time before that; null when there is none. */
  earlierMail: { id: string; at: Date } | null;
}

/** Why there is no mail of this step for this person. Pure; every enrolment gets an answer. */
export function explainStep(facts: StepFacts): Explanation {
  const { enrollment } = facts;
  if (enrollment === null) return explanation([notEnrolled(facts)]);
  const { version, joinedVersion, startedAt } = enrollment;
  const moved = version === joinedVersion ? '' : `, and was taken to version ${version} since`;
  const joined = rule(
    'ENROLLED',
    'info',
    `The person joined ${quoted(facts.sequence.title)}, version ${joinedVersion}, on ${instantText(startedAt)}${moved}.`,
    startedAt,
  );
  const rules = place(facts, enrollment);
  const waits = rules.some(({ verdict }) => verdict === 'waits');
  return explanation([
    joined,
    ...earlierRule(facts),
    ...splitRules(enrollment.splits),
    ...(waits ? mailRules(facts, enrollment) : []),
    ...rules,
  ]);
}

/** What stands against the mail of a step that has yet to come; a step without one goes its way. */
function mailRules(
  { person, stepKey, suppressions, sequencePaused }: StepFacts,
  { definition }: EnrollmentFacts,
): Rule[] {
  const asked = { open: true, stopped: false };
  const paused = pauseRule(person, { ...asked, broadcast: false });
  if (definition.nodes.find(({ key }) => key === stepKey)?.kind !== 'email') return paused;
  const suppressed = suppressionRule(suppressions, { ...asked, marketing: true });
  return [
    ...(suppressed.verdict === 'stopped' ? [suppressed] : []),
    ...paused,
    ...(sequencePaused ? [sequencePausedRule()] : []),
  ];
}

/** The person had a mail of the step, and there is no record of when they were in the sequence. */
export function notKept({ title }: StepFacts['sequence']): Rule {
  const text = `No record is kept of when the person was in ${quoted(title)}. This is the last mail of the step that they had.`;
  return rule('ENROLLMENT_NOT_KEPT', 'info', text);
}

function earlierRule({ earlierMail, stepKey, sequence }: StepFacts): Rule[] {
  if (earlierMail === null) return [];
  const { id, at } = earlierMail;
  const text = `The person was in ${quoted(sequence.title)} before. Of that time is the mail ${id} of ${quoted(stepKey)}, planned on ${instantText(at)}.`;
  return [rule('EARLIER_MAIL', 'info', text, at)];
}

function notEnrolled({ person, signup, sequence }: StepFacts): Rule {
  const title = quoted(sequence.title);
  if (signup !== null && signup.status !== 'confirmed')
    return rule(
      'NOT_CONFIRMED',
      'stopped',
      `The person signed up on ${instantText(signup.at)} and has not confirmed the address, so ${title} has not begun.`,
      signup.at,
    );
  if (person.status !== 'active')
    return rule('NOT_ENROLLED', 'stopped', `The person is not in ${title} and ${statusText(person.status)}.`);
  return rule('NOT_ENROLLED', 'stopped', `The person never joined ${title}.`);
}

function place(facts: StepFacts, enrollment: EnrollmentFacts): Rule[] {
  const { stepKey, sequence } = facts;
  const { definition, outcomes, version } = enrollment;
  const step = quoted(stepKey);
  if (!definition.nodes.some(({ key }) => key === stepKey)) {
    const text = `Version ${version}, which the person is in, has no step ${step}. The present one is ${sequence.version}.`;
    return [rule('STEP_NOT_IN_VERSION', 'stopped', text)];
  }
  const ran = outcomes.find((outcome) => outcome.stepKey === stepKey);
  if (ran) return [ranRule(stepKey, ran)];
  const { decided, open } = walk(definition, stepKey, enrollment);
  const passed = decided.flatMap(({ branch, outcome, at }) => [
    branchRule(branch, outcome, { stepKey, at, definition }),
    ...lateRules(branch, at, enrollment),
  ]);
  if (!open)
    return passed.some(({ verdict }) => verdict === 'stopped') ? passed : [...passed, unreachable(facts)];
  return [...passed, ...standing(facts, enrollment)];
}

/** What is written down about the step itself. */
function ranRule(stepKey: string, { outcome, at }: EnrollmentFacts['outcomes'][number]): Rule {
  const on = instantText(at);
  const expired = /^expired (.+)$/.exec(outcome)?.[1];
  if (expired !== undefined)
    return rule(
      'STEP_EXPIRED',
      'stopped',
      `The step was passed over on ${on}: it expired on ${expired}.`,
      at,
    );
  const [, kind, name = ''] = /^no date (in|for the end of the membership) (.+)$/.exec(outcome) ?? [];
  if (kind !== undefined) {
    const missing =
      kind === 'in' ? `the field ${quoted(name)} held no date` : `the membership ${quoted(name)} had no end`;
    return rule('STEP_HAS_NO_DATE', 'stopped', `The step was passed over on ${on}: ${missing}.`, at);
  }
  const owned = /^already owns (.+)$/.exec(outcome)?.[1];
  if (owned !== undefined) {
    const text = `The step was passed over on ${on}: the person already owns ${quoted(owned)}. With toOwners: send it would go to them, too.`;
    return rule('ALREADY_OWNED', 'stopped', text, at);
  }
  if (outcome === HOLDOUT) {
    const text = `The step was passed over on ${on}: the person is among those whom its split test holds out.`;
    return rule('HELD_OUT', 'stopped', text, at);
  }
  if (outcome === 'planned')
    return rule('MAIL_GONE', 'stopped', `The step ran on ${on}; its mail is no longer kept.`, at);
  if (outcome === 'ran') return rule('STEP_RAN', 'done', `The step ran on ${on}. It sends no mail.`, at);
  return rule('STEP_DECIDED', 'done', `${quoted(stepKey)} was decided on ${on}: ${outcome}.`, at);
}

interface Decision {
  branch: AskingNode;
  outcome: string;
  at: Date;
}

/** The branches behind the person that bear on the step, and whether the step still lies ahead. */
function walk(
  definition: SequenceDefinition,
  stepKey: string,
  { outcomes, stepKey: current }: EnrollmentFacts,
): { decided: Decision[]; open: boolean } {
  const decided: Decision[] = [];
  const nodes = new Map(definition.nodes.map((node) => [node.key, node]));
  let key = definition.first;
  for (let met = 0; key !== null && met <= nodes.size; met++) {
    if (key === current) return { decided, open: leadsTo(nodes, key, stepKey) };
    // Behind the person, unless it is not known where they stood.
    if (key === stepKey) return { decided, open: current === null };
    const node = nodes.get(key);
    if (!node) break;
    const ways = waysOut(node);
    if (!isAsking(node)) {
      key = ways[0]?.to ?? null;
      continue;
    }
    const taken = outcomes.find((outcome) => outcome.stepKey === node.key);
    const way = ways.find(({ outcome }) => outcome === taken?.outcome);
    if (!taken || !way) return { decided, open: leadsTo(nodes, key, stepKey) };
    const leads = new Set(ways.map(({ to }) => leadsTo(nodes, to, stepKey)));
    if (leads.size > 1) decided.push({ branch: node, outcome: taken.outcome, at: taken.at });
    key = way.to;
  }
  return { decided, open: false };
}

/** Whether the step can still come for somebody who is at `from`. */
function leadsTo(nodes: ReadonlyMap<string, SequenceNode>, from: string | null, stepKey: string): boolean {
  return stepsFrom(nodes, from).has(stepKey);
}

function branchRule(
  branch: AskingNode,
  outcome: string,
  { stepKey, at, definition }: { stepKey: string; at: Date; definition: SequenceDefinition },
): Rule {
  const nodes = new Map(definition.nodes.map((node) => [node.key, node]));
  const came = `At ${quoted(branch.key)} ${decisionText(branch, outcome)}, on ${instantText(at)}`;
  const to = waysOut(branch).find((way) => way.outcome === outcome)?.to ?? null;
  return leadsTo(nodes, to, stepKey)
    ? rule('BRANCH_TAKEN', 'passed', `${came}: the way that leads to ${quoted(stepKey)}.`, at)
    : rule('BRANCH_WENT_OTHER_WAY', 'stopped', `${came}: ${quoted(stepKey)} lies on the other way.`, at);
}

/** Events that the step asked about, of any time since they joined, and that were told when it had been decided. */
function lateRules(branch: AskingNode, decidedAt: Date, { toldLate }: EnrollmentFacts): Rule[] {
  const asked = new Set(
    questionsOf(branch).flatMap((leaf) =>
      leaf.kind === 'event' && leaf.since === undefined ? [leaf.event] : [],
    ),
  );
  return toldLate
    .filter(({ event, at, toldAt }) => asked.has(event) && at <= decidedAt && toldAt > decidedAt)
    .map(({ event, at, toldAt }) => {
      const text = `The event ${quoted(event)} had come by then, on ${instantText(at)}, but was told on ${instantText(toldAt)} only. What has been decided stays so.`;
      return rule('EVENT_TOLD_LATE', 'info', text, toldAt);
    });
}

function decisionText(branch: AskingNode, outcome: string): string {
  if (branch.kind === 'branch')
    return `the mail ${quoted(branch.clicked)} ${outcome === 'then' ? 'was clicked' : 'was not clicked in time'}`;
  if (branch.kind === 'goal') return `the goal was ${outcome}`;
  if (branch.kind === 'split')
    return outcome === HOLDOUT
      ? 'the split test held the person out, who went on behind it'
      : `the split test drew ${quoted(outcome)}`;
  const taken = branch.cases.find((one) => one.outcome === outcome);
  if (taken) return `it held that ${conditionText(taken.when)}`;
  return `it did not hold${branch.within === null ? '' : ' in time'} that ${casesText(branch)}`;
}

function casesText({ cases }: ChoiceNode): string {
  return conditionText({ kind: 'any', of: cases.map(({ when }): Condition => when) });
}

function unreachable({ stepKey }: StepFacts): Rule {
  return rule(
    'STEP_PASSED',
    'stopped',
    `The person is past the place of ${quoted(stepKey)}, and it did not run for them.`,
  );
}

/** The step may still come, or would have, had the person stayed. */
function standing(facts: StepFacts, enrollment: EnrollmentFacts): Rule[] {
  const { status, exitReason, endedAt } = enrollment;
  if (status === 'exited') return [exited(exitReason ?? 'no reason is written down', endedAt)];
  if (status === 'completed')
    return [rule('COMPLETED', 'stopped', 'The sequence came to its end without this step.', endedAt)];
  if (facts.person.status !== 'active') {
    const text = `The person ${statusText(facts.person.status)}, so the sequence ends at its next step. ${consentText(facts.person)}`;
    return [rule('SUBSCRIBER_NOT_ACTIVE', 'stopped', text, facts.person.consent?.at ?? null)];
  }
  return [ahead(facts, enrollment)];
}

function ahead(
  { now, stepKey, person }: StepFacts,
  { definition, stepKey: current, nextAt, plannedFor }: EnrollmentFacts,
): Rule {
  if (current !== null && nextAt === null && plannedFor !== null) {
    const stays = `since ${instantText(plannedFor, person.zone)}; people stay where they are while the mails of the sequence are paused.`;
    return current === stepKey
      ? rule('STEP_DUE', 'waits', `The step is due ${stays}`, plannedFor)
      : rule(
          'NOT_REACHED',
          'waits',
          `The person is at ${quoted(current)}, which is due ${stays}`,
          plannedFor,
        );
  }
  if (current === null || nextAt === null)
    return rule('NOT_REACHED', 'waits', `The person has not come to ${quoted(stepKey)} yet.`);
  const until = instantText(nextAt, person.zone);
  const late = nextAt <= now;
  if (plannedFor !== null && !late) {
    const was = instantText(plannedFor, person.zone);
    const text = `The step ${quoted(current)} was due at ${was}, but its turn came outside the hours in which it may run; they open again at ${until}.`;
    return rule('OUTSIDE_SEND_WINDOW', 'waits', text, nextAt);
  }
  if (current === stepKey) {
    const words = timingText(prepareSequence(definition).timings.get(stepKey) ?? {}, person.zone);
    return late
      ? rule('STEP_DUE', 'waits', `The step is due since ${until} and runs with the next run.`, nextAt)
      : rule('STEP_NOT_DUE', 'waits', `The step is next. It runs ${words}: at ${until}.`, nextAt);
  }
  const at = `The person is at ${quoted(current)}`;
  const node = definition.nodes.find(({ key }) => key === current);
  if (node?.kind === 'branch') {
    const text = `${at}, which waits for a click on ${quoted(node.clicked)}, at most until ${until}.`;
    return rule('WAITS_FOR_CLICK', 'waits', text, nextAt);
  }
  if (node?.kind === 'choice' && node.within !== null) {
    const text = `${at}, which waits until ${casesText(node)}, at most until ${until}.`;
    return rule('WAITS_FOR_CONDITION', 'waits', text, nextAt);
  }
  return rule('NOT_REACHED', 'waits', `${at}, which comes before it and runs at ${until}.`, nextAt);
}

function exited(reason: string, at: Date | null): Rule {
  const on = at === null ? '' : ` on ${instantText(at)}`;
  const cause = exitCause(reason);
  if (cause === null) return rule('EXITED', 'stopped', `The sequence ended${on}: ${reason}.`, at);
  const { code, what, ends } = cause;
  const text = ends
    ? `${what}${on}, which ended the sequence before this step.`
    : `${what}${on}, before this step.`;
  return rule(code, 'stopped', text, at);
}
