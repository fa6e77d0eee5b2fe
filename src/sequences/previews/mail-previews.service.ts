import { Inject, Injectable } from '@nestjs/common';
import { decodeHTML } from 'entities';
import { DataSource } from 'typeorm';
import { Drafts, type MailPreview, type PreviewWanted } from '../../delivery/preflight/drafts.service.js';
import { TemplatesService } from '../../delivery/mails/templates.service.js';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { DomainError } from '../../values/domain-error.js';
import { notFound } from '../../values/not-found.js';
import { timeZoneOr } from '../../values/zoned-time.js';
import { offerNow, type RunningVersion } from '../advance/advance-batch.js';
import { isMail, type EmailNode, type SequenceDefinition } from '../steps/definition.js';
import { EnrollmentsService } from '../enrollments/enrollments.service.js';
import { offerExpiry } from '../offers/offer-expiry.js';
import { told } from '../offers/told-offer.js';
import { VersionsService } from '../advance/versions.service.js';

/** A mail that a step sends, as one arm of its test has it. */
interface StepMail {
  node: EmailNode;
  /** Null without a test. */
  arm: string | null;
  /** As it is without a test. */
  step: EmailNode;
  /** All of the test. */
  arms: string[];
  sequenceId: string;
  versionId: string;
}

/** `template`: the first step that sends it. `step`: of the funnel. `arm`: of its split test; the first one without. */
export interface StepPreviewWanted extends Omit<PreviewWanted, 'template'> {
  template?: string | undefined;
  step?: string | undefined;
  arm?: string | undefined;
}

export interface StepPreview extends MailPreview {
  /** Null when no step sends it. */
  step: string | null;
  arm: string | null;
  arms: string[];
}

/**
 * A mail as one subscriber, or a reader who is made up, would get it at this moment: with the price and the end that the step would promise them, and
 * that the checkout would ask. Writes nothing, so it promises nothing either.
 */
