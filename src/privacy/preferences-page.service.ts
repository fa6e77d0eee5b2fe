import { Injectable } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { PageRenderer } from '../infra/http/page-renderer.js';
import { sendPrivatePage } from '../infra/http/send-page.js';
import { UNKNOWN_LINKS } from '../signup/unknown-links.js';
import type { Subscriber } from '../subscribers/subscriber.js';
import { maskEmailAddress } from '../values/email-address.js';
import { ADDRESS_LINK_HOURS } from './address-links.service.js';
import { DATA_LINK_MINUTES, DataRequestService } from './data-request.service.js';
import { ListChoicesService } from './list-choices.service.js';
import { footerOf, listWords, PAUSE_DAYS, standingOf, TRACKING_WORDS, topicWords } from './preferences.js';
import { PreferencesService } from './preferences.service.js';

type Notice =
  | 'saved'
  | 'left'
  | 'mailed'
  | 'erase-mailed'
  | 'unmailable'
  | 'paused'
  | 'resumed'
  | 'address-asked'
  | 'address-same'
  | 'address-often'
  | 'address-held'
  | null;

/** What the page shows beside how the person stands. */
interface Shown {
  token: string;
  person: Subscriber;
  notice: Notice;
  /** What was typed as a new address, and what is wrong with it. */
  address?: { typed: string; problem?: string };
}

const NOTHING = 'Nothing to show';
const UNKNOWN = {
  not_ours: { status: 404, heading: NOTHING, message: 'Please open the link from the mail again, whole.' },
  gone: { status: 410, heading: NOTHING, message: 'Nothing is kept about you any more.' },
  lost: { status: 404, ...UNKNOWN_LINKS.lost },
} as const;

/** The page of preferences itself: what can be chosen there, and how it stands. */
@Injectable()
export class PreferencesPage {
  constructor(
    private readonly preferences: PreferencesService,
    private readonly requests: DataRequestService,
    private readonly lists: ListChoicesService,
    private readonly pages: PageRenderer,
  ) {}

  /** Nothing is read for that page: the database may be away. */
  async leavingKept(reply: FastifyReply): Promise<void> {
    sendPrivatePage(reply, 200, await this.pages.render('pages/unsubscribed', { isKept: true }));
  }

  /** How it stands now that it is done. */
  async after(reply: FastifyReply, token: string, notice: Notice): Promise<void> {
    const person = await this.known(token, reply);
    if (person) await this.show(reply, { token, person, notice });
  }

  async show(reply: FastifyReply, { token, person, notice, address }: Shown): Promise<void> {
    const action = `/preferences/${token}`;
    const topics = await this.preferences.topicsOf(person.id);
    const lists = await this.lists.of(person.id);
    const view = {
      action,
      leaveAction: `${action}/leave`,
      pauseAction: `${action}/pause`,
      resumeAction: `${action}/resume`,
      pauseDays: PAUSE_DAYS,
      pausedUntil: person.pausedUntil,
      exportAction: `${action}/export`,
      eraseAction: `${action}/erase`,
      addressMasked: maskEmailAddress(person.email),
      linkGoesTo: maskEmailAddress((await this.requests.addressFor(person)).email),
      addressAction: `${action}/address`,
      mayMove: person.status !== 'complained',
      address: address ?? {},
      addressHours: ADDRESS_LINK_HOURS,
      standing: standingOf(person.status, await this.requests.blockOf(person)),
      mayLeave: person.status === 'active' || person.status === 'pending',
      topics: topics.map((topic) => ({ ...topic, words: topicWords(topic.title) })),
      lists: lists.map((list) => ({ ...list, words: listWords(list.title) })),
      trackingConsent: person.trackingConsent,
      trackingWords: TRACKING_WORDS,
      minutes: DATA_LINK_MINUTES,
      notice: notice ?? '',
      ...footerOf(await this.senderName(token, person)),
    };
    const status = address?.problem === undefined ? 200 : 422;
    sendPrivatePage(reply, status, await this.pages.render('pages/preferences', view));
  }

  /** Of the mail with the link, else of whoever wrote to them last. */
  private async senderName(token: string, { id }: Subscriber): Promise<string | null> {
    return (await this.preferences.senderName(token)) ?? (await this.requests.senderName(id));
  }

  /** Who holds the link; null when the page that says why not is on its way. */
  async known(token: string, reply: FastifyReply): Promise<Subscriber | null> {
    const person = await this.preferences.person(token);
    if (person !== null && typeof person === 'object') return person;
    const { status, ...words } = UNKNOWN[person ?? 'not_ours'];
    sendPrivatePage(
      reply,
      status,
      await this.pages.render('pages/error', {
        ...words,
        ...footerOf(await this.preferences.senderName(token)),
      }),
    );
    return null;
  }
}
