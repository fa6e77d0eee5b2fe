import { Inject, Injectable } from '@nestjs/common';
import { EVERYBODY } from '../../delivery/preflight/audience.queries.js';
import { PreflightService, type PreflightReport } from '../../delivery/preflight/preflight.service.js';
import { sampleData } from '../../delivery/mails/sample-data.js';
import type { PreflightFinding } from '../../delivery/preflight/mail-checks.js';
import type { MailKind } from '../../delivery/mails/template-variables.js';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { CONFIG, type Config } from '../../infra/config.js';
import { inTemplateFolder } from './funnel-templates.files.js';
import { mailsOf } from './funnel-sources.service.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import { dataOf } from './step-data.js';
import { stepMails, type FunnelEmailStep } from '../schemas/step.schemas.js';
import { FunnelsService } from '../funnels.service.js';

export interface FunnelPreflight {
  funnel: string;
  ok: boolean;
  mails: PreflightReport[];
  /** What the DNS says of the sender's domain, where it is not good. */
  sender: PreflightFinding[];
}

/** Every mail of an applied funnel, checked with what the funnel really gives it. */
@Injectable()
export class FunnelPreflightService {
  constructor(
    private readonly funnels: FunnelsService,
    private readonly preflight: PreflightService,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Throws `FUNNEL_NOT_FOUND`. */
  async check(key: string): Promise<FunnelPreflight> {
    const { definition } = await this.funnels.get(key);
    const sender = this.preflight.checkSender(definition.sender.email);
    const texts = await this.funnels.keptTexts(key);
    const checkAll = async (folder?: string): Promise<PreflightReport[]> =>
      this.checkMails(definition, folder);
    const mails = await (texts === undefined ? checkAll() : inTemplateFolder(texts, checkAll));
    const findings = await sender;
    const ok = mails.every((mail) => mail.ok) && findings.every(({ level }) => level !== 'fail');
    return { funnel: key, ok, mails, sender: findings };
  }

  /** `folder`: of the templates as they are kept with the funnel. */
  private async checkMails(definition: FunnelDefinition, folder?: string): Promise<PreflightReport[]> {
    const mails: PreflightReport[] = [];
    for (const { name, kind, step, subject } of distinctMails(definition)) {
      const now = this.clock.now();
      const sample = sampleData(kind, this.config.baseUrl, now);
      const report = await this.preflight.check({
        template: name,
        folder,
        subject: subject ?? null,
        kind,
        sender: definition.sender,
        funnelTitle: definition.title,
        data: dataOf(definition, sample, step, now),
        readers: { ...EVERYBODY, funnelKey: definition.funnel },
      });
      mails.push(subject === undefined ? report : ofSubject(subject, report));
    }
    return mails;
  }
}

interface FunnelMail {
  name: string;
  kind: MailKind;
  /** The step that sends it, if one does. */
  step: FunnelEmailStep | undefined;
  /** An arm's own, in place of the template's. */
  subject: string | undefined;
}

/** The findings say which of the subjects that a template is mailed with they are about. */
function ofSubject(subject: string, report: PreflightReport): PreflightReport {
  const findings = report.findings.map((finding) => ({
    ...finding,
    message: `with the subject "${subject}": ${finding.message}`,
  }));
  return { ...report, findings };
}

/** A template that several steps use is one mail, unless they offer different things or have other subjects. */
function distinctMails(definition: FunnelDefinition): FunnelMail[] {
  const sent = stepMails(definition.sequence.steps).map(({ step, subject }): FunnelMail => ({
    name: step.email,
    kind: step.offer === undefined ? 'sequence' : 'offer',
    step,
    subject,
  }));
  const others = mailsOf(definition)
    .filter(({ kind }) => kind === 'confirmation' || kind === 'receipt')
    .map(({ name, kind }): FunnelMail => ({ name, kind, step: undefined, subject: undefined }));
  const keyOf = ({ name, kind, step, subject = '' }: FunnelMail): string =>
    `${name} ${kind} ${step?.offer ?? ''} ${subject}`;
  return [...new Map([...others, ...sent].map((mail) => [keyOf(mail), mail])).values()];
}
