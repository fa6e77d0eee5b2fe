import { isDeepStrictEqual } from 'node:util';
import { Inject, Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { TemplatesService } from '../../delivery/mails/templates.service.js';
import { AudienceValues } from '../../delivery/preflight/audience-values.service.js';
import type { PreflightFinding } from '../../delivery/preflight/mail-checks.js';
import { LINK_FAULT } from '../../delivery/preflight/reader-fault.js';
import { sampleData } from '../../delivery/mails/sample-data.js';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { CONFIG, type Config } from '../../infra/config.js';
import type { FunnelParts } from '../publish/funnel-publisher.service.js';
import { hiddenDutyOf, mailsOf } from './funnel-sources.service.js';
import { FunnelStore, type StoredFunnel } from '../funnel-store.service.js';
import { inTemplateFolder } from './funnel-templates.files.js';
import type { FunnelTemplates } from './funnel-templates.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import type { DefinitionProblem } from '../lint/rules.js';
import { dataOf } from './step-data.js';
import { stepMails } from '../schemas/step.schemas.js';

/**
 * Left for trying mails, of all funnels of one change together: other changes of funnels wait meanwhile. Only trying takes
 * of it: reading dozens of mails may last longer than all of it.
 */
export interface TimeToTry {
  leftMs: number;
}

const TRIED_FOR_MS = 10_000;
const MOST_VALUES = 2_000;
const WORDS = {
  breaks: 'may break',
  beyond: 'should another one break the mail, an alert tells of it',
} as const;

type StepMail = ReturnType<typeof stepMails>[number];

/** The mails of a funnel as those who are in it would get them. */
@Injectable()
export class FunnelMails {
  /** For each change. A test whose machine may be slow gives it more. */
  triedForMs = TRIED_FOR_MS;

  constructor(
    private readonly store: FunnelStore,
    private readonly templates: TemplatesService,
    private readonly values: AudienceValues,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** What mails as they were then hide, though it must be shown. */
  async hiddenDuties(
    definition: FunnelDefinition,
    mails: FunnelParts['mails'],
  ): Promise<DefinitionProblem[]> {
    const problems: DefinitionProblem[] = [];
    for (const { name, path } of mailsOf(definition)) {
      const id = mails[name];
      if (id === undefined) continue;
      const message = hiddenDutyOf(definition, name, await this.templates.compiled(id));
      if (message !== null) problems.push({ rule: 'hidden-duty', path, message });
    }
    return problems;
  }

  /**
   * What of those who are in the funnel now may break its new and changed mails: one value of each kind is tried for as long
   * as there is `time`, on the connection of the change. What lies beyond is said. Refuses nothing: a branch may keep a reader from the
   * mail, a step before it may set what they lack, or they may be past it. A mail that does break does not leave, and
   * `UnmadeMails` tells of it. Mails that run already are not looked at: nobody wants to hear of them with each change.
   */
  async brokenForReaders(
    manager: EntityManager,
    definition: FunnelDefinition,
    { texts, hashes }: FunnelTemplates,
    time: TimeToTry,
  ): Promise<DefinitionProblem[]> {
    // Not where a file is only looked through.
    if (manager.queryRunner?.isTransactionActive !== true) return [];
    const stored = await this.store.find(manager, definition.funnel);
    if (stored === null) return [];
    const changed = changedMails(definition, hashes, stored);
    if (changed.length === 0) return [];
    const sinceMs = performance.now();
    const untilMs = sinceMs + time.leftMs;
    return inTemplateFolder(texts, async (folder) => {
      const problems: DefinitionProblem[] = [];
      for (const mail of changed) {
        const found = await this.tried(manager, definition, { mail, folder, untilMs });
        problems.push(...found.map((finding) => problemOf(mail, finding)));
      }
      time.leftMs -= performance.now() - sinceMs;
      return problems;
    });
  }

  private async tried(
    manager: EntityManager,
    definition: FunnelDefinition,
    { mail: { step, subject }, folder, untilMs }: { mail: StepMail; folder: string; untilMs: number },
  ): Promise<PreflightFinding[]> {
    const kind = step.offer === undefined ? 'sequence' : 'offer';
    const now = this.clock.now();
    const mail = {
      ...({ template: step.email, folder, subject: subject ?? null, kind } as const),
      ...{ sender: definition.sender, funnelTitle: definition.title },
      data: dataOf(definition, sampleData(kind, this.config.baseUrl, now), step, now),
      readers: {
        // From the enrollments of one sequence to their people, by primary key.
        condition: {
          text: `s.status = 'active' and s.id in (select e.subscriber_id from enrollment e
            join sequence q on q.id = e.sequence_id where q.funnel_key = $1 and e.status = 'active')`,
          parameters: [definition.funnel],
        },
        words: 'people in the funnel',
        funnelKey: definition.funnel,
      },
    };
    return this.values.faults(mail, { untilMs, most: MOST_VALUES, ...WORDS, within: manager });
  }
}

/** Each once, though several steps may send it. */
function changedMails(
  definition: FunnelDefinition,
  hashes: FunnelTemplates['hashes'],
  { state }: StoredFunnel,
): StepMail[] {
  const keyOf = ({ step, subject }: StepMail): string => JSON.stringify([step.email, subject, step.offer]);
  const before = new Set(stepMails(state.definition.sequence.steps).map(keyOf));
  const changed = stepMails(definition.sequence.steps).filter(
    (mail) =>
      !before.has(keyOf(mail)) ||
      !isDeepStrictEqual(hashes[mail.step.email], state.templates?.[mail.step.email]),
  );
  return [...new Map(changed.map((mail) => [keyOf(mail), mail])).values()];
}

/** Whose link leads nowhere gets the mail without it. */
function problemOf(
  { path, subject }: StepMail,
  { level, message, file, line }: PreflightFinding,
): DefinitionProblem {
  const place = file === undefined ? '' : `${file}${line === undefined ? '' : `:${line}`}: `;
  const isBroken = level === 'fail' && !message.endsWith(LINK_FAULT.reason);
  return {
    rule: isBroken ? 'reader-value' : 'reader-doubt',
    path: [...path, subject === undefined ? 'email' : 'subject'],
    message: `${place}${message}`,
  };
}
