import { Controller, Get, Param, Post, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { PageRenderer } from '../infra/http/page-renderer.js';
import { sendPrivatePage, withPrivateHeaders } from '../infra/http/send-page.js';
import { SubscribersService } from '../subscribers/subscribers.service.js';
import { DATA_LINK_MINUTES, DataRequestService } from './data-request.service.js';
import { footerOf, refusedLink } from './preferences.js';
import { PersonalDataService } from './personal-data.service.js';

/** Reached by the link of the mail alone. Opening it shows a button: scanners open every link, and must not get the file. */
@Controller('my-data')
export class MyDataController {
  constructor(
    private readonly requests: DataRequestService,
    private readonly subscribers: SubscribersService,
    private readonly data: PersonalDataService,
    private readonly pages: PageRenderer,
  ) {}

  @Get(':token')
  async show(@Param('token') token: string, @Res() reply: FastifyReply): Promise<void> {
    const id = await this.holder(token, reply);
    if (id === null) return;
    const footer = footerOf(await this.requests.senderName(id));
    const view = { action: `/my-data/${token}`, minutes: DATA_LINK_MINUTES, ...footer };
    sendPrivatePage(reply, 200, await this.pages.render('pages/my-data', view));
  }

  @Post(':token')
  async download(@Param('token') token: string, @Res() reply: FastifyReply): Promise<void> {
    const id = await this.holder(token, reply);
    if (id === null) return;
    await withPrivateHeaders(reply.status(200))
      .header('content-disposition', 'attachment; filename="my-data.json"')
      .type('application/json; charset=utf-8')
      .send(JSON.stringify(await this.data.of(id), null, 2));
  }

  private async holder(token: string, reply: FastifyReply): Promise<string | null> {
    const id = await this.requests.read('my-data', token);
    if (id !== null && id !== 'expired' && (await this.subscribers.find(id)) !== null) return id;
    const view = refusedLink({ held: id, minutes: DATA_LINK_MINUTES });
    sendPrivatePage(reply, view.status, await this.pages.render('pages/error', view));
    return null;
  }
}