@Injectable()
export class MailPreviews {
  constructor(
    private readonly dataSource: DataSource,
    private readonly versions: VersionsService,
    private readonly enrollments: EnrollmentsService,
    private readonly drafts: Drafts,
    private readonly templates: TemplatesService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Throws as `Drafts.preview` does, and `STEP_NOT_FOUND`, `ARM_NOT_FOUND`. */
  async preview(wanted: StepPreviewWanted): Promise<StepPreview> {
    const mail = await this.stepMail(wanted);
    const template = wanted.template ?? mail?.node.templateKey;
    if (template === undefined) throw notFound('step', wanted.step ?? '', 'key');
    const plain = { ...wanted, template };
    const { arm = null, arms = [] } = mail ?? {};
    const step = mail?.node.key ?? null;
    const version =
      mail && (await this.versions.running(this.dataSource.manager, [mail])).get(mail.versionId);
    if (!mail || !version) return { ...(await this.drafts.preview(plain)), step, arm, arms };
    const known = {
      ...(await this.offerFor(wanted.subscriberId, mail.node, version)),
      ...(await this.downloadOf(wanted.subscriberId, mail.sequenceId)),
    };
    const funnel = wanted.funnel ?? version.funnelKey;
    const words = await this.words(mail, wanted.template);
    const shown = await this.drafts.preview({ ...plain, funnel, known, words });
    return { ...shown, step, arm, arms };
  }

  /** Of the funnel, or of the first one that sends the mail; one with an offer before one without. */
  private async stepMail({ template, funnel, step, arm }: StepPreviewWanted): Promise<StepMail | null> {
    const sequences: { sequenceId: string; versionId: string; definition: SequenceDefinition }[] =
      await this.dataSource.query(
        `select q.id as "sequenceId", v.id as "versionId", v.definition
         from sequence q join sequence_version v on v.id = q.current_version_id
         where $1::text is null or q.funnel_key = $1 order by q.id`,
        [funnel ?? null],
      );
    const found = sequences.flatMap(({ definition, ...of }) =>
      definition.nodes
        .filter(isMail)
        .filter(({ key }) => step === undefined || key === step)
        .flatMap((node) => armsOf(node).map((one) => ({ ...one, ...of })))
        .filter(({ node }) => template === undefined || node.templateKey === template),
    );
    if (step !== undefined && found.length === 0) throw notFound('step', step, 'key');
    const asked = found.filter((one) => arm === undefined || one.arm === arm);
    if (arm !== undefined && asked.length === 0) {
      const allowed = [...new Set(found.flatMap((one) => one.arm ?? []))];
      const which = allowed.length === 0 ? 'it has no split test' : `its arms are ${allowed.join(', ')}`;
      throw new DomainError('ARM_NOT_FOUND', `This mail has no arm "${arm}": ${which}`, {
        ...{ field: 'arm', allowed },
      });
    }
    return asked.find(({ node }) => node.offer !== null) ?? asked[0] ?? null;
  }

  /** Those of the file as it stands for who asks for the file; of a step those that it sends, which only the database may have. */
  private async words(
    mail: StepMail,
    template: string | undefined,
  ): ReturnType<TemplatesService['compiled']> {
    const published = async () => this.templates.compiled(mail.node.templateId);
    if (template === undefined) return published();
    return this.templates.compile(template, await this.ownSubject(mail)).catch((error: unknown) => {
      if (error instanceof DomainError && error.code === 'TEMPLATE_NOT_FOUND') return published();
      throw error;
    });
  }

  /**
   * What the arm has in place of the template's, null where it has none. Only its published words tell: they differ from
   * those of the step, or, with a mail of its own, from those of another arm with the same one.
   */
  private async ownSubject({ node, arm, step }: StepMail): Promise<string | null> {
    if (arm === null) return null;
    const same = [step, ...(step.split?.arms ?? [])].filter(
      ({ templateKey }) => templateKey === node.templateKey,
    );
    const subjects = await Promise.all(
      same.map(async ({ templateId }) => (await this.templates.version(templateId)).subject),
    );
    const { subject } = await this.templates.version(node.templateId);
    const plain = step.templateKey === node.templateKey ? [subjects[0]] : subjects;
    return plain.every((one) => one === subject) ? null : decodeHTML(subject);
  }

  private async offerFor(
    subscriberId: string | undefined,
    node: EmailNode,
    version: RunningVersion,
  ): Promise<{ offer?: Record<string, unknown> }> {
    if (node.offer === null) return {};
    const now = this.clock.now();
    const people: { timeZone: string | null }[] = await this.dataSource.query(
      'select time_zone as "timeZone" from subscriber where id = $1',
      [subscriberId ?? null],
    );
    const timeZone = timeZoneOr(people[0]?.timeZone ?? null, version.sequence.fallbackZone).zone;
    const promised =
      subscriberId === undefined ? null : await this.enrollments.promised(subscriberId, node.offer.slug, now);
    const expiresAt = offerExpiry(promised?.until ?? null, node, { now, timeZone });
    const offer = told(offerNow(node.offer, version), {
      promisedPrice: promised?.price ?? null,
      expiresAt,
      now,
    });
    return { offer: { ...offer } };
  }

  /** Its name; the address is a secret of theirs, which is not shown. */
  private async downloadOf(
    subscriberId: string | undefined,
    sequenceId: string,
  ): Promise<{ download?: Record<string, unknown> }> {
    const rows: { name: string | null }[] = await this.dataSource.query(
      `select data #>> '{download,name}' as name from enrollment where sequence_id = $1 and subscriber_id = $2
       order by id desc limit 1`,
      [sequenceId, subscriberId ?? null],
    );
    const name = rows[0]?.name ?? null;
    return name === null ? {} : { download: { name } };
  }
}

/** The step as it is for each arm of its test; as it stands without one. */
function armsOf(step: EmailNode): Pick<StepMail, 'node' | 'arm' | 'step' | 'arms'>[] {
  const all = step.split?.arms ?? [];
  if (all.length === 0) return [{ node: step, arm: null, step, arms: [] }];
  const arms = all.map(({ key }) => key);
  return all.map((arm) => ({ node: { ...step, ...arm, key: step.key }, arm: arm.key, step, arms }));
}
