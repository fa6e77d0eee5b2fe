import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { DraftReader } from '../delivery/preflight/draft-reader.js';
import { Drafts } from '../delivery/preflight/drafts.service.js';
import { type TestMail, TestMails } from '../delivery/preflight/test-mails.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { unmarkLinks } from '../delivery/mails/mail-links.js';
import type { MailTemplate } from '../delivery/mails/mjml.templates.js';
import { TemplatesService } from '../delivery/mails/templates.service.js';
import { DomainError } from '../values/domain-error.js';
import type { EmailAddressParse } from '../values/email-address.js';
import { notFound } from '../values/not-found.js';
import { topicOf, type Broadcast, type BroadcastChoices, type BroadcastPreview } from './broadcast.js';
import { begunAt, dataOf } from './broadcast-batch.js';
import type { Before, FrozenOffer } from './broadcast-offer.js';
import { checkOffers, promisedAbout } from './broadcast-offers.queries.js';
import { BroadcastsQueries } from './broadcasts.queries.js';
import { armOfRest, mailsOf, waitingVersion, waitingWords } from './rewording.js';
import { armKey, REST, wordsOf } from './split.js';

const NOBODY: DraftReader = { email: 'reader@example.com', name: 'Grace Hopper', fields: {} };
/** More segments than this are chosen by their keys, over the API. */
const MAX_CHOICES = 200;

/** What the owner sees of a broadcast: before it is sent as it would be sent now, and then as it was. Changes nothing. */
@Injectable()
export class BroadcastPreviews {
  constructor(
    private readonly dataSource: DataSource,
    private readonly queries: BroadcastsQueries,
    private readonly templates: TemplatesService,
    private readonly drafts: Drafts,
    private readonly tests: TestMails,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  async choices(): Promise<BroadcastChoices> {
    const named = async (table: 'segment' | 'funnel'): Promise<{ key: string; title: string }[]> =>
      this.dataSource.query(`select key, title from ${table} order by title, key limit ${MAX_CHOICES}`);
    const last: Pick<BroadcastChoices, 'sender'>[] = await this.dataSource.query(
      'select sender from broadcast order by id desc limit 1',
    );
    return {
      mails: await this.templates.marketingMails(),
      segments: await named('segment'),
      funnels: await named('funnel'),
      offers: await this.dataSource.query(
        `select slug as key, content ->> 'title' as title from offer where archived_at is null order by slug limit ${MAX_CHOICES}`,
      ),
      sender: last[0]?.sender ?? (await this.drafts.senderOf(undefined)).sender,
    };
  }

  /**
   * The mail of an arm (0 without a test; behind the last arm that of the rest, where that has other words) as the first of its
   * readers would get it. Throws what rendering throws.
   */
  async preview(broadcast: Broadcast, arm: number): Promise<BroadcastPreview> {
    const words = mailsOf(broadcast);
    const place = words[arm] ? arm : 0;
    const { offer } = words[place] ?? broadcast;
    const offerPlace = place < wordsOf(broadcast).length ? place : (armOfRest(broadcast) ?? 0);
    // Once it has begun, nothing that is sold now changes what its mails have said.
    const offers =
      broadcast.startedAt === null ? await checkOffers(this.dataSource.manager, broadcast) : broadcast.offers;
    const reader = await this.firstReader(broadcast);
    const before =
      broadcast.startedAt === null && reader !== null
        ? await this.before(offers?.find((one) => one.place === offerPlace) ?? null, reader.id)
        : { promised: null, at: begunAt(broadcast) };
    const titles: { title: string }[] = await this.dataSource.query(
      'select title from funnel where key = $1',
      [topicOf(broadcast)],
    );
    const mail = await this.drafts.render(
      {
        template: await this.words(broadcast, place),
        ...{ kind: offer ? 'offer' : 'sequence', sender: broadcast.sender },
        data: dataOf({ offers }, offerPlace, before),
        funnelTitle: titles[0]?.title ?? '',
      },
      reader ?? NOBODY,
      false,
    );
    const { subject, html, text } = mail;
    return { subject, html, text, reader: reader?.email ?? null, readerId: reader?.id ?? null };
  }

  /**
   * Sends what `preview` shows to an address of the owner. `arm` is a letter, or `rest`. Throws `BROADCAST_NOT_FOUND`, `ARM_NOT_FOUND`
   * and what `preview` throws.
   */
  async test(
    id: string,
    { to, arm = 'a' }: { to: Extract<EmailAddressParse, { ok: true }>; arm?: string | undefined },
  ): Promise<TestMail> {
    const broadcast = await this.queries.find(id);
    if (!broadcast) throw notFound('broadcast', id);
    const arms = wordsOf(broadcast).length;
    const allowed = mailsOf(broadcast).map((_, place) => (place < arms ? armKey(place) : REST));
    if (!allowed.includes(arm))
      throw new DomainError('ARM_NOT_FOUND', `This broadcast has no arm "${arm}"`, { field: 'arm', allowed });
    const mail = await this.preview(broadcast, allowed.indexOf(arm));
    const { sender } = broadcast;
    return this.tests.send(mail, { to, sender, funnelKey: topicOf(broadcast), readerId: mail.readerId });
  }

  /** Whether its mail says something else by now than its readers get: it was mended, and not taken over. */
  async isWrittenAnew(broadcast: Broadcast): Promise<boolean> {
    const { template, subject } = waitingWords(broadcast);
    const [stored, now] = await Promise.all([
      this.templates.compiled(waitingVersion(broadcast)),
      this.templates.compile(template, subject).catch(asRefused),
    ]);
    // Of a mail that is gone, or cannot be made any more, nothing is there to take over.
    if (now === null) return false;
    return stored.subject !== now.subject || stored.html !== now.html || stored.text !== now.text;
  }

  /** A draft has those of its mail as it is now; a start freezes them. */
  private async words(broadcast: Broadcast, place: number): Promise<MailTemplate> {
    if (broadcast.state === 'draft') {
      const { template, subject } = wordsOf(broadcast)[place] ?? broadcast;
      return this.templates.compile(template, subject);
    }
    const version = await this.templates.version(
      broadcast.armTemplateIds?.[place] ?? waitingVersion(broadcast),
    );
    return { ...version, html: unmarkLinks(version.html) };
  }

  /** What earlier mails have promised this reader, who would be told no less. */
  private async before(offer: FrozenOffer | null, readerId: string): Promise<Before> {
    const at = this.clock.now();
    if (offer === null) return { promised: null, at };
    const readers = { subscriberIds: [readerId], now: at };
    const promised = await promisedAbout(this.dataSource.manager, [offer], readers);
    return { promised: promised.get(offer.snapshot.slug)?.get(readerId) ?? null, at };
  }

  private async firstReader({ audience }: Broadcast): Promise<(DraftReader & { id: string }) | null> {
    const { text, parameters } = await this.queries.conditionNow(audience);
    const rows: (DraftReader & { id: string })[] = await this.dataSource.query(
      `select s.id, s.email, s.name, s.fields from subscriber s where ${text} order by s.id limit 1`,
      parameters,
    );
    return rows[0] ?? null;
  }
}

function asRefused(error: unknown): null {
  if (error instanceof DomainError) return null;
  throw error;
}
