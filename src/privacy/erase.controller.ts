import { Body, Controller, Get, Param, Post, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { PageRenderer } from '../infra/http/page-renderer.js';
import { sendPrivatePage } from '../infra/http/send-page.js';
import type { Subscriber } from '../subscribers/subscriber.js';
import { SubscribersService } from '../subscribers/subscribers.service.js';
import { maskEmailAddress } from '../values/email-address.js';
import { DATA_LINK_MINUTES, DataRequestService } from './data-request.service.js';
import { ErasureService } from './erasure.service.js';
import { footerOf, refusedLink, FROM_PREFERENCES } from './preferences.js';

const anything = z.unknown();
const eraseForm = z.object({ understood: z.string().min(1) });

/** Reached by the link of the mail alone: only who reads the address's mail may forget its person. Opening it asks, the button erases. */
@Controller('erase')
export class EraseController {
  constructor(
    private readonly requests: DataRequestService,
    private readonly subscribers: SubscribersService,
    private readonly erasure: ErasureService,
    private readonly pages: PageRenderer,
  ) {}

  @Get(':token')
  async show(@Param('token') token: string, @Res() reply: FastifyReply): Promise<void> {
    const person = await this.holder(token, reply);
    if (person) await this.page(reply, token, person);
  }

  @Post(':token')
  async erase(
    @Param('token') token: string,
    @Body({ schema: anything }) body: unknown,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const person = await this.holder(token, reply);
    if (!person) return;
    if (!eraseForm.safeParse(body).success) return this.page(reply, token, person);
    // Asked before: once they are forgotten, nothing leads from the link to a sender.
    const footer = footerOf(await this.requests.senderName(person.id));
    await this.erasure.erase(person.id, FROM_PREFERENCES);
    sendPrivatePage(reply, 200, await this.pages.render('pages/erased', footer));
  }

  private async page(reply: FastifyReply, token: string, { id, email }: Subscriber): Promise<void> {
    const view = {
      action: `/erase/${token}`,
      addressMasked: maskEmailAddress(email),
      minutes: DATA_LINK_MINUTES,
      ...footerOf(await this.requests.senderName(id)),
    };
    sendPrivatePage(reply, 200, await this.pages.render('pages/erase', view));
  }

  private async holder(token: string, reply: FastifyReply): Promise<Subscriber | null> {
    const id = await this.requests.read('erase', token);
    const person = id === null || id === 'expired' ? null : await this.subscribers.find(id);
    if (person !== null) return person;
    const view = refusedLink({ held: id, minutes: DATA_LINK_MINUTES });
    sendPrivatePage(reply, view.status, await this.pages.render('pages/error', view));
    return null;
  }
}
