import { Body, Controller, Get, Param, Post, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { PageRenderer } from '../infra/http/page-renderer.js';
import { sendPrivatePage } from '../infra/http/send-page.js';
import type { Subscriber } from '../subscribers/subscriber.js';
import { maskEmailAddress } from '../values/email-address.js';
import { PreferencesService } from './preferences.service.js';

const fields = z.record(z.string(), z.unknown()).nullish();

/** What I get, whether I am tracked, my data, erase me. */
@Controller('preferences')
export class PreferencesController {
  constructor(
    private readonly leave: PreferencesService,
    private readonly pages: PageRenderer,
  ) {}

  @Get(':token')
  async show(@Param('token') token: string, @Res() reply: FastifyReply): Promise<void> {
    const person = await this.known(token, reply);
    if (person) await this.page(reply, token, { person, saved: false });
  }

  @Post(':token')
  async save(
    @Param('token') token: string,
    @Body({ schema: fields }) body: z.output<typeof fields>,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const person = await this.known(token, reply);
    if (!person) return;
    const trackingConsent = body?.trackingConsent !== undefined;
    if (trackingConsent !== person.trackingConsent)
      await this.leave.setTrackingConsent(person.id, trackingConsent);
    await this.page(reply, token, { person: { ...person, trackingConsent }, saved: true });
  }

  @Post(':token/export')
  async export(@Param('token') token: string, @Res() reply: FastifyReply): Promise<void> {
    const person = await this.known(token, reply);
    if (!person) return;
    await reply
      .status(200)
      .header('content-disposition', 'attachment; filename="my-data.json"')
      .header('cache-control', 'no-store')
      .type('application/json')
      .send(JSON.stringify(await this.leave.personalData(person.id), null, 2));
  }

  @Post(':token/erase')
  async erase(@Param('token') token: string, @Res() reply: FastifyReply): Promise<void> {
    const person = await this.known(token, reply);
    if (!person) return;
    await this.leave.erase(person.id);
    sendPrivatePage(
      reply,
      200,
      await this.pages.render('pages/unsubscribed', { addressMasked: maskEmailAddress(person.email) }),
    );
  }

  private async page(
    reply: FastifyReply,
    token: string,
    { person, saved }: { person: Subscriber; saved: boolean },
  ): Promise<void> {
    const view = {
      action: `/preferences/${token}`,
      addressMasked: maskEmailAddress(person.email),
      status: person.status,
      trackingConsent: person.trackingConsent,
      exportAction: `/preferences/${token}/export`,
      eraseAction: `/preferences/${token}/erase`,
      unsubscribeUrl: this.leave.link('preferences', token, 'unsubscribe'),
      saved,
    };
    sendPrivatePage(reply, 200, await this.pages.render('pages/preferences', view));
  }

  private async known(token: string, reply: FastifyReply): Promise<Subscriber | null> {
    const person = await this.leave.person('preferences', token);
    if (person !== null && person !== 'gone') return person;
    const message =
      person === 'gone'
        ? 'Nothing is kept about you any more.'
        : 'Please open the link from the mail again, whole.';
    const status = person === 'gone' ? 410 : 404;
    sendPrivatePage(
      reply,
      status,
      await this.pages.render('pages/error', { status, heading: 'Nothing to show', message }),
    );
    return null;
  }
}
