/** As far as selectors ask for it. */
export interface StyledElement {
  tag: string;
  classes: readonly string[];
  id: string;
}

/** What style sheets have rules of their own for: a small screen, or the dark mode of the mail program. */
export type Screen = 'phone' | 'dark';

const MEDIA: Readonly<Record<Screen, RegExp>> = {
  phone: /max-(?:device-)?width/i,
  dark: /prefers-color-scheme\s*:\s*dark/i,
};
/** `@media screen`, without a question about the screen. */
const FOR_ALL = /^media\s+(?:only\s+)?(?:screen|all)\s*$/i;

/** One part of a selector: `td.foot`. */
interface Step extends StyledElement {
  /** It is a child of the part before it, and not just somewhere within. */
  isChild: boolean;
}

interface Rule {
  steps: readonly Step[];
  weight: number;
  usual: string;
  important: string;
}

/** Of more only whether they set colours is known. */
const MOST_RULES = 1_000;
/** How often a rule is held against an element, or one around it: twenty times as often as in a long letter. */
const MOST_LOOKS = 5_000_000;
const NOTHING = { usual: '', important: '' };
/** One without an end takes all that follows, as in a mail program. */
const SHEET = /<style\b[^<>]*>([\s\S]*?)(?:<\/style>|$)/gi;
const COMMENT = /\/\*[\s\S]*?(?:\*\/|$)|<!--|-->/g;
/** Begins where another has ended: else each letter of a long selector without a rule would look for its brace anew. */
const RULE = /(?<![^{}])([^{}]*)\{([^{}]*)\}/g;
const AT_RULE = /@([^{};@]*)\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}/g;
const STEP = /^(\*|[a-z][a-z0-9]*)?((?:[.#][\w-]+)*)$/i;
/** What is for a mail program's own dark mode, or for a state that no mail is opened in. */
const NOT_NOW = /\[data-ogs[bc]\]|:(?:hover|active|focus|visited|before|after)\b/i;
const SETS_COLOUR = /(?:^|[\s;])(?:color|background(?:-color)?)\s*:(?!\s*(?:inherit|initial|unset)\b)/i;

/**
 * The style sheets of a mail: plain selectors of elements, classes and ids, within each other or not, by their weight. Of
 * what is for some screens only that of this one.
 */
export class StyleRules {
  /** Not where a selector that is not read, as `u + .body`, sets a colour. */
  coloursAreKnown = true;
  readonly #byKey = new Map<string, Rule[]>();
  #count = 0;
  #looks = 0;

  constructor(html: string, screen: Screen | null) {
    for (const [, text = ''] of html.matchAll(SHEET)) {
      const sheet = text.replace(COMMENT, ' ');
      this.#add(sheet.replace(AT_RULE, ''));
      for (const [block, query = ''] of sheet.matchAll(AT_RULE))
        if (FOR_ALL.test(query) || (screen !== null && MEDIA[screen].test(query)))
          this.#add(block.slice(block.indexOf('{') + 1, -1));
    }
  }

  /** The declarations for an element within `around`, the innermost last: in order, `important` ones go before its own. */
  of(element: StyledElement, around: readonly StyledElement[]): { usual: string; important: string } {
    if (!this.#mayLook()) return NOTHING;
    const found = keysOf(element)
      .flatMap((key) => this.#byKey.get(key) ?? [])
      .filter(({ steps }) => {
        this.#looks += steps.length > 1 ? around.length : 1;
        return this.#mayLook() && fits(steps, element, around);
      })
      .toSorted((a, b) => a.weight - b.weight);
    if (found.length === 0) return NOTHING;
    return {
      usual: found.map(({ usual }) => usual).join(';'),
      important: found.map(({ important }) => important).join(';'),
    };
  }

  #mayLook(): boolean {
    if (this.#looks > MOST_LOOKS) this.coloursAreKnown = false;
    return this.#looks <= MOST_LOOKS;
  }

  #add(sheet: string): void {
    for (const [, selectors = '', body = ''] of sheet.matchAll(RULE))
      for (const selector of selectors.split(',')) this.#addRule(selector.trim(), body);
  }

  #addRule(selector: string, body: string): void {
    if (selector === '' || NOT_NOW.test(selector)) return;
    const steps = this.#count < MOST_RULES ? stepsOf(selector) : null;
    const last = steps?.at(-1);
    if (!steps || !last) {
      if (SETS_COLOUR.test(body)) this.coloursAreKnown = false;
      return;
    }
    const declarations = body.split(';');
    const isImportant = (one: string): boolean => /!\s*important/i.test(one);
    // Behind a dot as many follow as a mail can have rules: of the same weight the later one goes before.
    const weight = steps.reduce((sum, step) => sum + weightOf(step), this.#count++ / MOST_RULES);
    const [key = '*'] = keysOf(last).slice(1);
    const rules = this.#byKey.get(key) ?? [];
    rules.push({
      ...{ steps, weight },
      usual: declarations.join(';'),
      important: declarations.filter(isImportant).join(';'),
    });
    this.#byKey.set(key, rules);
  }
}

/** What a rule for an element may be filed under; of a selector the first behind `*`. */
function keysOf({ tag, classes, id }: StyledElement): string[] {
  return [
    '*',
    ...(id === '' ? [] : [`#${id}`]),
    ...classes.map((name) => `.${name}`),
    ...(tag === '*' ? [] : [tag]),
  ];
}

function weightOf({ tag, classes, id }: StyledElement): number {
  return (id === '' ? 0 : 10_000) + classes.length * 100 + (tag === '*' ? 0 : 1);
}

/** Null for a selector of another kind. */
function stepsOf(selector: string): Step[] | null {
  const steps: Step[] = [];
  let isChild = false;
  for (const part of selector.replace(/:(?:link|root)\b/gi, '').split(/\s*(>)\s*|\s+/)) {
    if (part === undefined || part === '') continue;
    if (part === '>') {
      isChild = true;
      continue;
    }
    const [, tag, names = ''] = STEP.exec(part) ?? [];
    if (tag === undefined && names === '') return null;
    const marks = names.match(/[.#][\w-]+/g) ?? [];
    steps.push({
      tag: (tag ?? '*').toLowerCase(),
      classes: marks.filter((name) => name.startsWith('.')).map((name) => name.slice(1)),
      id: marks.find((name) => name.startsWith('#'))?.slice(1) ?? '',
      isChild,
    });
    isChild = false;
  }
  return steps;
}

/** From the innermost part on. Where one fits in several places the innermost is taken. */
function fits(steps: readonly Step[], element: StyledElement, around: readonly StyledElement[]): boolean {
  let [at, step] = [around.length, steps.length - 1];
  if (!isOne(element, steps[step])) return false;
  while (step > 0) {
    const isChild = steps[step]?.isChild === true;
    step--;
    do at--;
    while (!isChild && at >= 0 && !isOne(around[at], steps[step]));
    if (at < 0 || !isOne(around[at], steps[step])) return false;
  }
  return true;
}

function isOne(element: StyledElement | undefined, step: Step | undefined): boolean {
  if (element === undefined || step === undefined) return false;
  if (step.tag !== '*' && step.tag !== element.tag) return false;
  if (step.id !== '' && step.id !== element.id) return false;
  return step.classes.every((name) => element.classes.includes(name));
}
