import { Body, Controller, Get, Param, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { MessagesService } from '../delivery/planning/messages.service.js';
import { PageRenderer } from '../infra/http/page-renderer.js';
import { sendPrivatePage } from '../infra/http/send-page.js';
import { UNKNOWN_LINKS } from '../signup/unknown-links.js';
import type { Subscriber } from '../subscribers/subscriber.js';
import { maskEmailAddress } from '../values/email-address.js';
import { DATA_LINK_MINUTES, DataRequestService } from './data-request.service.js';
import { ListChoicesService } from './list-choices.service.js';
import {
  footerOf,
  listWords,
  PAUSE_DAYS,
  readPauseForm,
  readPreferencesForm,
  standingOf,
  TRACKING_WORDS,
  topicWords,
} from './preferences.js';
import { PausesService } from './pauses.service.js';
import { PreferencesService } from './preferences.service.js';

const anything = z.unknown();

type Notice = 'saved' | 'left' | 'mailed' | 'erase-mailed' | 'unmailable' | 'paused' | 'resumed' | null;

const NOTHING = 'Nothing to show';
const UNKNOWN = {
  not_ours: { status: 404, heading: NOTHING, message: 'Please open the link from the mail again, whole.' },
  gone: { status: 410, heading: NOTHING, message: 'Nothing is kept about you any more.' },
  lost: { status: 404, ...UNKNOWN_LINKS.lost },
} as const;

/** What I get, whether I am counted, my data, forget me. GET shows, POST changes; the address is shown masked. */
@Controller('preferences')
export class PreferencesController {
  constructor(
    private readonly preferences: PreferencesService,
    private readonly requests: DataRequestService,
    private readonly pauses: PausesService,
    private readonly pages: PageRenderer,
    private readonly lists: ListChoicesService,
    private readonly messages: MessagesService,
  ) {}

  @Get(':token')
  async show(@Param('token') token: string, @Res() reply: FastifyReply): Promise<void> {
    const messageId = await this.preferences.mailOf(token);
    if (messageId !== null) await this.messages.linkUsed(messageId);
    const person = await this.known(token, reply);
    if (person) await this.page(reply, { token, person, notice: null });
  }

  @Post(':token')
  async save(
    @Param('token') token: string,
    @Body({ schema: anything }) body: unknown,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const person = await this.known(token, reply);
    if (!person) return;
    const form = readPreferencesForm(body);
    const where = { ip: request.ip, userAgent: request.headers['user-agent'] ?? '' };
    if (form !== null) {
      await this.preferences.save(person.id, form, where);
      await this.lists.save(person.id, form, where);
    }
    await this.after(reply, token, form === null ? null : 'saved');
  }

  @Post(':token/leave')
  async leave(@Param('token') token: string, @Res() reply: FastifyReply): Promise<void> {
    const { kind } = await this.preferences.leave(token);
    // Nothing is read for that page: the database may be away.
    if (kind === 'kept')
      return sendPrivatePage(reply, 200, await this.pages.render('pages/unsubscribed', { isKept: true }));
    await this.after(reply, token, 'left');
  }

  @Post(':token/pause')
  async pause(
    @Param('token') token: string,
    @Body({ schema: anything }) body: unknown,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const person = await this.known(token, reply);
    if (!person) return;
    const days = readPauseForm(body);
    if (days !== null) await this.pauses.begin(person.id, days);
    await this.after(reply, token, days === null ? null : 'paused');
  }

  @Post(':token/resume')
  async resume(@Param('token') token: string, @Res() reply: FastifyReply): Promise<void> {
    const person = await this.known(token, reply);
    if (!person) return;
    await this.pauses.end(person.id);
    await this.after(reply, token, 'resumed');
  }

  @Post(':token/export')
  async export(@Param('token') token: string, @Res() reply: FastifyReply): Promise<void> {
    const person = await this.known(token, reply);
    if (!person) return;
    const asked = await this.requests.ask(person, 'my-data');
    await this.after(reply, token, asked);
  }

  /** Not here: whoever was sent one of the person's mails could press it. */
  @Post(':token/erase')
  async erase(@Param('token') token: string, @Res() reply: FastifyReply): Promise<void> {
    const person = await this.known(token, reply);
    if (!person) return;
    const asked = await this.requests.ask(person, 'erase');
    await this.after(reply, token, asked === 'mailed' ? 'erase-mailed' : asked);
  }

  private async after(reply: FastifyReply, token: string, notice: Notice): Promise<void> {
    const person = await this.known(token, reply);
    if (person) await this.page(reply, { token, person, notice });
  }

  private async page(
    reply: FastifyReply,
    { token, person, notice }: { token: string; person: Subscriber; notice: Notice },
  ): Promise<void> {
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
    sendPrivatePage(reply, 200, await this.pages.render('pages/preferences', view));
  }

  /** Of the mail with the link, else of whoever wrote to them last. */
  private async senderName(token: string, { id }: Subscriber): Promise<string | null> {
    return (await this.preferences.senderName(token)) ?? (await this.requests.senderName(id));
  }

  private async known(token: string, reply: FastifyReply): Promise<Subscriber | null> {
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
