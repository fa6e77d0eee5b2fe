import { Inject, Injectable } from '@nestjs/common';
import { QueryFailedError } from 'typeorm';
import { CONFIG, type Config } from '../../infra/config.js';
import type { MailKind } from '../mails/template-variables.js';
import { TemplatesService } from '../mails/templates.service.js';
import { AudienceQueries, valueSql, type Readers, type ValueReader } from './audience.queries.js';
import { Drafts } from './drafts.service.js';
import { linksOf, type PreflightFinding } from './mail-checks.js';
import type { MailToCheck } from './preflight.service.js';
import { culpritOf, faultOfError, LINK_FAULT, withoutValues, type ReaderFault } from './reader-fault.js';
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
  signal?: AbortSignal;
  /** What becomes of values that lie beyond the bounds. */
  beyond?: string;
}

interface Trial {
  variables: readonly string[];
  readers: Readers;
  /** What is wrong with the mail of this reader; null when nothing is. */
  faultOf: (reader: ValueReader) => Promise<ReaderFault | null>;
  /** A link is bad whatever readers have: that is found without them. */
  linksAreBad: boolean;
}

/** What one variable's values came to. */
interface Tried {
  count: number;
  all: boolean;
  fault: { variable: string; reader: ValueReader; reason: string } | null;
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

  /** At most one fault for each variable. Names no value and no address. Throws what compiling throws. */
  async faults(mail: TriedMail, bounds: Bounds): Promise<PreflightFinding[]> {
    const { untilMs, most = MOST_VALUES, signal, beyond = BEYOND } = bounds;
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
    for (const [nth, variable] of variables.entries()) {
      const left = (untilMs - performance.now()) / (variables.length - nth);
      const tried = await this.tryOut(variable, trial, { untilMs: performance.now() + left, most, signal });
      const { fault } = tried;
      const about = fault?.variable ?? variable;
      const line = lineOfVariable(template.source, about);
      const place = await this.templates.placeOf(mail, { source: template.source, line });
      if (fault !== null) {
        const message = `{{ ${about} }} breaks it for some readers, such as subscriber ${fault.reader.id}: ${fault.reason}`;
        const subscribers = [fault.reader.id];
        findings.set(about, { check: 'audience', level: 'fail', message, ...place, subscribers });
      } else if (!tried.all && !findings.has(variable)) {
        const message = `only the first ${tried.count.toLocaleString('en')} values of {{ ${variable} }} were tried; ${beyond}`;
        findings.set(variable, { check: 'audience', level: 'unknown', message, ...place });
      }
    }
    return [...findings.values()];
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
    variable: string,
    trial: Trial,
    { untilMs, most, signal }: { untilMs: number; most: number; signal: AbortSignal | undefined },
  ): Promise<Tried> {
    let count = 0;
    const tried = (all: boolean, fault: Tried['fault'] = null): Tried => ({ count, all, fault });
    const isOver = (): boolean => performance.now() > untilMs || signal?.aborted === true;
    if (isOver()) return tried(false);
    try {
      let busySinceMs = performance.now();
      const value = valueSql(variable) ?? 'null';
      for await (const readers of this.audience.byValue(value, trial.readers, { most: most + 1, untilMs }))
        for (const reader of readers) {
          if (count >= most || isOver()) return tried(false);
          if (performance.now() - busySinceMs > BUSY_MS) {
            await new Promise(setImmediate);
            busySinceMs = performance.now();
          }
          count++;
          const fault = await faultAt(variable, reader, trial);
          if (fault !== null) return tried(true, fault);
        }
      return tried(true);
    } catch (error) {
      const code = error instanceof QueryFailedError && (error.driverError as { code?: string }).code;
      if (code === TOO_LONG) return tried(false);
      throw error;
    }
  }
}

async function faultAt(variable: string, reader: ValueReader, trial: Trial): Promise<Tried['fault']> {
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
  const others = variables.filter((name) => name !== variable);
  const culprit = await culpritOf(reader, [variable, ...others], faultOf);
  return { variable: culprit ?? variable, reader, reason: fault.reason };
}
