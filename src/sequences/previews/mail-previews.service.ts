import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { Drafts, type MailPreview, type PreviewWanted } from '../../delivery/preflight/drafts.service.js';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { timeZoneOr } from '../../values/zoned-time.js';
import { offerNow, type RunningVersion } from '../advance/advance-batch.js';
import { isMail, type EmailNode, type SequenceDefinition } from '../steps/definition.js';
import { EnrollmentsService } from '../enrollments/enrollments.service.js';
import { offerExpiry } from '../offers/offer-expiry.js';
import { told } from '../offers/told-offer.js';
import { VersionsService } from '../advance/versions.service.js';

/** The step that sends a mail. */
interface MailStep {
  node: EmailNode;
  sequenceId: string;
  version: RunningVersion;
}

/**
 * A mail as one subscriber would get it at this moment: with the price and the end that the step would promise them, and
 * that the checkout would ask. Writes nothing, so it promises nothing either.
 */
@Injectable()
export class MailPreviews {
  constructor(
    private readonly dataSource: DataSource,
    private readonly versions: VersionsService,
    private readonly enrollments: EnrollmentsService,
    private readonly drafts: Drafts,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Throws as `Drafts.preview` does. */
  async preview(wanted: PreviewWanted): Promise<MailPreview> {
    const step = await this.stepOf(wanted);
    if (step === null) return this.drafts.preview(wanted);
    const known = {
      ...(await this.offerFor(wanted.subscriberId, step)),
      ...(await this.downloadOf(wanted.subscriberId, step)),
    };
    return this.drafts.preview({ ...wanted, funnel: wanted.funnel ?? step.version.funnelKey, known });
  }

  /** That of the funnel, or of the first one that sends the mail; one with an offer before one without. */
  private async stepOf({ template, funnel }: PreviewWanted): Promise<MailStep | null> {
    const sequences: { id: string; versionId: string; definition: SequenceDefinition }[] =
      await this.dataSource.query(
        `select q.id, v.id as "versionId", v.definition from sequence q join sequence_version v on v.id = q.current_version_id
         where $1::text is null or q.funnel_key = $1 order by q.id`,
        [funnel ?? null],
      );
    const found = sequences.flatMap(({ id, versionId, definition }) =>
      definition.nodes
        .filter(isMail)
        .flatMap(withArms)
        .filter(({ templateKey }) => templateKey === template)
        .map((node) => ({ node, id, versionId })),
    );
    const step = found.find(({ node }) => node.offer !== null) ?? found[0];
    if (step === undefined) return null;
    const running = await this.versions.running(this.dataSource.manager, [step]);
    const version = running.get(step.versionId);
    return version === undefined ? null : { node: step.node, sequenceId: step.id, version };
  }

  private async offerFor(
    subscriberId: string,
    { node, version }: MailStep,
  ): Promise<{ offer?: Record<string, unknown> }> {
    if (node.offer === null) return {};
    const now = this.clock.now();
    const people: { timeZone: string | null }[] = await this.dataSource.query(
      'select time_zone as "timeZone" from subscriber where id = $1',
      [subscriberId],
    );
    const timeZone = timeZoneOr(people[0]?.timeZone ?? null, version.sequence.fallbackZone).zone;
    const promised = await this.enrollments.promised(subscriberId, node.offer.slug, now);
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
    subscriberId: string,
    { sequenceId }: MailStep,
  ): Promise<{ download?: Record<string, unknown> }> {
    const rows: { name: string | null }[] = await this.dataSource.query(
      `select data #>> '{download,name}' as name from enrollment where sequence_id = $1 and subscriber_id = $2
       order by id desc limit 1`,
      [sequenceId, subscriberId],
    );
    const name = rows[0]?.name ?? null;
    return name === null ? {} : { download: { name } };
  }
}

/** The step as it is for each arm of its test. */
function withArms(node: EmailNode): EmailNode[] {
  return [node, ...(node.split?.arms ?? []).map((arm) => ({ ...node, ...arm, key: node.key }))];
}
