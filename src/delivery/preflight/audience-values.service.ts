import { Inject, Injectable } from '@nestjs/common';
import { QueryFailedError, type EntityManager } from 'typeorm';
import { CONFIG, type Config } from '../../infra/config.js';
import type { MailTemplate } from '../mails/mjml.templates.js';
import type { MailKind } from '../mails/template-variables.js';
import { TemplatesService } from '../mails/templates.service.js';
import {
  AudienceQueries,
  eachValue,
  hasKinds,
  kindsOfValues,
  valueSql,
  type Grouping,
  type Readers,
  type ValueReader,
} from './audience.queries.js';
import { Drafts } from './drafts.service.js';
import { linksOf, type PreflightFinding } from './mail-checks.js';
import type { MailToCheck } from './preflight.service.js';
import { culpritOf, faultOfError, LINK_FAULT, withoutValues, type ReaderFault } from './reader-fault.js';
import { plainUses } from './value-uses.templates.js';
import { lineOfVariable, variablesOf } from './variables.templates.js';

export type TriedMail = MailToCheck & {
  /** The words that were frozen; left out: as they are in its file now. */
  templateId?: string | undefined;
  kind: MailKind;
  data: Record<string, unknown>;
  readers: Readers;
};

interface Bounds {
  /** On the clock of `performance.now`: what is not tried by then is said not to be. */
  untilMs: number;
  /** Values of one variable. */
  most?: number;
  /** Ends the trial early; what it has found by then says nothing. */
  signal?: AbortSignal | undefined;
  /** Whether a reader who is found gets the mail for sure. */
  breaks?: 'breaks' | 'may break';
  /** What becomes of values that lie beyond the bounds. */
  beyond?: string;
  within?: EntityManager;
}

interface Trial {
  variables: readonly string[];
  readers: Readers;
  /** What is wrong with the mail of this reader; null when nothing is. */
  faultOf: (reader: ValueReader) => Promise<ReaderFault | null>;
  /** A link is bad whatever readers have: that is found without them. */
  linksAreBad: boolean;
}

interface Fault {
  variable: string;
  reader: ValueReader;
  reason: string;
}

/** What the values of some variables came to. */
interface Tried {
  count: number;
  all: boolean;
  faults: Fault[];
}

/** One look at the readers. */
interface Pass {
  variables: string[];
  grouping: Grouping;
  isOfKinds: boolean;
}

const MOST_VALUES = 50_000;
const BEYOND = 'should another one break the mail, the broadcast pauses after a few';
/** Others wait no longer than this for the process. */
const BUSY_MS = 10;
const TOO_LONG = '57014';

/**
 * Makes a mail with what its readers have in the variables that it uses, each value once, before the first one leaves. A
 * mail is made as its reader would get it, so a fault found here is one of theirs. What lies beyond the bounds is said;
 * `UnmadeMails` stands behind it.
 */
