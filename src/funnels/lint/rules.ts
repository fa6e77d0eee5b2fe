/** An error is refused by `plan` and `apply`; a warning is said and goes through. */
type Severity = 'error' | 'warning';

/** What a funnel is looked through for. The name of a rule never changes: people keep lists of them. */
export const RULES = {
  'unreadable-file': { severity: 'error', about: 'the file is YAML of one funnel' },
  'unknown-option': { severity: 'error', about: 'every option is one that exists at its place' },
  'missing-value': { severity: 'error', about: 'what must be there is there' },
  'wrong-value': { severity: 'error', about: 'every value is one that its option takes' },
  'missing-consent': { severity: 'error', about: 'the form says what people agree to' },
  'offer-without-price': { severity: 'error', about: 'everything that is sold has a price' },
  'duplicate-key': { severity: 'error', about: 'a key names one thing' },
  'name-taken': { severity: 'error', about: 'no other funnel has the slug or key' },
  'unknown-offer': { severity: 'error', about: 'an offer that a step makes is there' },
  'unknown-product': { severity: 'error', about: 'a product that is named is there' },
  'unknown-affiliate': { severity: 'error', about: 'an affiliate who is asked for is there' },
  'unknown-step': { severity: 'error', about: 'a condition asks about steps before it' },
  'unknown-field': { severity: 'error', about: 'a field that is asked for is defined or filled' },
  'unknown-outcome': { severity: 'error', about: 'a condition asks what a step can come to' },
  'unknown-arm': { severity: 'error', about: 'a condition asks about arms that its split test has' },
  'unknown-sequence': { severity: 'error', about: 'people are moved to a sequence that is there' },
  'unreachable-step': { severity: 'error', about: 'every step can be come to' },
  'empty-branch': { severity: 'error', about: 'a branch leads somewhere' },
  'conflicting-times': { severity: 'error', about: 'a step says in one way when it runs' },
  'impossible-time': { severity: 'error', about: 'at, onDays, window and quietHours leave time' },
  'deadline-without-offer': { severity: 'error', about: 'a deadline belongs to an offer' },
  'owners-without-offer': { severity: 'error', about: 'toOwners belongs to an offer' },
  'bump-mismatch': { severity: 'error', about: 'a bump is another product in the same currency' },
  'upsell-loop': { severity: 'error', about: 'upsells and downsells come to an end' },
  'split-test': { severity: 'error', about: 'arms of a split test differ and can be judged' },
  'loop-without-delay': { severity: 'error', about: 'sequences do not send people round without a wait' },
  'unknown-template': { severity: 'error', about: 'mails and pages that are named are there' },
  'unused-template': { severity: 'error', about: 'a text that is brought along is part of a mail or page' },
  'broken-template': { severity: 'error', about: 'mails and pages can be rendered' },
  'hidden-duty': { severity: 'error', about: 'marketing mails show a way out and where their sender is' },
  'unknown-variable': { severity: 'error', about: 'mails print what they have' },
  'unknown-file': { severity: 'error', about: 'files that are promised or sold are there' },
  'page-without-form': { severity: 'error', about: 'one can sign up on the page, which prints the consent' },
  'foreign-tag': { severity: 'warning', about: 'mails hold no tags of another mail system' },
  'reader-value': { severity: 'warning', about: 'a new mail can be made for all who are in the funnel' },
  'reader-doubt': { severity: 'warning', about: 'links of a new mail lead everybody somewhere' },
  'date-passed': { severity: 'warning', about: 'dates are still to come' },
  'never-in-time': { severity: 'warning', about: 'a step can run before it expires' },
  'condition-never-true': { severity: 'warning', about: 'a condition can hold' },
  'condition-always-true': { severity: 'warning', about: 'a condition can fail' },
  'case-never-reached': { severity: 'warning', about: 'a case can hold when those before it do not' },
  'event-of-before': { severity: 'warning', about: 'a second wait for an event says which one it is for' },
  'goal-never-reached': { severity: 'warning', about: 'what leads to a goal or ends a sequence can happen' },
  'entry-never-reached': { severity: 'warning', about: 'what begins a sequence can happen' },
  'move-without-return': { severity: 'warning', about: 'who is moved back may join again' },
  'sequence-elsewhere': { severity: 'warning', about: 'sequences of other files are looked at, too' },
  'field-elsewhere': { severity: 'warning', about: 'fields that are asked for are defined in the file' },
  'label-elsewhere': { severity: 'warning', about: 'funnels give a field one label' },
  'list-to-come': { severity: 'warning', about: 'lists that are asked for are there' },
  'affiliate-to-come': { severity: 'warning', about: 'affiliates who are asked for are added' },
  'product-without-delivery': { severity: 'warning', about: 'who buys gets something' },
  'product-taken-over': { severity: 'warning', about: 'a product is what its buyers bought under its key' },
  'product-not-offered': { severity: 'warning', about: 'a product can be bought' },
  'upsell-never-shown': { severity: 'warning', about: 'an upsell sells something new' },
  'commission-for-nothing': { severity: 'warning', about: 'affiliates can earn by something' },
  'offer-to-owners': { severity: 'warning', about: 'who comes to an offer does not own it already' },
  'offer-for-nothing': { severity: 'warning', about: 'an offer costs something' },
} as const satisfies Readonly<Record<string, { severity: Severity; about: string }>>;

export type RuleName = keyof typeof RULES;

/** One thing that is wrong with a funnel, at the place in its definition. The message says what is allowed. */
export interface DefinitionProblem {
  rule: RuleName;
  path: readonly PropertyKey[];
  message: string;
}

/** A problem with its place in the file. `line` counts from 1. */
export interface Finding {
  rule: RuleName;
  severity: Severity;
  line: number | null;
  /** Dotted path such as `sequence.steps.2.email`; empty for the whole file. */
  field: string;
  message: string;
}

export function findingOf(problem: DefinitionProblem, line: number | null): Finding {
  const { rule, path, message } = problem;
  return { rule, severity: RULES[rule].severity, line, field: path.map(String).join('.'), message };
}

/** In the order of the file; what is about all of it first. */
export function byLine(a: Finding, b: Finding): number {
  return (a.line ?? 0) - (b.line ?? 0);
}

/** The end of a message about a name that leads nowhere. */
export function among(names: readonly string[]): string {
  return names.length === 0 ? '' : `; there are: ${names.join(', ')}`;
}

/** `funnel.yaml:12: sequence.steps.2.email: there is no …` */
export function findingText(name: string, { line, field, message }: Finding): string {
  const place = line === null ? name : `${name}:${line}`;
  return `${place}: ${field === '' ? '' : `${field}: `}${message}`;
}