@Injectable()
export class AudienceValues {
  constructor(
    private readonly audience: AudienceQueries,
    private readonly templates: TemplatesService,
    private readonly drafts: Drafts,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /**
   * At most one fault for each variable, and one word about all that was not tried. Names no value and no address. Throws what compiling throws. `within`: a transaction
   * to read in, which must hold few people; its mail lies in a folder, as those of the web app are read on a connection of
   * their own.
   */
  async faults(mail: TriedMail, bounds: Bounds): Promise<PreflightFinding[]> {
    const { untilMs, most = MOST_VALUES, breaks = 'breaks', beyond = BEYOND } = bounds;
    const template = await (mail.templateId === undefined
      ? this.templates.compile(mail.template, mail.subject, mail.folder)
      : this.templates.compiled(mail.templateId));
    const used = variablesOf(`${template.subject}\n${template.html}\n${template.text}`);
    const variables = used.filter((name) => valueSql(name) !== null);
    const trial = {
      variables,
      readers: mail.readers,
      faultOf: this.trying({ ...mail, template }),
      linksAreBad: false,
    };
    const findings = new Map<string, PreflightFinding>();
    const untried = new Map<string, number>();
    const passes = passesOf(template, variables, mail);
    for (const [nth, pass] of passes.entries()) {
      const left = (untilMs - performance.now()) / (passes.length - nth);
      const tried = await this.tryOut(pass, trial, { ...bounds, untilMs: performance.now() + left, most });
      for (const fault of tried.faults) {
        const message = `{{ ${fault.variable} }} ${breaks} it for some readers, such as subscriber ${fault.reader.id}: ${fault.reason}`;
        const subscribers = [fault.reader.id];
        findings.set(fault.variable, { check: 'audience', level: 'fail', message, subscribers });
      }
      for (const variable of tried.all ? [] : pass.variables) untried.set(variable, tried.count);
    }
    for (const variable of findings.keys()) untried.delete(variable);
    const [first] = untried.keys();
    if (first !== undefined)
      findings.set(first, {
        check: 'audience',
        level: 'unknown',
        message: `${untriedInWords(untried)}; ${beyond}`,
      });
    const placed = [...findings].map(async ([variable, finding]) => {
      const line = lineOfVariable(template.source, variable);
      return { ...finding, ...(await this.templates.placeOf(mail, { source: template.source, line })) };
    });
    return Promise.all(placed);
  }

  private trying({
    template,
    kind,
    sender,
    funnelTitle,
    data,
  }: Omit<TriedMail, 'template'> & {
    template: Awaited<ReturnType<TemplatesService['compile']>>;
  }): Trial['faultOf'] {
    const fill = this.drafts.filler({ template, kind, sender, funnelTitle, data }, { isJudged: true });
    const ownOrigin = new URL(this.config.baseUrl).origin;
    return async (reader) => {
      try {
        const { html, leftOut } = await fill(reader, false);
        return linksOf(html, ownOrigin, leftOut).findings.some(({ level }) => level === 'fail')
          ? LINK_FAULT
          : null;
      } catch (error) {
        return faultOfError(error, reader);
      }
    };
  }

  private async tryOut(
    { variables, grouping, isOfKinds }: Pass,
    trial: Trial,
    { untilMs, most, signal, within }: Bounds & { most: number },
  ): Promise<Tried> {
    let count = 0;
    const faults = new Map<string, Fault>();
    const tried = (all: boolean): Tried => ({ count, all, faults: [...faults.values()] });
    const isOver = (): boolean => performance.now() > untilMs || signal?.aborted === true;
    if (isOver()) return tried(false);
    const bounds = { most: most + 1, untilMs };
    const { readers: of } = trial;
    try {
      let busySinceMs = performance.now();
      for await (const readers of within === undefined
        ? this.audience.byValue(grouping, of, bounds)
        : this.audience.byValueWithin(within, grouping, { readers: of, ...bounds }))
        for (const reader of readers) {
          if (count >= most || isOver()) return tried(false);
          if (performance.now() - busySinceMs > BUSY_MS) {
            await new Promise(setImmediate);
            busySinceMs = performance.now();
          }
          count++;
          const fault = await faultAt(variables, reader, trial);
          if (fault === null || faults.has(fault.variable)) continue;
          faults.set(fault.variable, fault);
          if (!isOfKinds || faults.size >= variables.length) return tried(true);
        }
      return tried(true);
    } catch (error) {
      const code = error instanceof QueryFailedError && (error.driverError as { code?: string }).code;
      if (code === TOO_LONG) return tried(false);
      throw error;
    }
  }
}

/** By how many of each one's values were tried. */
function untriedInWords(untried: ReadonlyMap<string, number>): string {
  const counts = [...new Set(untried.values())].map((count) => {
    const names = [...untried.keys()].filter((name) => untried.get(name) === count);
    return `the first ${count.toLocaleString('en')} values of ${names.map((name) => `{{ ${name} }}`).join(', ')}`;
  });
  return `only ${counts.join(' and ')} were tried`;
}

/** Most variables are tried by the kinds of their values, all at once, and then each of the others by its values. */
function passesOf(
  template: MailTemplate,
  variables: readonly string[],
  { readers, sender }: TriedMail,
): Pass[] {
  const plain = plainUses(template, sender.postalAddress);
  const uses = new Map([...plain].filter(([name]) => variables.includes(name) && hasKinds(name)));
  const grouping = kindsOfValues(uses, readers.condition.parameters.length);
  const kinds = uses.size === 0 ? [] : [{ variables: [...uses.keys()], grouping, isOfKinds: true }];
  const others = variables.flatMap((name): Pass[] => {
    const each = uses.has(name) ? null : eachValue(name);
    return each === null ? [] : [{ variables: [name], grouping: each, isOfKinds: false }];
  });
  return [...kinds, ...others];
}

/** `tried`: the variables that are in question first. */
async function faultAt(tried: readonly string[], reader: ValueReader, trial: Trial): Promise<Fault | null> {
  const { variables, faultOf, linksAreBad } = trial;
  const first = await faultOf(reader);
  if (first === null || (first === LINK_FAULT && linksAreBad)) return null;
  // Liquid's limit of time may be the machine's load, once.
  const fault = await faultOf(reader);
  if (fault === null) return null;
  if (fault === LINK_FAULT && (await faultOf(withoutValues(reader, variables))) === LINK_FAULT) {
    trial.linksAreBad = true;
    return null;
  }
  const others = variables.filter((name) => !tried.includes(name));
  const culprit = await culpritOf(reader, [...tried, ...others], faultOf);
  return { variable: culprit ?? tried[0] ?? '', reader, reason: fault.reason };
}
